"""Joint error: mean over persons of how far the joints of arms and legs are from the true ones, in torsos.

A torso is the longer diagonal from a shoulder to the other hip. Of a person each labelled one of twelve joints counts
alike; one that errs by more than a torso errs by one, as do all joints of a person whom nobody found.

Source: ours, after the error in pixels of PoseExaminer, Liu et al. 2023, arXiv:2303.07337.
"""

from __future__ import annotations

from shiftbench.metrics import _people
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("limb_errors_e9", "true_crowd")
PARAMS: dict[str, object] = {}
UNIT = "torso"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each image adds the errors of its persons."""
    return _people.reduce(rows, COLUMNS[0])


def finish(sums: Sums) -> Floats:
    """Return the mean over persons, float64 (k,); NaN without one."""
    return _people.finish(sums)
