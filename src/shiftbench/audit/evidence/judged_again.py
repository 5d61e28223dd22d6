"""Published verdicts, and those that the published replicates give by the card that was judged."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shiftbench.base.files import from_json
from shiftbench.base.refs import Ref
from shiftbench.data import claim_formats, schema
from shiftbench.provenance import recipe
from shiftbench.release import published
from shiftbench.statistics.claims import replicate_table
from shiftbench.statistics.claims.estimates import Evidence
from shiftbench.statistics.claims.statements import Claim
from shiftbench.workflow.stages import judge_claims


class Verdict(NamedTuple):
    """Verdict, value and interval of a claim or a part of it: as published, and as its replicates give them."""

    file: Path
    claim: str
    stated: tuple[object, ...]
    judged: tuple[object, ...]


def verdicts(home: Path) -> Iterator[Verdict]:
    """Yield each published verdict that has replicates."""
    for configuration in published.configurations(home):
        yield from of_configuration(published.read(home, configuration))


def of_configuration(there: published.Published) -> Iterator[Verdict]:
    """Yield the verdicts of one configuration, as `verdicts`."""
    for replicates in sorted(there.root.glob(f"results/claims/*/{published.REPLICATES}")):
        yield from _of_system(there, Ref("claims", replicates.parent.name))


def _of_system(there: published.Published, ref: Ref) -> Iterator[Verdict]:
    file = there.root / ref.path
    spec = from_json(there.texts[recipe.receipt_path(Path(), ref).as_posix()])["recipe"]
    claims = {name: Claim.model_validate(one) for name, one in spec["card"]["claims"].items()}
    kept = schema.read(file.with_name(published.REPLICATES), form=claim_formats.CLAIM_REPLICATES)
    stated = schema.read(file, form=claim_formats.CLAIMS).to_pylist()
    known = replicate_table.evidence(kept)
    for row in stated:
        if row["verdict"] == "not evaluable":
            known.setdefault(row["claim"], Evidence({}, None, row["reason"] or ""))
    judged = {
        (row["claim"], row["part"]): _judgement(row)
        for row in judge_claims.again(claims, known, spec["scale"], spec["card"]["looks"])
    }
    for row in stated:
        key = row["claim"], row["part"]
        yield Verdict(file, "/".join(filter(None, key)), _judgement(row), judged.pop(key, ()))
    for (claim, part), one in judged.items():
        yield Verdict(file, "/".join(filter(None, (str(claim), part))), (), one)  # type: ignore[arg-type]


def _judgement(row: judge_claims.Line) -> tuple[object, ...]:
    return tuple(row[name] for name in ("verdict", "value", "ci_low", "ci_high", "confidence"))
