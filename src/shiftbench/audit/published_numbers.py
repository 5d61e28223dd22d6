"""Published numbers in words: the rows of metric tables that depend on an output."""

from typing import Any

import numpy as np
import polars as pl

_PLACE = ("model", "method", "dataset", "split", "shift", "severity")


def of_evaluations(table: pl.DataFrame, rows: list[dict[str, Any]]) -> list[str]:
    """Metric rows of some evaluations in words, then the curves and means that they enter.

    Args:
        table: metric rows of one benchmark.
        rows: the evaluations, as `Plan.rows` gives them.
    """
    if not rows:
        return []
    places = pl.DataFrame([{name: row[name] for name in _PLACE} for row in rows]).unique()
    places = places.cast({name: table.schema[name] for name in _PLACE})
    direct = table.join(places, on=list(_PLACE), how="semi", nulls_equal=True)
    seeded = {row["model"] for row in rows}
    means = {name.rsplit("-s", 1)[0] for name in seeded}
    is_mean = pl.col("model").is_in(list(means))
    wide = table.filter(
        pl.col("model").is_in(list(seeded | means)), pl.col("shift").is_null() | pl.col("severity").is_null() | is_mean
    ).join(direct, on=table.columns, how="anti", nulls_equal=True)
    return [*of_table(direct), *of_table(wide)]


def of_table(table: pl.DataFrame) -> list[str]:
    """All metric rows of a table in words."""
    return [spell(row) for row in table.iter_rows(named=True)]


def spell(row: dict[str, Any]) -> str:
    """A metric row in words: benchmark, metric, model, condition and value."""
    severity = row["severity"]
    level = "" if severity is None else f"/{np.format_float_positional(severity, trim='-')}"
    place = "/".join(filter(None, (row["dataset"], row["split"], row["shift"]))) + level
    evaluation = " ".join(filter(None, (row["model"].rpartition("/")[2], row["detector"])))
    value = "undefined" if row["value"] is None else f"{row['value']:.6g}"
    return f"{row['benchmark']}: {row['metric']} of {evaluation} on {place} = {value}"
