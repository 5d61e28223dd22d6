"""Close-call rate: of the wrong counts, the share that is off by one.

Samples that ask for a number have two graders, whether an answer is right and whether it is off by one; the first
completion counts, and samples with one grader do not.

Source: the paper, section IV-A, equation 2 (there in percent).
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("verdicts",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
GRADERS = 2
"""How many graders a sample has that asks for a number: the second tells what is off by one."""


def reduce(rows: Rows) -> Contributions:
    """Each wrong count adds whether it is off by one."""
    found = [_close(own) for own in rows.table.column("verdicts").to_pylist()]
    close, wrong = np.array(found, np.int64).reshape(-1, 2).T
    counting = rows.counting * wrong
    return Contributions(counting, (close * counting,))


def finish(sums: Sums) -> Floats:
    """Return the share, float64 (draws,)."""
    return ratio(sums.sums[0], sums.count)


def _close(verdicts: list[list[bool | None]]) -> tuple[bool, bool]:
    first = verdicts[0]
    wrong = len(first) == GRADERS and first[0] is not True
    return wrong and first[-1] is True, wrong
