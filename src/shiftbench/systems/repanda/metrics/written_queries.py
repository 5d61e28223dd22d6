"""Means over the queries that a model wrote; variants name column, unit and direction."""

from collections.abc import Mapping
from typing import Any

from shiftbench.plugins import declare, fields
from shiftbench.statistics.contributions import Contributions, mean
from shiftbench.statistics.rows import Rows


def _facts(options: Mapping[str, Any]) -> dict[str, object]:
    return {
        "COLUMNS": (options["column"],),
        "UNIT": options["unit"],
        "RANGE": (0.0, 1.0 if options["unit"] == "share" else None),
        "HIGHER_IS_BETTER": options["higher"],
    }


@declare.sample_metric(finish=mean, facts=_facts)
def _query_rows(
    rows: Rows, *, column: fields.Column = "", unit: fields.Unit = "share", higher: fields.Higher = True
) -> Contributions:
    """Mean of a column over the samples for which a query was written."""
    return Contributions(rows.present(column), (rows.column(column),))
