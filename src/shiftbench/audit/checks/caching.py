"""Evaluation computes a repeated batch like a new one, and reads no undeclared file.

Pass rule: a repeated batch calls as many torch modules as the same batch when it was new (five batches, in turn), and a
network calls at least one. While batches are evaluated, Python reads only inputs, assets that a recipe names, installed
files and files of the system (`provenance.opened_files`), and runs only definitions that the recipe has
(`provenance.ran`). Times are printed and decide nothing, since a busy machine changes them. Role model: TEST04 of
MLPerf.

Limits: calls of black boxes are not counted; files that a library opens by itself (Arrow, ONNX) are not seen.
"""

import statistics
from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce.evaluated_batches import Group, evaluate_again

NUMBER, LEVEL = "A23", 3


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare repeated batches with new ones."""
    done = evaluate_again(case)
    groups = done.complete
    for group in groups:
        yield from _files(case, group)
        yield from _batches(case, group)
    yield Note(f"{len(groups)} (model, method) checked")


def _files(case: Case, group: Group) -> Iterator[Finding]:
    for event in group.answer["undeclared"]:
        why = f"evaluation {event}, which no recipe names; name a file in ASSETS, or pin it"
        yield case.failed(group.first.ref, why, found=event)


def _batches(case: Case, group: Group) -> Iterator[Finding | Note]:
    measured, name = group.answer["caching"], group.job.name
    if not measured["size"]:
        yield Note(f"{name}: too few samples to repeat some")
        return
    new, repeated = measured["calls"]["new"], measured["calls"]["repeated"]
    first, again = max(zip(new, repeated, strict=True), key=lambda pair: abs(pair[0] - pair[1]))
    text = f"{first} calls of torch modules for a new batch of {measured['size']}, {again} for it again"
    if first != again:
        why = "a repeated batch is not computed like a new one: its outputs are cached"
        yield case.failed(group.first.ref, why, expected=f"{first} calls", found=text)
    elif measured["net"] and not min(new):
        why = "a network gives outputs without computing them: they are cached"
        yield case.failed(group.first.ref, why, expected="calls of its modules", found=text)
    yield Note(f"{name}: {text}; {_times(measured['seconds'])}")


def _times(seconds: dict[str, list[float]]) -> str:
    new, repeated = (1e3 * statistics.median(seconds[name]) for name in ("new", "repeated"))
    return f"{new:.3g} ms new, {repeated:.3g} ms repeated (medians)"
