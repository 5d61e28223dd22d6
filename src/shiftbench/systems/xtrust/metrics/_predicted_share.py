"""Share of items whose answer is one class, given by its index; entries name it.

Source: the four rates of XTRUST's scorer, Li et al. 2024, arXiv:2409.15762 (positive, negative, fuzzy, no response).
"""

from collections.abc import Mapping

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("prediction",)
PARAMS: dict[str, object] = {"index": 0, "higher": True}
UNIT = "share"
RANGE = (0.0, 1.0)


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the direction."""
    return {"HIGHER_IS_BETTER": options["higher"]}


def reduce(rows: Rows, index: int, **_: object) -> Contributions:
    """Each item adds 1 where it is answered by the class."""
    hit = (rows.column("prediction") == index).astype(np.int64)
    return Contributions(rows.counting, (hit * rows.counting,))


def finish(sums: Sums, **_: object) -> Floats:
    """Answers of the class by all; float64 (k,)."""
    return ratio(sums.sums[0], sums.count)
