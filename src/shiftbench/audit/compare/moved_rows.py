"""The rows of two metric tables that differ, with the tolerance that applies to each."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shiftbench.audit.compare.causes import ROUNDING, Cause, Kind
from shiftbench.base.errors import DataError
from shiftbench.data import formats
from shiftbench.statistics import bootstrap

_TIMES = 3
"""How many times the spread of a row's paired resamples its value may move beyond them."""
_KEY = list(formats.METRICS.key)
_ENDS = ("ci_low", "ci_high", "n")
_VALUES = ("value", *_ENDS, "unit")


@dataclass(frozen=True, slots=True)
class MovedRow:
    """A row that differs.

    Attributes:
        key: the key of the row.
        here, there: value, ci_low, ci_high, n; None if there is no such row.
        by: value here minus value there; None if one is not defined.
        tolerance: see `runs`.
        test: `paired draws` or `intervals`, if a test decided.
        difference: the 95% interval of the paired difference.
        contradicted: whether the value moved without its resamples, so that one of them was edited.
        causes: of the difference, those upstream first.
    """

    key: dict[str, Any]
    here: dict[str, Any] | None
    there: dict[str, Any] | None
    by: float | None
    tolerance: str
    test: str = ""
    difference: tuple[float, float] | None = None
    contradicted: bool = False
    causes: tuple[Cause, ...] = ()

    @property
    def cause(self) -> Kind:
        """Kind that the row is counted under: unexplained if any cause is, else the first that explains."""
        kinds = [cause.kind for cause in self.causes]
        if "unexplained" in kinds:
            return "unexplained"
        return next((kind for kind in kinds if kind != "missing"), "missing")

    @property
    def name(self) -> str:
        """The row in words."""
        key = self.key
        level = "" if key["severity"] is None else f"/{key['severity']:g}"
        place = "/".join(filter(None, (key["dataset"], key["split"], key["shift"]))) + level
        evaluation = " ".join(filter(None, (key["model"], key["method"], key["detector"])))
        more = "".join(f", {name} {key[name]}" for name in ("group", "step") if key[name] is not None)
        return f"{key['benchmark']}: {key['metric']} of {evaluation} on {place}{more}"

    @property
    def value_moved(self) -> bool:
        """Whether more than the ends of its interval moved."""
        return self.tolerance != "interval"


def rows(here: Path, there: Path, *, paired: bool) -> tuple[int, list[MovedRow]]:
    """Compare two metric tables, with the replicates in their folders; a file that does not exist has no rows.

    If both runs have the same resamples, rows are compared as pairs.

    Returns:
        The number of rows, and those that moved: the largest movements first, then rows of one run only.
    """
    frames = [_read(file, name) for file, name in ((here, "here"), (there, "there"))]
    both = frames[0].join(frames[1], on=_KEY, how="full", nulls_equal=True, coalesce=True)
    same = (pl.col(f"{name}_here").eq_missing(pl.col(f"{name}_there")) for name in (*_VALUES, "at"))
    moved = both.filter(~pl.all_horizontal(same))
    draws = [_replicates(file, moved) if paired else {} for file in (here, there)]
    rows = [_row(row, *(d.get(_key(row)) for d in draws)) for row in moved.iter_rows(named=True)]
    return len(both), sorted(rows, key=lambda one: (one.by is None, -abs(one.by or 0.0)))


def _read(file: Path, name: str) -> pl.DataFrame:
    """A table whose values are columns `value_here`, ..., and `at_here` true."""
    form = formats.METRICS.arrow
    empty = pl.DataFrame(pl.from_arrow(form.empty_table()))
    try:
        table = pl.read_parquet(file, columns=[*_KEY, *_VALUES]) if file.is_file() else empty
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file} is no table of metrics that can be compared: {error}") from error
    table = table.select(*_KEY, *_VALUES).cast({key: empty.schema[key] for key in _KEY})
    named = {value: f"{value}_{name}" for value in _VALUES}
    return table.rename(named).with_columns(pl.lit(value=True).alias(f"at_{name}"))


def _replicates(metrics: Path, moved: pl.DataFrame) -> dict[tuple[Any, ...], np.ndarray[Any, Any]]:
    """Replicates of the rows that moved."""
    file = metrics.with_name("replicates.parquet")
    if not file.is_file() or moved.is_empty():
        return {}
    try:
        table = pl.scan_parquet(file).join(moved.lazy().select(_KEY), on=_KEY, how="semi", nulls_equal=True)
        frame = table.select(*_KEY, "draws").collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file} is no table of replicates: {error}") from error
    return {_key(row): np.array(row["draws"], dtype=np.float64) for row in frame.iter_rows(named=True)}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def _row(row: dict[str, Any], draws_here: Any, draws_there: Any) -> MovedRow:
    key = {name: row[name] for name in _KEY}
    here, there = (_values(row, name) for name in ("here", "there"))
    if here is None or there is None:
        return MovedRow(key, here, there, None, "only there" if here is None else "only here")
    if here["value"] is None or there["value"] is None:
        same = here["value"] is there["value"]
        return MovedRow(key, here, there, None, "interval" if same else "undefined")
    by = here["value"] - there["value"]
    if abs(by) <= ROUNDING:
        ends = all(_is_near(here[name], there[name]) for name in _ENDS)
        return MovedRow(key, here, there, by, "rounding" if ends else "interval")
    if draws_here is None or draws_there is None or row["unit_here"] != row["unit_there"]:
        inside = _is_inside(here["value"], there) or _is_inside(there["value"], here)
        return MovedRow(key, here, there, by, "within" if inside else "significant", "intervals")
    return _paired(MovedRow(key, here, there, by, "within", "paired draws"), draws_here, draws_there)


def _values(row: dict[str, Any], name: str) -> dict[str, Any] | None:
    return {value: row[f"{value}_{name}"] for value in ("value", *_ENDS)} if row[f"at_{name}"] else None


def _is_near(one: float | None, two: float | None) -> bool:
    if one is None or two is None:
        return one is two
    return abs(one - two) <= ROUNDING


def _is_inside(value: float, of: dict[str, Any]) -> bool:
    return of["ci_low"] is not None and of["ci_low"] <= value <= of["ci_high"]


def _paired(moved: MovedRow, draws_here: Any, draws_there: Any) -> MovedRow:
    """Decide by the interval of the paired difference; resamples that only one run has are left out."""
    count = min(len(draws_here), len(draws_there))
    differences = draws_here[:count] - draws_there[:count]
    low, high = (float(end) for end in bootstrap.interval(differences))
    if np.isnan(low):  # fewer than two resamples are defined
        return replace(moved, test="")
    # An edit of the value leaves its own resamples unchanged.
    spread = np.ptp(differences[~np.isnan(differences)])
    contradicted = bool(abs((moved.by or 0.0) - np.nanmean(differences)) > ROUNDING + _TIMES * spread)
    tolerance = "within" if low <= 0 <= high and not contradicted else "significant"
    return replace(moved, tolerance=tolerance, difference=(low, high), contradicted=contradicted)
