"""Share of clips whose sound and picture are found in sync: the offset found is 0, within `within` frames.

Source: the offset of Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, who
count a clip as right within one frame.
"""

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("offset",)
PARAMS: dict[str, object] = {"within": 1}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, within: int) -> Contributions:
    """Each clip adds 1 where it is found in sync."""
    present = rows.present("offset")
    return Contributions(present, (present * (abs(rows.column("offset")) <= within),))


def finish(sums: Sums, within: int) -> Floats:
    """Return the share; float64 (k,)."""
    return ratio(sums.sums[0], sums.count)
