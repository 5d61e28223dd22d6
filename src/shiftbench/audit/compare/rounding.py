"""Rounding: whether two tables differ by no more than the order of additions, which kernels choose, can move a sum."""

from pathlib import Path

import polars as pl

ROUNDING = 1e-9


def same(here: Path, there: Path) -> bool:
    """Tell whether two Parquet files have the same rows, numbers within `ROUNDING` of each other.

    What cannot be read, or has other columns, is not the same.
    """
    try:
        frames = [pl.read_parquet(file) for file in (here, there)]
    except (OSError, pl.exceptions.PolarsError):
        return False
    one, two = frames
    if one.schema != two.schema or one.height != two.height:
        return False
    return all(_near(one[name], two[name]) for name in one.columns)


def _near(one: pl.Series, two: pl.Series) -> bool:
    if isinstance(one.dtype, pl.List):
        same = one.list.len().eq_missing(two.list.len()).all()
        return bool(same) and _near(one.explode(), two.explode())
    if not one.dtype.is_float():
        return bool(one.eq_missing(two).all())
    near = ((one - two).abs() <= ROUNDING) | one.eq_missing(two)
    return bool(near.fill_null(value=False).all())
