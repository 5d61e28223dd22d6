"""The mean over clips of a measure of each clip; entries name the measure's column, unit and direction."""

from collections.abc import Mapping

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
PARAMS: dict[str, object] = {"column": "", "unit": "score", "low": None, "higher": True}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the column that is read, the unit, the range and the direction."""
    return {
        "COLUMNS": (options["column"],),
        "UNIT": options["unit"],
        "RANGE": (options["low"], None if options["low"] != -1 else 1.0),
        "HIGHER_IS_BETTER": options["higher"],
    }


def reduce(rows: Rows, column: str, **_: object) -> Contributions:
    """Each clip adds its own; those without the measure do not count."""
    return Contributions(rows.present(column), (rows.column(column),))


def finish(sums: Sums, column: str, **_: object) -> Floats:
    """Return the mean over clips; float64 (k,)."""
    return ratio(sums.sums[0] / (E9 if column.endswith("_e9") else 1), sums.count)
