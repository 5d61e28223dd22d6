"""Pass@4: the share of questions of which one of four sampled answers is right; the greedy first one does not count.

Of a model that gives its most likely answer and then `k` that are drawn: the last k count, of one that gives fewer all.

Source: the paper, table III (in parentheses); `compute_accuracy_with_sampling` in model/pali_cvbench_eval_check.ipynb
of Yvonne511/spatial-vlm-investigator: any of four samples at temperature 1. With four samples that is pass@4 of Chen et
al. 2021, arXiv:2107.03374.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("passed",)
PARAMS: dict[str, object] = {"k": 4}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, *, k: int) -> Contributions:
    """Each question adds whether one of its last k answers is right."""
    found = [any(own[-k:]) for own in rows.table.column("passed").to_pylist()]
    return Contributions(rows.counting, (np.array(found, np.int64) * rows.counting,))


def finish(sums: Sums, *, k: int) -> Floats:
    """Return the share, float64 (draws,)."""
    return ratio(sums.sums[0], sums.count)
