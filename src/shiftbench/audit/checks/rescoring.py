"""Drawn detectors are fitted and score again, and drawn searches try their grids again, from records and features.

Pass rule: of the detectors that are fitted or see the net, `--sample` (weights, method, detector) are drawn whose
scores follow from records and features, and one for each 16 of those that need the net again; each is fitted anew and
scores one drawn position, and no score is apart by more than a millionth of their spread (of the net's: a
thousandth). Of the searches a quarter as many are drawn, and the AUROC of each point of their grids is what is
recorded, to a millionth. Of the cheap detectors, those that see logits alone included, `--sample` score their rows once
more with hidden keys, cell names and labels in a drawn order, and give the same scores to a thousandth of their
spread: no score knows its sample by name. Limits: records and features are those of `reevaluation`; what was not
drawn is not looked at.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import table_files
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.recompute import rerun, search_effect
from shiftbench.base import registry
from shiftbench.base.errors import NotRunError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.stages import detector_search
from shiftbench.workflow.stages import score as scoring
from shiftbench.workflow.stages.detector_context import DetectorContext

NUMBER, LEVEL = "A32", 3
_APART, _OF_NET = 1e-6, 1e-3
_EACH, _SEARCHES = 16, 4
_Look = Callable[[Case, Artifact, rerun.Rerun], Iterator[Finding]]


def check(case: Case) -> Iterator[Finding | Note]:
    """Fit and score what is drawn."""
    plain, cheap, costly = _groups(case)
    drawn = [*_draw(case, "cheap", cheap, case.count)]
    drawn += _draw(case, "costly", costly, max(1, case.count // _EACH))
    for ref in drawn:
        yield from _guarded(case, ref, _scored)
    hidden = list(_in_both(case, [*plain, *cheap]))
    for ref in hidden:
        yield from _guarded(case, ref, _hidden)
    searches = [ref for ref, artifact, _ in case.of("searches") if search_effect.is_cheap(artifact)]
    for at in case.draw("searches", len(searches), max(1, case.count // _SEARCHES)):
        yield from _guarded(case, searches[at], _searched)
    count = min(len(searches), max(1, case.count // _SEARCHES))
    yield Note(
        f"{len(drawn)} of {len(cheap) + len(costly)} fitted detectors scored again, {count} of {len(searches)} "
        "searches made again"
    )
    yield Note(f"{len(hidden)} detectors scored again with hidden names and labels, in another order")


def _in_both(case: Case, groups: list[list[Ref]]) -> Iterator[Ref]:
    """Yield of each drawn detector a position of its own data and one of others: a name gives away either."""
    for at in case.draw("detectors, hidden", len(groups), case.count):
        own = [ref for ref in groups[at] if ref.parts[0] == ref.parts[4]]
        others = [ref for ref in groups[at] if ref.parts[0] != ref.parts[4]]
        for part in filter(None, (own, others)):
            yield part[case.draw(f"hidden position of {part[0].name}", len(part), 1)[0]]


def _groups(case: Case) -> tuple[list[list[Ref]], list[list[Ref]], list[list[Ref]]]:
    """Return scores by (weights, method, detector): of detectors that see logits alone, of cheap and of costly ones."""
    plain: dict[str, list[Ref]] = {}
    cheap: dict[str, list[Ref]] = {}
    costly: dict[str, list[Ref]] = {}
    for ref, artifact, _ in case.of("scores"):
        detector = registry.find("detectors", artifact.recipe["detector"]["use"])
        if tuple(detector.NEEDS) == ("logits",) and not hasattr(detector, "FIT"):
            groups = plain  # `rows` computes all of these
        else:
            groups = cheap if search_effect.is_cheap(artifact) else costly
        groups.setdefault("/".join(ref.parts[:4]), []).append(ref)
    return list(plain.values()), list(cheap.values()), list(costly.values())


def _draw(case: Case, what: str, groups: list[list[Ref]], count: int) -> Iterator[Ref]:
    """Yield one position of each drawn group."""
    for at in case.draw(f"detectors, {what}", len(groups), count):
        own = groups[at]
        yield own[case.draw(f"position of {own[0].name}", len(own), 1)[0]]


def _guarded(case: Case, ref: Ref, look: _Look) -> Iterator[Finding]:
    """Yield what a look finds; what is not here, or cannot be computed, is a finding, too."""
    missing = rerun.missing(case, ref)
    if missing:
        yield case.incomplete(ref, f"it was not computed again: {missing[0].path} is not here")
        return
    try:
        run = rerun.Rerun(case, ref)
        yield from look(case, run.artifact, run)
    except NotRunError as error:
        yield case.incomplete(ref, str(error))
    except (ShiftbenchError, OSError, KeyError) as error:
        yield case.failed(ref, f"it cannot be computed any more: {error}")


def _scored(case: Case, artifact: Artifact, run: rerun.Rerun) -> Iterator[Finding]:
    context, spec = DetectorContext(run, "cpu"), artifact.recipe
    detector = registry.find("detectors", spec["detector"]["use"])
    options = {**spec["detector"]["options"], **scoring.chosen_options(run, artifact)}
    state = context.fitted(artifact, detector, options)
    table = scoring.scored(detector, options, context.rows(artifact, spec["rows"]), state)
    made = table.column("score").to_numpy()
    content = table_files.safe_read(case.root / artifact.ref.path, "scores")
    if isinstance(content, str):
        return  # a finding of `rows`
    keys, recorded = content[0].column("key"), content[0].column("score").to_numpy()
    if keys.to_pylist() != table.column("key").to_pylist():
        return  # a finding of `rows`
    share = _APART if search_effect.is_cheap(artifact) else _OF_NET
    room = share * float(np.ptp(made)) + 1e-9 * float(1 + np.abs(made).max()) if len(made) else 0.0
    differs = np.abs(made - recorded) > room
    if differs.any():
        at = int(np.argmax(differs))
        why = f"fitted and scored again, {int(differs.sum())} of {len(made)} scores are others"
        why += rerun.by_other_code(artifact)
        details = {"expected": repr(float(made[at])), "found": repr(float(recorded[at]))}
        yield case.failed(artifact.ref, why, sample=keys[at].as_py(), **details)


def _hidden(case: Case, artifact: Artifact, run: rerun.Rerun) -> Iterator[Finding]:
    """Score rows with hidden names and labels in a drawn order: a score follows from what the net gives alone."""
    context, spec = DetectorContext(run, "cpu"), artifact.recipe
    detector = registry.find("detectors", spec["detector"]["use"])
    options = {**spec["detector"]["options"], **scoring.chosen_options(run, artifact)}
    state = context.fitted(artifact, detector, options)
    rows = context.rows(artifact, spec["rows"])
    order = np.array(_permutation(case, artifact.ref.name, len(rows)), dtype=np.int64)
    known = scoring.scored(detector, options, rows, state).column("score").to_numpy()
    blind = scoring.scored(detector, options, _anonymous(rows, order), state)
    differences = np.abs(blind.column("score").to_numpy() - known[order])
    room = _OF_NET * float(np.ptp(known)) + 1e-9 if len(known) else 0.0
    if (differences > room).any():
        at = int(np.argmax(differences))
        count = int((differences > room).sum())
        why = f"{count} of {len(known)} scores are others where names and labels are hidden and the order is another"
        details = {"expected": repr(float(known[order][at])), "found": repr(float(known[order][at] - differences[at]))}
        yield case.failed(artifact.ref, why, sample=rows.keys[int(order[at])], **details)


def _permutation(case: Case, name: str, count: int) -> list[int]:
    number = int.from_bytes(hashlib.sha256(f"{case.seed} {name}".encode()).digest()[:8], "little")
    return [int(i) for i in RandomStream(number, "audit", "order", "").choice(count, count)]


def _anonymous(rows: Rows, order: NDArray[np.int64]) -> Rows:
    """Return rows in another order, of which nobody can tell which cell and samples they are of."""
    table, count = rows.table.take(order), len(order)
    hidden = {"key": [f"{i:08d}" for i in range(count)], "label": [-1] * count, "correct": [False] * count}
    for at, field in enumerate(table.schema):
        if field.name in hidden:
            values = pa.array(hidden[field.name], type=field.type)
            table = table.set_column(at, field, values)
    return dataclasses.replace(
        rows,
        table=table,
        beside=None if rows.beside is None else np.asarray(rows.beside)[order],
        kept_logits=None if rows.kept_logits is None else np.asarray(rows.kept_logits)[order],
        name="these records",
    )


def _searched(case: Case, artifact: Artifact, run: rerun.Rerun) -> Iterator[Finding]:
    context, spec = DetectorContext(run, "cpu"), artifact.recipe
    detector = registry.find("detectors", spec["detector"]["use"])
    clean = context.rows(artifact, spec["id"])
    ood = [context.rows(artifact, name) for name in spec["ood"]]
    content = table_files.safe_read(case.root / artifact.ref.path, "searches")
    for row in () if isinstance(content, str) else content[0].to_pylist():
        if row["auroc"] is None:
            continue
        options = {**spec["detector"]["options"], **json.loads(row["options"])}
        state = context.fitted(artifact, detector, options)
        made = detector_search.separation(detector, options, state, clean, ood)
        if abs(made - row["auroc"]) > _APART:
            why = f"the AUROC of point {row['number']} does not follow from records and features"
            why += rerun.by_other_code(artifact)
            details = {"expected": repr(made), "found": repr(row["auroc"])}
            yield case.failed(artifact.ref, why, sample=row["options"], **details)
            return
