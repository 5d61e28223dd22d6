"""Risk over tasks, after a model has adapted to each; and the correlation of two columns of the records."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.data.formats import E9
from shiftbench.plugins import declare, fields
from shiftbench.statistics.contributions import Contributions, mean_e9, ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.statistics.thresholds import Weights

RISK = "squared unit or nat"
_LIMIT = 1 << 62


class Moments:
    """Weighted means and products of columns, over the rows in which all of them have a value.

    Sums run down the rows, one IEEE addition after the other, so they are the same on every machine.

    Args:
        rows: records of one condition.
        weights: uint8 (n, k).
        columns: names of columns in billionths.
    """

    def __init__(self, rows: Rows, weights: Weights, columns: tuple[str, ...]) -> None:
        known = np.logical_and.reduce([rows.present(name).astype(bool) for name in columns])
        self.values = [rows.column(name)[known, None] / E9 for name in columns]
        self.weights = weights[known].astype(np.float64)
        self.count = self.weights.sum(axis=0)

    def centred(self, at: int) -> Floats:
        """A column less its mean, float64 (n, k); exactly 0 if it does not vary."""
        values, counted = self.values[at], self.weights > 0
        mean = ratio((self.weights * values).sum(axis=0), self.count)
        lowest = np.where(counted, values, np.inf).min(axis=0, initial=np.inf)
        highest = np.where(counted, values, -np.inf).max(axis=0, initial=-np.inf)
        return np.asarray((values - mean) * (lowest < highest))

    def product(self, one: Floats, other: Floats) -> Floats:
        """The weighted mean of a product, float64 (k,); NaN if nothing counts."""
        return ratio((self.weights * one * other).sum(axis=0), self.count)


@declare.sample_metric(columns=("risk_e9",), finish=mean_e9, higher_is_better=False, unit=RISK, bounds=(0.0, None))
def risk(rows: Rows) -> Contributions:
    """Mean risk over tasks, after adaptation to each: squared units for regression, nats for classes.

    Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, equation 1.
    """
    return Contributions(rows.present("risk_e9"), (rows.column("risk_e9"),))


@declare.resampled_metric(columns=("risk_e9",), higher_is_better=False, unit=RISK, bounds=(0.0, None))
def risk_std(rows: Rows, weights: Weights) -> Floats:
    """Standard deviation of the risk over tasks (the divisor is one less than the tasks); NaN below two tasks.

    Source: the score `test_score_std` of MPTS (thu-rllab/MPTS, sinusoid/test.py): `torch.std`.
    """
    moments = Moments(rows, weights, ("risk_e9",))
    centred = moments.centred(0)
    variance = moments.product(centred, centred)
    return np.sqrt(ratio(variance * moments.count, np.maximum(moments.count - 1, 0)))


def _column(options: Mapping[str, Any]) -> dict[str, object]:
    return {"COLUMNS": (options["column"],)}


def _columns(options: Mapping[str, Any]) -> dict[str, object]:
    return {"COLUMNS": tuple(options["columns"])}


@declare.resampled_metric(facts=_column, higher_is_better=False, unit=RISK, bounds=(None, None))
def cvar(
    rows: Rows,
    weights: Weights,
    column: fields.Column = "risk_e9",
    level: Annotated[float, Field(ge=0, lt=1, description="share of the samples that are not in the tail")] = 0.9,
) -> Floats:
    """Conditional value at risk: the mean over the worst 1 - `level` of the samples, the largest values of a column.

    Of n samples round(n (1 - level)) are averaged, at least one. Level 0 is the mean. Equal values are alike, so that
    no order decides. The column is in billionths.

    Source: Rockafellar and Uryasev 2000, "Optimization of conditional value-at-risk", Journal of Risk 2(3); as the mean
    of a tail, `calcu_cvar` of MPTS (thu-rllab/MPTS, sinusoid/utils.py). We differ: there the size is
    `int(n * (1 - level))`, which is 99 for 1,000 tasks at level 0.9.
    """
    if not 0 <= level < 1:
        raise ParamsError(f"cvar: level is {level!r}; expected 0 (the mean) or more, below 1")
    known = rows.present(column).astype(bool)
    values, counts = rows.column(column)[known], weights[known].astype(np.int64)
    order = np.argsort(-values, kind="stable")
    values, counts = values[order], counts[order]
    if len(values) and int(np.abs(values).max()) * int(counts.sum(axis=0).max()) > _LIMIT:
        raise RangeError(f"{column}: {len(values):,} values up to {values[0]:,} are too large to be added exactly")
    tail = tail_sizes(counts.sum(axis=0), level)
    before = np.cumsum(counts, axis=0) - counts
    taken = np.clip(tail - before, 0, counts)
    return ratio((taken * values[:, None]).sum(axis=0), tail * E9)


def tail_sizes(counts: NDArray[np.int64], level: float) -> NDArray[np.int64]:
    """Sizes of the tail of so many samples, int64; 0 of none."""
    rounded = np.rint(counts * (1 - level)).astype(np.int64)
    return np.minimum(np.maximum(rounded, 1), counts)  # type: ignore[no-any-return]


@declare.resampled_metric(facts=_columns, higher_is_better=True, unit="correlation", bounds=(-1.0, 1.0))
def pearson(
    rows: Rows,
    weights: Weights,
    columns: Annotated[
        Sequence[str], Field(min_length=2, max_length=2, description="two columns of the records, in billionths")
    ] = ("predicted_risk_e9", "risk_e9"),
) -> Floats:
    """Pearson's correlation of two columns of the records, over the samples that have both.

    NaN for fewer than two samples, and if a column does not vary.

    Source: Pearson 1895, Proceedings of the Royal Society of London 58; as `scipy.stats.pearsonr`.
    """
    moments = Moments(rows, weights, tuple(columns))
    one, other = moments.centred(0), moments.centred(1)
    scale = np.sqrt(moments.product(one, one) * moments.product(other, other))
    return np.clip(ratio(moments.product(one, other), np.nan_to_num(scale)), -1, 1)
