"""The recorded effect of batch size and device on outputs is measured again.

Pass rule: covers each (model, method) whose method sees one sample at a time. Recorded are the largest difference of a
logit and the share of predictions that flip, between batches of one sample and of the run's size. The same samples are
predicted again. The check fails if nothing is recorded, or if the values differ in the same environment. In another
environment, it fails if one difference is more than ten times the other and more than 0.001. The difference to a second
device is noted, if there is one.

Limits: 16 samples, as in a run. A GPU gives other last digits each time, so that the rule of another environment
applies there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce.evaluated_batches import Group, evaluate_again, reasons

NUMBER, LEVEL = "A21", 3
FACTOR, FLOOR = 10, 1e-3


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the recorded sensitivity with a new measurement."""
    done = evaluate_again(case)
    groups = done.complete
    for group in groups:
        if group.sees != "sample":
            yield Note(f"{group.job.name}: its method sees more than one sample; nothing is recorded")
        else:
            yield from _group(case, group)
    yield Note(f"{len(groups)} (model, method) checked")


def _group(case: Case, group: Group) -> Iterator[Finding | Note]:
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
