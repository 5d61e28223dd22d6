"""Verdict on rows that are not exact, for `reevaluation` and `fallback`."""

from collections.abc import Sequence
from dataclasses import dataclass

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Verdict
from shiftbench.audit.reproduce.evaluated_batches import Group, reasons
from shiftbench.audit.reproduce.row_comparison import Comparison

FACTOR = 10
"""Another environment may move a score by this factor times what the batch size moves it here."""
UNITS = {"float32": 256 * 2.0**-24, "float16": 8 * 2.0**-11, "bfloat16": 8 * 2.0**-8}
"""Difference of a score that the arithmetic of a precision may make, relative to the largest score (or 1)."""
DEVICE = {"float32": 1e-2}
"""The same between a GPU and a CPU, which only such a device can judge; else `COARSE`."""
COARSE = 0.1
LEVEL = 0.95


@dataclass(frozen=True)
class Accuracy:
    """Correct samples among those with a label, then and now.

    `low` and `high` are the 95% interval of the accuracy then (Clopper-Pearson). `p` is of the exact McNemar test on
    the samples that are correct only once.
    """

    known: int
    then: int
    now: int
    low: float
    high: float
    p: float

    @property
    def holds(self) -> bool:
        """Whether the accuracy is within the interval and the flips favour no side."""
        if not self.known:
            return True
        return self.low <= self.now / self.known <= self.high and self.p >= 1 - LEVEL

    def __str__(self) -> str:
        """The accuracy in a few words."""
        if not self.known:
            return "no sample has a label"
        return (
            f"accuracy {self.now / self.known:.4f} on {self.known} samples, recorded {self.then / self.known:.4f} "
            f"(95% interval {self.low:.4f} to {self.high:.4f}, McNemar p = {self.p:.2g})"
        )


def accuracy(comparisons: Sequence[Comparison]) -> Accuracy:
    """Accuracy then and now over some conditions."""
    from scipy.stats import binomtest

    known, then = sum(c.known for c in comparisons), sum(c.right for c in comparisons)
    gained, lost = sum(c.gained for c in comparisons), sum(c.lost for c in comparisons)
    if not known:
        return Accuracy(0, 0, 0, 0.0, 1.0, 1.0)
    interval = binomtest(then, known).proportion_ci(LEVEL, method="exact")
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Accuracy(known, then, then + gained - lost, interval.low, interval.high, p)


def allowed(group: Group, one: Comparison) -> float:
    """Largest difference of a score that another environment may make.

    It follows from measurements of the same model in this audit, never from a run file. A prediction flips
    only if its logits are closer than twice this.
    """
    moved = (group.answer.get("sensitivity") or {}).get("batch") or {}
    unit = UNITS.get(one.artifact.recipe["precision"], UNITS["bfloat16"])
    return max(FACTOR * float(moved.get("largest", 0.0)), unit * max(1.0, one.scale))


def judge(case: Case, group: Group) -> tuple[Verdict, str]:
    """Verdict on a group that is not exact, and why.

    Statistical only if the environment gives a reason, no score moved by more than the measurements explain, and
    accuracy on the same samples agrees with the recorded one. What only another device could decide is incomplete.
    """
    wrong = [one for one in group.comparisons if one.other]
    hard = sorted({name for one in wrong for name in one.hard})
    if hard:
        return "failed", f"no environment changes {', '.join(hard)}"
    explanation = "; ".join(reasons(case, group))
    if not explanation:
        return "failed", "nothing in the environment differs from the run's"
    compared = accuracy(wrong)
    if not compared.holds:
        return "failed", f"{compared}, more than these explain: {explanation}"
    for one in wrong:
        if one.largest > allowed(group, one):
            why = f"a score moved by {one.largest:.3g}, and {allowed(group, one):.3g} was measured to be possible"
            tolerance = DEVICE.get(one.artifact.recipe["precision"], COARSE) * max(1.0, one.scale)
            if "device " in explanation and one.largest <= tolerance:
                return "incomplete", f"{why}; audit on such a device: {explanation}"
            return "failed", f"{why}, more than these explain: {explanation}"
    return "statistical", f"{compared}; what differs: {explanation}"
