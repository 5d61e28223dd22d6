"""Comparison of a run with the results in `published/` of the same configuration.

Outputs are compared with the published digests, metric rows and verdicts with the published tables. Differences are
traced along the receipts of both sides, as in `runs`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.audit.compare import runs
from shiftbench.audit.compare.causes import OTHER_BYTES, Cause, Side, Walk
from shiftbench.audit.compare.runs import Comparison
from shiftbench.audit.finding import VERDICTS, Verdict
from shiftbench.base.files import from_json, sha256
from shiftbench.data import claim_formats, schema
from shiftbench.release.published import Published

_RECEIPT = ".receipt.json"


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A run compared with the published results of its configuration.

    Attributes:
        configuration: its name; None is params.yaml.
        outputs: number of published outputs.
        other: outputs with other bytes here, each with its causes.
        missing: outputs that are not here.
        numbers: metric rows, compared.
        claims: number of published claims.
        changed: claims with another verdict, there -> here.
        older: whether published recipes have digests of files instead of definitions.
    """

    configuration: str | None
    outputs: int
    other: dict[str, tuple[Cause, ...]]
    missing: tuple[str, ...]
    numbers: Comparison
    claims: int
    changed: dict[str, str]
    older: bool = False

    @property
    def equal(self) -> int:
        """Number of outputs that are equal byte for byte."""
        return self.outputs - len(self.other) - len(self.missing)

    @property
    def verdict(self) -> Verdict:
        """`exact`: all bytes; `statistical`: explained; `incomplete`: something is not here; `failed`: unexplained."""
        kinds = {cause.kind for causes in self.other.values() for cause in causes}
        verdicts: list[Verdict] = [self.numbers.verdict]
        if "unexplained" in kinds:
            verdicts.append("failed")
        if self.missing or "missing" in kinds:
            verdicts.append("incomplete")
        if self.other or self.changed:
            verdicts.append("statistical")
        return max(verdicts, key=VERDICTS.index)

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.verdict == "exact":
            return "equal byte for byte"
        if self.missing and not self.other:
            return f"{len(self.missing)} not here, the rest equal"
        if not self.numbers.moved and not self.changed:
            return "all numbers equal, other bytes"
        reasons = ", ".join(self.because)
        return f"moved, because of {reasons}" if self.verdict == "statistical" else "moved"

    @property
    def because(self) -> list[str]:
        """Kinds of the causes, the most frequent first."""
        kinds = [cause.kind for of_one in self.other.values() for cause in of_one]
        kinds += [cause.kind for one in self.numbers.moved for cause in one.causes]
        return [kind for kind, _ in Counter(kinds).most_common()]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        other = {path: [asdict(one) for one in causes] for path, causes in self.other.items()}
        return {
            "scale": self.configuration,
            "verdict": self.verdict,
            "outputs": {"published": self.outputs, "equal": self.equal, "missing": self.missing, "other": other},
            "numbers": self.numbers.plain(),
            "claims": {"published": self.claims, "changed": self.changed},
        }


def side(there: Published) -> Side:
    """The published results as one of two runs."""
    read = {path: from_json(text) for path, text in there.texts.items()}
    return Side(there.root, "published", dict(read))


def compare(root: Path, there: Published) -> PublishedComparison:
    """Compare an output root with the published results of its configuration.

    Raises:
        DataError: nothing was made there, or a table cannot be read.
    """
    walk = Walk(Side(root, "this run"), side(there))
    outputs = there.outputs()
    digests = {
        path: {file: sha256(root / file) for file in made if (root / file).is_file()} for path, made in outputs.items()
    }
    other = {
        path: _causes(walk, path, digests[path])
        for path, made in outputs.items()
        if digests[path].keys() == made.keys() and digests[path] != made
    }
    missing = tuple(path for path, made in outputs.items() if digests[path].keys() != made.keys())
    numbers = runs.compare(walk.here, walk.there)
    published, here = _verdicts(there.root), _verdicts(root)
    changed = {
        name: f"{verdict} -> {here.get(name, 'not here')}"
        for name, verdict in published.items()
        if here.get(name) != verdict
    }
    stated = [from_json(text)["recipe"] for path, text in there.texts.items() if path.endswith(_RECEIPT)]
    older = any(recipe.get("code") and "roots" not in recipe for recipe in stated)
    return PublishedComparison(
        there.configuration, len(outputs), other, missing, numbers, len(published), changed, older
    )


def _causes(walk: Walk, path: str, actual: Mapping[str, str]) -> tuple[Cause, ...]:
    """Causes of an output's other bytes here."""
    receipt_here, receipt_there = walk.here.receipt(path), walk.there.receipt(path)
    if receipt_here is None or receipt_there is None:
        return (Cause("missing", path, "there is no receipt here"),)
    place = PurePosixPath(path).parent
    stated = {(place / name).as_posix(): digest for name, digest in receipt_here["made"].items()}
    if stated != actual:
        what = "its bytes are not those that its receipt states: damaged, or edited"
        return (Cause("unexplained", path, what),)
    name = PurePosixPath(path).name
    links = [(one["made"].get(name), one["fingerprint"]) for one in (receipt_here, receipt_there)]
    causes = walk.causes(path, links[0], links[1])
    explained = {cause.path for cause in causes if cause.kind == "environment"}
    # Only another environment explains other bytes of data or checkpoints with the same recipe.
    return tuple(
        replace(cause, kind="unexplained") if cause.what == OTHER_BYTES and cause.path not in explained else cause
        for cause in causes
    )


def _verdicts(root: Path) -> dict[str, str]:
    """Verdicts of all claims below an output root, without their parts."""
    frames = [
        schema.read(file, ["claim", "part", "verdict"], claim_formats.CLAIMS)
        for file in sorted((root / "results/claims").glob("*/claims.parquet"))
    ]
    rows = [row for frame in frames for row in frame.to_pylist()]
    return {row["claim"]: row["verdict"] for row in rows if row["part"] is None}
