"""If evaluation gives other rows, accuracy on the same samples is equal, and the environment explains it.

Pass rule: applies only if `reevaluation` is not exact. The result is statistical if all of this holds. CPU features,
kernels of torch and BLAS, library versions or the device differ from the run, and are named. No score moved by more
than ten times what the batch size was measured to move here (or 256 units of the last place), so that a prediction
flips only where its logits are that close. Accuracy on the same samples is in the 95% interval (Clopper-Pearson) of the
recorded one. The samples that are correct only once favour no side (exact McNemar test, p of at least 0.05). Otherwise
the check fails; what only a GPU could decide is incomplete. Role model: TEST01 of MLPerf, second stage.

Limits: within these differences, the audit trusts the environment of the run file.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce.evaluated_batches import evaluate_again
from shiftbench.audit.reproduce.tolerance import accuracy, judge

NUMBER, LEVEL = "A22", 3


def check(case: Case) -> Iterator[Finding | Note]:
    """Judge the evaluations that are not exact."""
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
