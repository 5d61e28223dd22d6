"""Rows of one metric under shifts, each beside its clean row."""

from collections.abc import Iterable, Iterator

import numpy as np

from shiftbench.statistics.rows import Floats, Row


def beside(rows: Iterable[Row], metric: str) -> Iterator[tuple[Row, Row]]:
    """Yield (shifted row, clean row) of the same weights, method and group; domain shifts, too."""
    rows = [row for row in rows if row.metric == metric and row.step is None]
    clean = {(*_who(row), row.condition): row for row in rows if row.reference is None}
    for row in rows:
        if row.reference is not None and row.shift is not None and row.detector is None:
            found = clean.get((*_who(row), row.reference))
            if found is not None:
                yield row, found


def change(shifted: Row, clean: Row, least: float) -> Floats:
    """Return (shifted - clean) / clean, float64 (1 + draws,); NaN where clean is below `least`."""
    before, after = clean.all, shifted.all
    defined = before >= max(least, np.finfo(float).tiny)
    return np.where(defined, (after - before) / np.where(defined, before, 1), np.nan)


def _who(row: Row) -> tuple[str | None, ...]:
    return row.model, row.method, row.group
