"""Checks of evaluations: drawn batches evaluated again, and what a cache or another device changes."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import confinement
from shiftbench.audit.reproduce.evaluated_batches import Group, evaluate_again, reasons
from shiftbench.audit.reproduce.tolerance import accuracy, judge


@check("A20", level=3)
def reevaluation(case: Case) -> Iterator[Finding | Note]:
    """A sample of the recorded batches, evaluated again without any cache, gives the same rows.

    Pass rule: for each (model, method), `--sample` whole batches are drawn over all conditions. A batch is `batch_size`
    samples in key order; batch size, threads and precision are the recorded ones. The shards of a batch are read, and
    shifted again if the shift is applied while reading. Every column of the rows, and kept features, equal the recorded
    ones. The process can reach nothing but the inputs of these records. If the method adapts along a stream, everything
    before the batch is evaluated again too. `fallback` judges differences.

    Limits: a fault in a share f of the batches is detected with probability 1-(1-f)^k. CUDA does not promise equal
    bits, even on one card.
    """
    done = evaluate_again(case)
    yield from done.problems
    for group in done.groups:
        yield from _rows(case, group)
    if not done.groups:
        yield Note("nothing could be evaluated again")
    yield confinement.note()


def _rows(case: Case, group: Group) -> Iterator[Finding | Note]:
    name = group.job.name
    if group.error:
        why = f"it cannot be evaluated again: {group.error}"
        yield case.failed(group.first.ref, why)
        return
    for one in group.comparisons:
        if one.other:
            verdict, why = judge(case, group)
            yield case.finding(
                verdict,
                one.artifact.ref,
                f"evaluated again, {', '.join(one.other)} differs: {why}",
                sample=one.sample,
                expected="the recorded rows",
                found=str(one),
            )
    samples = sum(one.samples for one in group.comparisons)
    batches = sum(map(len, group.batches.values()))
    exact = "all rows equal" if group.exact else "not all rows equal"
    yield Note(f"{name}: {batches} batches of {len(group.comparisons)} conditions, {samples} samples: {exact}")


FACTOR, FLOOR = 10, 1e-3


@check("A21", level=3)
def sensitivity(case: Case) -> Iterator[Finding | Note]:
    """The recorded effect of batch size and device on outputs is measured again.

    Pass rule: covers each (model, method) whose method sees one sample at a time. Recorded are the largest difference
    of a logit and the share of predictions that flip, between batches of one sample and of the run's size. The same
    samples are predicted again. The check fails if nothing is recorded, or if the values differ in the same
    environment. In another environment, it fails if one difference is more than ten times the other and more than
    0.001. The difference to a second device is noted, if there is one.

    Limits: 16 samples, as in a run. A GPU gives other last digits each time, so that the rule of another environment
    applies there.
    """
    done = evaluate_again(case)
    groups = done.complete
    for group in groups:
        if group.sees != "sample":
            yield Note(f"{group.job.name}: its method sees more than one sample; nothing is recorded")
        else:
            yield from _sensitivity(case, group)
    yield Note(f"{len(groups)} (model, method) checked")


def _sensitivity(case: Case, group: Group) -> Iterator[Finding | Note]:
    name, ref = group.job.name, group.first.ref
    recorded = (case.run_file(ref) or {}).get("sensitivity")
    measured = group.answer["sensitivity"]
    if not isinstance(recorded, dict) or "batch" not in recorded:
        why = "the run file states no sensitivity to the batch size; run again"
        yield case.failed(ref, why, file=f"{ref.path}.run.json")
        return
    if not recorded["batch"] or not measured["batch"]:
        reason = recorded.get("reason") or measured.get("reason")
        yield Note(f"{name}: sensitivity cannot be measured: {reason}")
        return
    here, then = measured["batch"], recorded["batch"]
    if _differs(case, group, here, then):
        why = "the effect of the batch size on outputs is not the recorded one"
        file = f"{ref.path}.run.json"
        yield case.failed(ref, why, file=file, expected=_text(here), found=_text(then))
    device = f"; to another device {_text(measured['device'])}" if "device" in measured else ""
    yield Note(f"{name}: {_text(here)}, recorded {_text(then)}{device}")


def _differs(case: Case, group: Group, here: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    """Whether a measurement differs from the recorded one; in another environment, one of 16 samples may flip."""
    same_samples = group.first.ref.name == group.job.artifacts[0].ref.name
    if same_samples and str(group.answer.get("device")) == "cpu" and not reasons(case, group):
        return any(here[name] != then.get(name) for name in ("largest", "flip_rate"))
    low, high = sorted((here["largest"], float(then.get("largest", 0.0))))
    return bool(high > max(FLOOR, FACTOR * low))


def _text(measured: Mapping[str, Any]) -> str:
    return f"{measured['flip_rate']:.2%} flips, largest difference {measured['largest']:.2g}"


@check("A22", level=3)
def fallback(case: Case) -> Iterator[Finding | Note]:
    """If evaluation gives other rows, accuracy on the same samples is equal, and the environment explains it.

    Pass rule: applies only if `reevaluation` is not exact. The result is statistical if all of this holds. CPU
    features, kernels of torch and BLAS, library versions or the device differ from the run, and are named. No score
    moved by more than ten times what the batch size was measured to move here (or 256 units of the last place), so that
    a prediction flips only where its logits are that close. Accuracy on the same samples is in the 95% interval
    (Clopper-Pearson) of the recorded one. The samples that are correct only once favour no side (exact McNemar test, p
    of at least 0.05). Otherwise the check fails; what only a GPU could decide is incomplete. Role model: TEST01 of
    MLPerf, second stage.

    Limits: within these differences, the audit trusts the environment of the run file.
    """
    done = evaluate_again(case)
    inexact = [group for group in done.complete if not group.exact]
    for group in inexact:
        verdict, why = judge(case, group)
        ref = next(one.artifact.ref for one in group.comparisons if one.other)
        compared = accuracy([one for one in group.comparisons if one.other])
        yield case.finding(
            verdict,
            ref,
            f"{group.job.name} is not exact: {why}",
            expected=f"{compared.then} of {compared.known} right",
            found=f"{compared.now} of {compared.known} right",
        )
    exact = sum(group.exact for group in done.groups)
    yield Note(f"{exact} of {len(done.groups)} (model, method) are exact and need no fallback")


@check("A23", level=3)
def caching(case: Case) -> Iterator[Finding | Note]:
    """Evaluation computes a repeated batch like a new one, and reads no undeclared file.

    Pass rule: a repeated batch calls as many torch modules as the same batch when it was new (five batches, in turn),
    and a network calls at least one. While batches are evaluated, Python reads only inputs, assets that a recipe names,
    installed files and files of the system (`provenance.opened_files`), and runs only definitions that the recipe has
    (`provenance.ran`). Times are printed and decide nothing, since a busy machine changes them. Role model: TEST04 of
    MLPerf.

    Limits: calls of black boxes are not counted; files that a library opens by itself (Arrow, ONNX) are not seen.
    """
    done = evaluate_again(case)
    groups = done.complete
    for group in groups:
        for event in group.answer["undeclared"]:
            why = f"evaluation {event}, which no recipe names; name a file in ASSETS, or pin it"
            yield case.failed(group.first.ref, why, found=event)
        yield from _batches(case, group)
    yield Note(f"{len(groups)} (model, method) checked")


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
    seconds = (1e3 * statistics.median(measured["seconds"][name]) for name in ("new", "repeated"))
    yield Note("{}: {}; {:.3g} ms new, {:.3g} ms repeated (medians)".format(name, text, *seconds))
