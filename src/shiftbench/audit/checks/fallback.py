"""Where rows did not come out again exactly, accuracy on the same samples did, and the environment gives the reason.

Pass rule: only asked where `reevaluation` is not exact. Statistical, if CPU features, the kernels that torch and BLAS
chose, library versions or the device are not those of the run (they are named), no score moved by more than ten times
what the batch size was measured to move here (or 256 units of the last place), accuracy on the same samples lies in
the 95% interval (Clopper-Pearson) of the recorded one, and the samples that are right only once take no side (exact
McNemar test, p of at least 0.05). So a prediction flips only where its logits lie that close. Else failed; what only
a GPU could judge is incomplete. Role model: TEST01 of MLPerf, second stage. Limits: within these differences, an
environment that a run file states is believed.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce.evaluated_batches import evaluated
from shiftbench.audit.reproduce.tolerance import accuracy, judge

NUMBER, LEVEL = "A22", 3


def check(case: Case) -> Iterator[Finding | Note]:
    """Judge what did not come out exactly."""
    done = evaluated(case)
    inexact = [group for group in done.unbroken if not group.exact]
    for group in inexact:
        verdict, why = judge(case, group)
        ref = next(one.artifact.ref for one in group.comparisons if one.other)
        compared = accuracy([one for one in group.comparisons if one.other])
        yield case.finding(
            verdict,
            ref,
            f"{group.job.name} did not come out exactly: {why}",
            expected=f"{compared.then} of {compared.known} right",
            found=f"{compared.now} of {compared.known} right",
        )
    exact = sum(group.exact for group in done.groups)
    yield Note(f"{exact} of {len(done.groups)} (weights, method) are exact and need no fallback")
