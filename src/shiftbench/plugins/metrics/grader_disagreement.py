"""Share of completions on which graders that reach a verdict do not agree; of those that two or more can judge.

Source: ours. It bounds what the choice of a grader can change: over these completions, the shares that two graders
take for right differ by no more.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("verdicts",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(rows: Rows) -> Contributions:
    """Each prompt adds how many of its completions are judged differently, and how many are judged twice or more."""
    found = [_counts(own) for own in rows.table.column("verdicts").to_pylist()]
    differing, judged = np.array(found, np.int64).reshape(-1, 2).T
    counting = rows.counting * (judged > 0)
    return Contributions(counting, (differing * counting, judged * counting))


def finish(sums: Sums) -> Floats:
    """Differing ones by all that are judged; float64 (k,)."""
    return ratio(sums.sums[0], sums.sums[1])


def _counts(verdicts: list[list[bool | None]]) -> tuple[int, int]:
    said = [[one for one in each if one is not None] for each in verdicts]
    several = [each for each in said if len(each) > 1]
    return sum(any(each) and not all(each) for each in several), len(several)
