"""Causes of an output's other bytes in two runs, from the receipts upstream of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import polars as pl

from shiftbench.base.files import read_object
from shiftbench.provenance import code_digest, recipe

Kind = Literal["params", "code", "data", "checkpoints", "environment", "missing", "unexplained"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of causes; the first five explain a difference, `missing` means that evidence is missing."""
_STAGES = (
    "sources shards previews checkpoints records features overlaps searches scores analyses tables claims samples "
    "report"
).split()
_BY_KIND: dict[str, Kind] = {"sources": "data", "shards": "data", "checkpoints": "checkpoints"}
_DERIVED = ("tables", "claims", "report")
_ELSEWHERE = ("system", "cores", "startup")  # no library chooses its code by them, or it excuses nothing
_NOTED = ("device", "batch_size", "determinism")
OTHER_BYTES = "other bytes from the same recipe and the same inputs"
"""For data and checkpoints that were made twice; another cause of the same path gives the reason, if it is known."""
BEYOND_ROUNDING = "recipe and inputs are equal, and it moved by more than rounding, which no environment explains"
ROUNDING = 1e-9
"""Difference of a number that the order of additions, which kernels choose, can make."""
_WHOLE = {"fingerprint", "recipe", "made", "consumed"}

Receipt = dict[str, Any]
Link = tuple[str | None, str | None]
"""How a consumer knows an input: the digest of its bytes, the fingerprint of its recipe."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why an output moved.

    Attributes:
        kind: one of `KINDS`.
        path: the output that it acts on, relative to the output root.
        what: what differs, there -> here.
    """

    kind: Kind
    path: str
    what: str

    @property
    def order(self) -> tuple[int, int]:
        """Sorts by distance upstream, then by kind."""
        return _STAGES.index(kind_of(self.path)), KINDS.index(self.kind)


@dataclass
class Side:
    """One of two runs: an output root and its files."""

    root: Path
    label: str
    _read: dict[str, Receipt | None] = field(default_factory=dict)

    def receipt(self, path: str) -> Receipt | None:
        """Receipt of an output; None: missing, or not complete."""
        content = self._json(f"{path}.receipt.json")
        return content if content and content.keys() >= _WHOLE else None

    def run_file(self, path: str) -> Receipt | None:
        """Run file of an output; None: missing."""
        return self._json(f"{path}.run.json")

    def _json(self, name: str) -> Receipt | None:
        if name not in self._read:
            self._read[name] = read_object(self.root / name)
        return self._read[name]


def kind_of(path: str) -> str:
    """Kind of an output by its path.

    Example:
        >>> kind_of("data/local/secret/all/fog/3/manifest.json"), kind_of("checkpoints/tiny/net-erm-s0.safetensors")
        ('shards', 'checkpoints')
    """
    first, second, *_ = PurePosixPath(path).parts
    return first if first == "checkpoints" else {"local": "shards"}.get(second, second)


