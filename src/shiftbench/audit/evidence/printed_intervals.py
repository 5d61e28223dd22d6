"""Comparison of intervals in hand-written pages with the rows of the published tables.

`89.0 [87.7, 90.3]` follows from a table if one of its rows has this value and these ends, rounded to the digits that
printed, as they are or in percent, with this sign or the other. The meaning of the row is not compared: exchanged
numbers are not found, edited ones are.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

_NUMBER = r"[-+−]?\d+(?:\.\d+)?"  # noqa: RUF001 - a minus sign is printed, too
_INTERVAL = re.compile(rf"(?<![\w.])({_NUMBER}) \[({_NUMBER}), ({_NUMBER})\]")
_COLUMNS = ("value", "ci_low", "ci_high")
_SCALES = (1.0, 100.0, -1.0, -100.0)


def published(home: Path) -> NDArray[np.float64]:
    """Value and interval of each published row, without those of systems: float64 (rows, 3)."""
    places = [place for place in sorted(home.glob("*/results")) if place.is_dir()]
    frames = [pl.read_parquet(f) for place in places for f in place.rglob("metrics.parquet")]
    frames += [pl.read_csv(f) for place in places for f in place.rglob("leaderboard.csv")]
    rows = [frame.select(pl.col(_COLUMNS).cast(pl.Float64)).drop_nulls() for frame in frames]
    return pl.concat(rows).unique().to_numpy() if rows else np.empty((0, 3))


def without_row(text: str, rows: NDArray[np.float64]) -> Iterator[tuple[str, bool]]:
    """Yield each interval of a text, and whether it is in no row."""
    # With the other sign, the ends are exchanged.
    scaled = np.concatenate([rows[:, [0, 1, 2] if scale > 0 else [0, 2, 1]] * scale for scale in _SCALES])
    scaled = scaled[np.argsort(scaled[:, 0], kind="stable")]
    for match in _INTERVAL.finditer(text):
        numbers = [float(part.replace("−", "-")) for part in match.groups()]  # noqa: RUF001
        half = [0.5 * 10.0 ** -len(part.partition(".")[2]) + 1e-9 for part in match.groups()]
        first, last = np.searchsorted(scaled[:, 0], [numbers[0] - half[0], numbers[0] + half[0]])
        is_near = np.abs(scaled[first:last] - numbers) <= half
        yield match[0], not is_near.all(1).any()
