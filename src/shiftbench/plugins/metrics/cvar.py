"""Conditional value at risk: the mean over the worst 1 - `level` of the samples, the largest values of a column.

Of n samples round(n (1 - level)) are averaged, one at least; level 0 is the mean. Equal values are alike, so that no
order decides.

Source: Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk", Journal of Risk 2(3); as the mean of
a tail, `calcu_cvar` of MPTS (thu-rllab/MPTS, sinusoid/utils.py). We differ: there the size is `int(n * (1 - level))`,
which is 99 for 1,000 tasks at level 0.9.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "resampled"
PARAMS: dict[str, object] = {"column": "risk_e9", "level": 0.9}
UNIT = "squared unit or nat"
RANGE = (None, None)
HIGHER_IS_BETTER = False
_LIMIT = 1 << 62


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the column that is read."""
    return {"COLUMNS": (options["column"],)}


def compute(rows: Rows, weights: NDArray[np.uint8], *, column: str, level: float) -> Floats:
    """Return the value for each draw, float64 (k,), from weights uint8 (n, k).

    Raises:
        ParamsError: `level` lies outside [0, 1).
        RangeError: the sum of a tail could pass 2**62.
    """
    if not 0 <= level < 1:
        raise ParamsError(f"cvar: level is {level!r}; expected 0 (the mean) or more, below 1")
    there = rows.present(column).astype(bool)
    values, counts = rows.column(column)[there], weights[there].astype(np.int64)
    order = np.argsort(-values, kind="stable")
    values, counts = values[order], counts[order]
    if len(values) and int(np.abs(values).max()) * int(counts.sum(axis=0).max()) > _LIMIT:
        raise RangeError(f"{column}: {len(values):,} values up to {values[0]:,} are too large to be added exactly")
    tail = tail_sizes(counts.sum(axis=0), level)
    before = np.cumsum(counts, axis=0) - counts
    taken = np.clip(tail - before, 0, counts)
    return ratio((taken * values[:, None]).sum(axis=0), tail * E9)


def tail_sizes(counts: NDArray[np.int64], level: float) -> NDArray[np.int64]:
    """Return how many of so many samples are the tail, int64; 0 of none."""
    wanted = np.rint(counts * (1 - level)).astype(np.int64)
    return np.minimum(np.maximum(wanted, 1), counts)  # type: ignore[no-any-return]
