"""The mean over completions of a quantity of each; entries name its column, unit and direction."""

from collections.abc import Mapping

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows

KIND = "sample"
PARAMS: dict[str, object] = {"column": "", "unit": "token", "higher": False}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the column that is read, the unit, the range and the direction."""
    return {
        "COLUMNS": (options["column"],),
        "UNIT": options["unit"],
        "RANGE": (0.0, 1.0 if options["unit"] == "share" else None),
        "HIGHER_IS_BETTER": options["higher"],
    }


def reduce(rows: Rows, column: str, **_: object) -> Contributions:
    """Each prompt adds those of its completions; one whose tokens are not known does not count."""
    return totals(rows, column)


def finish(sums: Sums, column: str, **_: object) -> Floats:
    """Return the mean over completions; float64 (k,)."""
    return ratio(sums.sums[0] / (E9 if column.endswith("_e9") else 1), sums.sums[1])


def totals(rows: Rows, column: str) -> Contributions:
    """Return, for each prompt that counts, the sum and the number of the values in its list."""
    lists = rows.table.column(column).combine_chunks()
    sizes: Ints = lists.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(values)])
    upto = np.concatenate([[0], np.cumsum(sizes)])
    counting = rows.counting * (sizes > 0)
    sums: Ints = ends[upto[1:]] - ends[upto[:-1]]
    return Contributions(counting, (sums * counting, sizes * counting))
