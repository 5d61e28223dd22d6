"""The mean of what is known of each query that was written; entries name its column, unit and direction."""

from collections.abc import Mapping

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
PARAMS: dict[str, object] = {"column": "", "unit": "share", "higher": True}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the column that is read, the unit, the range and the direction."""
    return {
        "COLUMNS": (options["column"],),
        "UNIT": options["unit"],
        "RANGE": (0.0, 1.0 if options["unit"] == "share" else None),
        "HIGHER_IS_BETTER": options["higher"],
    }


def reduce(rows: Rows, column: str, **_: object) -> Contributions:
    """Each sample for which a query was written adds its own; others do not count."""
    return Contributions(rows.present(column), (rows.column(column),))


def finish(sums: Sums, **_: object) -> Floats:
    """Return the mean over queries; float64 (k,)."""
    return ratio(sums.sums[0], sums.count)