def ordered(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Causes without repetition, those upstream first."""
    return tuple(sorted(dict.fromkeys(causes), key=lambda cause: (cause.order, cause.path)))


def recipe_causes(path: str, here: Receipt, there: Receipt) -> list[Cause]:
    """Differences of two recipes of an output, without their inputs; one cause per kind."""
    differences: dict[Kind, list[str]] = {}
    for key in sorted((here.keys() | there.keys()) - {"upstream", "code", "linked", "roots"}):
        for line in recipe.differences(there.get(key), here.get(key), key):
            differences.setdefault(_kind_of_difference(line), []).append(line)
    changed = code_digest.differences(there, here)
    if changed:
        differences["code"] = changed
    return [Cause(kind, path, "; ".join(lines)) for kind, lines in differences.items()]


def _kind_of_difference(line: str) -> Kind:
    keys = line.partition(":")[0].split(".")
    if keys[0] == "bytes":
        return "data"  # the digests that a source declares
    if keys[-1] == "pinned":  # a file of the user's own
        return "checkpoints" if keys[0] == "model" else "data"
    return "params"


@dataclass
class Walk:
    """Looks for causes along the receipts of two runs; the causes of each output are kept."""

    here: Side
    there: Side
    _known: dict[tuple[str, Link, Link], tuple[Cause, ...]] = field(default_factory=dict)

    def inputs(self, paths: Iterable[str], here: Receipt, there: Receipt) -> list[Cause]:
        """Causes behind those inputs of an output whose bytes differ.

        An input with equal bytes moved nothing, whatever its recipe says.
        """
        causes: list[Cause] = []
        for path in sorted(paths):
            links = _link(here, path), _link(there, path)
            if links[0][0] != links[1][0]:
                causes += self.causes(path, *links)
        return causes

    def causes(self, path: str, here: Link, there: Link) -> tuple[Cause, ...]:
        """Causes of an output's other bytes; `here` and `there` are as it was consumed."""
        key = path, here, there
        if key not in self._known:
            self._known[key] = ordered(self._search(path, here, there))
        return self._known[key]

    def _search(self, path: str, here: Link, there: Link) -> list[Cause]:
        receipts = []
        for side, link in ((self.here, here), (self.there, there)):
            receipt = side.receipt(path)
            if receipt is None or receipt["made"].get(PurePosixPath(path).name) != link[0]:
                return [_without_receipt(path, side, here, there)]
            if recipe.fingerprint(receipt["recipe"]) != receipt["fingerprint"]:
                what = f"the receipt in {side.label} was edited: its fingerprint is not its recipe's"
                return [Cause("unexplained", path, what)]
            receipts.append(receipt)
        receipt_here, receipt_there = receipts
        shared = receipt_here["consumed"].keys() & receipt_there["consumed"].keys()
        causes = self.inputs(shared, receipt_here, receipt_there)
        causes += recipe_causes(path, receipt_here["recipe"], receipt_there["recipe"])
        return causes or self.same_recipe_causes(path)

    def same_recipe_causes(self, path: str) -> list[Cause]:
        """Causes where recipes and inputs are equal and bytes are not.

        Another environment changes outputs that follow by arithmetic (`_DERIVED`) by rounding only.
        """
        if kind_of(path) in _DERIVED and not self._rounded(path):
            return [Cause("unexplained", path, BEYOND_ROUNDING)]
        return self.environment_causes(path)

    def environment_causes(self, path: str) -> list[Cause]:
        """Differences of the environments, as two run files state them, that can change bytes."""
        runs = self.here.run_file(path), self.there.run_file(path)
        named = _BY_KIND.get(kind_of(path))
        causes = []
        if named:
            causes.append(Cause(named, path, OTHER_BYTES))
        if runs[0] and runs[1]:
            changed = recipe.differences(run_environment(runs[1]), run_environment(runs[0]))
            causes += [Cause("environment", path, "; ".join(changed))] if changed else []
        elif not causes:
            return [Cause("missing", path, "no run file states its environment")]
        what = "the same recipe, inputs and environment gave other bytes"
        return causes or [Cause("unexplained", path, what)]

    def _rounded(self, path: str) -> bool:
        """Whether the tables of an output that both runs have differ by rounding only."""
        folders = [(side.root / path).parent for side in (self.here, self.there)]
        names = {Path(path).name, *(file.name for file in folders[0].glob("*.parquet"))}
        return path.endswith(".parquet") and all(
            _is_rounding(folders[0] / name, folders[1] / name)
            for name in names
            if name == Path(path).name or (folders[1] / name).is_file()
        )


def _is_rounding(here: Path, there: Path) -> bool:
    """Whether two Parquet files have equal rows up to `ROUNDING`; not if one is unreadable or has other columns."""
    try:
        frames = [pl.read_parquet(file) for file in (here, there)]
    except (OSError, pl.exceptions.PolarsError):
        return False
    left, right = frames
    if left.schema != right.schema or left.height != right.height:
        return False
    return all(_is_near(left[name], right[name]) for name in left.columns)


def _is_near(one: pl.Series, two: pl.Series) -> bool:
    if isinstance(one.dtype, pl.List):
        same = one.list.len().eq_missing(two.list.len()).all()
        return bool(same) and _is_near(one.explode(), two.explode())
    if not one.dtype.is_float():
        return bool(one.eq_missing(two).all())
    is_close = ((one - two).abs() <= ROUNDING) | one.eq_missing(two)
    return bool(is_close.fill_null(value=False).all())


def run_environment(run: Receipt) -> Receipt:
    """Facts of a run file that may change bytes.

    The package itself is left out: recipes have its code, and an editable installation names its folder.
    """
    environment = _mapping(run.get("environment"))
    facts = {name: value for name, value in environment.items() if name not in _ELSEWHERE}
    wheels = _mapping(facts.pop("installed", None))
    facts["installed"] = {name: one for name, one in wheels.items() if name != "shiftbench"}
    return {**facts, **{name: run[name] for name in _NOTED if name in run}}


def _mapping(value: Any) -> Receipt:
    return value if isinstance(value, dict) else {}


def _link(consumer: Receipt, path: str) -> Link:
    return consumer["consumed"].get(path), consumer["recipe"].get("upstream", {}).get(path)


def _without_receipt(path: str, side: Side, here: Link, there: Link) -> Cause:
    """Cause of a missing receipt, or of one that states other bytes than were consumed."""
    kind = kind_of(path)
    if kind == "sources" or (here[1] == there[1] and kind in _BY_KIND):
        same = "same" if here[1] == there[1] else "another"
        what = f"other bytes, by the {same} recipe; {side.label} has no receipt of them"
        return Cause(_BY_KIND[kind], path, what)
    what = f"other bytes, and {side.label} has no receipt of them, so that the cause is unknown"
    return Cause("missing", path, what)
