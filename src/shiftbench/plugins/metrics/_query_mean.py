"""The mean over queries of a measure of each query's list; entries name the measure's column."""

from collections.abc import Mapping

from shiftbench.plugins.metrics import _queries
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
PARAMS: dict[str, object] = {"column": ""}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that are read."""
    return {"COLUMNS": (options["column"],)}


def reduce(rows: Rows, column: str) -> Contributions:
    """Each query adds its own."""
    return _queries.mean_of(rows, column)


def finish(sums: Sums, column: str) -> Floats:
    """Return the mean over queries; float64 (k,)."""
    return _queries.mean(sums)
