"""Check of scores: drawn detectors and searches, fitted and scored again."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import table_files
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.recompute import rerun
from shiftbench.audit.recompute.detector_scores import Detector, is_cheap
from shiftbench.base import registry
from shiftbench.base.errors import NotRunError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.stages import detector_search

_APART, _OF_NET = 1e-6, 1e-3
_EACH, _SEARCHES = 16, 4
_Look = Callable[[Case, Artifact, rerun.Rerun], Iterator[Finding]]


@check("A32", level=3)
def rescoring(case: Case) -> Iterator[Finding | Note]:
    """Drawn detectors and searches, fitted again from records and features, give the same scores.

    Pass rule: covers detectors that are fitted or see the network. `--sample` of the (model, method, detector) whose
    scores follow from records and features are drawn, and one for each 16 of those that need the network again. Each is
    fitted again and scores one drawn condition. No score differs by more than a millionth of their spread (with the
    network: a thousandth). A quarter as many searches are drawn, and the AUROC of each point of their grids is the
    recorded one, to a millionth. `--sample` cheap detectors, including those that see logits only, score their rows
    again in a drawn order, with hidden keys, names and labels. The scores are equal to a thousandth of their spread, so
    that no score depends on the name of its sample.

    Limits: `reevaluation` checks records and features; what was not drawn is not checked.
    """
    plain, cheap, costly = _groups(case)
    drawn = [*_draw(case, "cheap", cheap, case.count)]
    drawn += _draw(case, "costly", costly, max(1, case.count // _EACH))
    for ref in drawn:
        yield from _guarded(case, ref, _scored)
    hidden = list(_in_both(case, [*plain, *cheap]))
    for ref in hidden:
        yield from _guarded(case, ref, _hidden)
    searches = [ref for ref, artifact, _ in case.outputs("searches") if is_cheap(artifact)]
    for at in case.draw("searches", len(searches), max(1, case.count // _SEARCHES)):
        yield from _guarded(case, searches[at], _searched)
    count = min(len(searches), max(1, case.count // _SEARCHES))
    yield Note(
        f"{len(drawn)} of {len(cheap) + len(costly)} fitted detectors scored again, {count} of {len(searches)} "
        "searches made again"
    )
    yield Note(f"{len(hidden)} detectors scored again with hidden names and labels, in another order")


def _in_both(case: Case, groups: list[list[Ref]]) -> Iterator[Ref]:
    """Yield scores of each drawn detector on its own data and on other data: a name could give away either."""
    for at in case.draw("detectors, hidden", len(groups), case.count):
        own = [ref for ref in groups[at] if ref.parts[0] == ref.parts[4]]
        others = [ref for ref in groups[at] if ref.parts[0] != ref.parts[4]]
        for part in filter(None, (own, others)):
            yield part[case.draw(f"hidden position of {part[0].name}", len(part), 1)[0]]


def _groups(case: Case) -> tuple[list[list[Ref]], list[list[Ref]], list[list[Ref]]]:
    """Scores by (model, method, detector): of detectors that see logits only, of cheap and of costly ones."""
    plain: dict[str, list[Ref]] = {}
    cheap: dict[str, list[Ref]] = {}
    costly: dict[str, list[Ref]] = {}
    for ref, artifact, _ in case.outputs("scores"):
        detector = registry.find("detectors", artifact.recipe["detector"]["use"])
        if tuple(detector.NEEDS) == ("logits",) and not hasattr(detector, "FIT"):
            groups = plain  # `rows` computes all of these
        else:
            groups = cheap if is_cheap(artifact) else costly
        groups.setdefault("/".join(ref.parts[:4]), []).append(ref)
    return list(plain.values()), list(cheap.values()), list(costly.values())


def _draw(case: Case, what: str, groups: list[list[Ref]], count: int) -> Iterator[Ref]:
    """Yield one condition of each drawn group."""
    for at in case.draw(f"detectors, {what}", len(groups), count):
        own = groups[at]
        yield own[case.draw(f"position of {own[0].name}", len(own), 1)[0]]


def _guarded(case: Case, ref: Ref, look: _Look) -> Iterator[Finding]:
    """Yield the findings of a check; a missing input, or an error, is a finding too."""
    missing = rerun.missing_inputs(case, ref)
    if missing:
        yield case.incomplete(ref, f"it was not computed again: {missing[0].path} is not here")
        return
    try:
        run = rerun.Rerun(case, ref)
        yield from look(case, run.artifact, run)
    except NotRunError as error:
        yield case.incomplete(ref, str(error))
    except (ShiftbenchError, OSError, KeyError) as error:
        yield case.failed(ref, f"it cannot be computed again: {error}")


def _scored(case: Case, artifact: Artifact, run: rerun.Rerun) -> Iterator[Finding]:
    detector = Detector(artifact, run)
    table = detector.scores(detector.rows(artifact.recipe["rows"]), *detector.chosen())
    made = table.column("score").to_numpy()
    here = table_files.readable(case.root / artifact.ref.path, "scores")
    if here is None or here.column("key").to_pylist() != table.column("key").to_pylist():
        return  # a finding of `rows`
    keys, recorded = here.column("key"), here.column("score").to_numpy()
    share = _APART if is_cheap(artifact) else _OF_NET
    room = share * float(np.ptp(made)) + 1e-9 * float(1 + np.abs(made).max()) if len(made) else 0.0
    differs = np.abs(made - recorded) > room
    if differs.any():
        at = int(np.argmax(differs))
        why = f"fitted and scored again, {int(differs.sum())} of {len(made)} scores differ"
        why += rerun.code_change_note(artifact)
        details = {"expected": repr(float(made[at])), "found": repr(float(recorded[at]))}
        yield case.failed(artifact.ref, why, sample=keys[at].as_py(), **details)


def _hidden(case: Case, artifact: Artifact, run: rerun.Rerun) -> Iterator[Finding]:
    """Score rows with hidden names and labels in a drawn order: scores follow from the network's outputs only."""
    detector = Detector(artifact, run)
    options, state = detector.chosen()
    rows = detector.rows(artifact.recipe["rows"])
    number = int.from_bytes(hashlib.sha256(f"{case.seed} {artifact.ref.name}".encode()).digest()[:8], "little")
    stream = RandomStream(number, "audit", "order", "")
    order = np.array([int(i) for i in stream.choice(len(rows), len(rows))], dtype=np.int64)
    known = detector.scores(rows, options, state).column("score").to_numpy()
    blind = detector.scores(_anonymous(rows, order), options, state)
    differences = np.abs(blind.column("score").to_numpy() - known[order])
    room = _OF_NET * float(np.ptp(known)) + 1e-9 if len(known) else 0.0
    if (differences > room).any():
        at = int(np.argmax(differences))
        count = int((differences > room).sum())
        why = f"{count} of {len(known)} scores differ if names and labels are hidden and the order changes"
        details = {"expected": repr(float(known[order][at])), "found": repr(float(known[order][at] - differences[at]))}
        yield case.failed(artifact.ref, why, sample=rows.keys[int(order[at])], **details)


def _anonymous(rows: Rows, order: NDArray[np.int64]) -> Rows:
    """Rows in another order, without the names of their condition and samples."""
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
    detector, spec = Detector(artifact, run), artifact.recipe
    clean = detector.rows(spec["id"])
    ood = [detector.rows(name) for name in spec["ood"]]
    table = table_files.readable(case.root / artifact.ref.path, "searches")
    for row in () if table is None else table.to_pylist():
        if row["auroc"] is None:
            continue
        options, state = detector.fitted(json.loads(row["options"]))
        made = detector_search.separation(detector.module, options, state, clean, ood)
        if abs(made - row["auroc"]) > _APART:
            why = f"the AUROC of point {row['number']} does not follow from records and features"
            why += rerun.code_change_note(artifact)
            details = {"expected": repr(made), "found": repr(row["auroc"])}
            yield case.failed(artifact.ref, why, sample=row["options"], **details)
            return
