"""Metric rows with their replicates, by hand."""

from typing import Any

import numpy as np
import polars as pl

from shiftbench.data import formats
from shiftbench.statistics.claims.metric_rows import MetricRows

PLACE = {
    "benchmark": "c", "task": "classification", "method": "plain", "detector": None, "dataset": "d", "split": "test",
    "reference": None, "shift": "fog", "severity": 1.0, "group": None, "step": None, "metric": "accuracy",
}  # fmt: skip
FOG = {"metric": "accuracy", "model": "net-erm", "shift": "fog"}


def rows(*given: dict[str, Any], draws: int = 200) -> MetricRows:
    """Make rows of metrics of which higher is better; `value` is a number, or the value and its replicates."""
    places, values = [], []
    for one in given:
        value = np.asarray(one["value"], dtype=float).ravel()
        values.append(value if len(value) > 1 else np.full(1 + draws, value[0]))
        weights = f"d/{one['model']}"
        seed = int(weights.rsplit("-s", 1)[1]) if "-s" in weights else None
        places.append({**PLACE, **one, "model": weights, "seed": seed})
    form = {c.name: pl.Float64 if c.name == "severity" else pl.String for c in formats.METRICS.columns}
    schema = {name: form[name] for name in formats.METRICS.key} | {"step": pl.Int32, "seed": pl.Int32}
    frame = pl.DataFrame([{n: p[n] for n in schema} for p in places], schema=schema)
    return MetricRows(frame, np.stack(values), higher_is_better={"accuracy": True, "error": False})
