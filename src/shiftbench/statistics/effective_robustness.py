"""Effective robustness: accuracy under a shift beyond what the accuracy on clean data leads to expect.

Over many models the two accuracies lie on a line on logit axes. The line is fitted by least squares; effective
robustness is the residual of a model, in shares. Intervals resample architectures, with all their weights, since
weights of one architecture are no independent draws.

Source: Taori et al., Measuring Robustness to Natural Distribution Shifts in Image Classification, NeurIPS 2020,
section 3. There the line is that of models without more data; here the caller says of which models it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.statistics import bootstrap, rank_agreement
from shiftbench.statistics.rows import Floats

RESAMPLES = 1000
FEWEST = 10
"""Architectures below which no line is fitted."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Accuracies of models on clean and on shifted data.

    Attributes:
        models: their names.
        clean: shares, float64 (models,).
        shifted: likewise.
        n: samples of the smaller test set, 10^6 if not known; shares of 0 and 1 count as half a sample away.
        weights: how often the architecture of each model occurs in the data and in each resample, float64 (models,
            1 + resamples).
    """

    models: list[str]
    clean: Floats
    shifted: Floats
    n: int
    weights: Floats

    @classmethod
    def of(cls, rows: pl.DataFrame, clean: str, shifted: str, seed: int = 0, resamples: int = RESAMPLES) -> Pairs:
        """The models of which `rows` has the accuracy on both data sets; rows of shifts are left out.

        Args:
            rows: in the columns of the format RELEASED.
            clean: name of the clean data set.
            shifted: name of the shifted one.
            seed: of the bootstrap.
            resamples: number of bootstrap resamples.

        Raises:
            DataError: the models have fewer than ten architectures.
        """
        plain = rows.filter(metric="accuracy", shift="identity")
        sides = [plain.filter(dataset=name).select("model", "value", "n") for name in (clean, shifted)]
        both = sides[0].join(sides[1], on="model", suffix="_shifted").sort("model")
        families = [architecture(model) for model in both["model"]]
        if len(set(families)) < FEWEST:
            raise DataError(
                f"{len(set(families))} architectures have an accuracy on both {clean} and {shifted}; expected {FEWEST}"
            )
        n = both.select(pl.min_horizontal(pl.col("n", "n_shifted").min())).item()
        weights = bootstrap.weights(pa.array(families, pa.string()), resamples, seed).astype(np.float64)
        return cls(
            both["model"].to_list(), both["value"].to_numpy(), both["value_shifted"].to_numpy(), n or 10**6, weights
        )

    def logits(self) -> tuple[Floats, Floats]:
        """Both accuracies on the axes of the line."""
        return logit(self.clean, self.n), logit(self.shifted, self.n)

    def line(self, of: NDArray[np.bool_] | None = None) -> Line:
        """The line of some models, by a mask; None: of all."""
        x, y = self.logits()
        weights = self.weights if of is None else self.weights * of[:, None]
        total = weights.sum(axis=0)
        mean_x, mean_y = x @ weights / total, y @ weights / total
        slope = ((x * y) @ weights / total - mean_x * mean_y) / ((x * x) @ weights / total - mean_x**2)
        return Line(slope, mean_y - slope * mean_x)

    def kendall(self) -> Floats:
        """Kendall's tau-b between the two orders of the models, float64 (1 + resamples,)."""
        return rank_agreement.kendall(self.clean, self.shifted, self.weights)


@dataclass(frozen=True, slots=True)
class Line:
    """A line on logit axes: in the data and in each resample, float64 (1 + resamples,).

    Attributes:
        slope: change of the logit of shifted accuracy with that of clean accuracy.
        intercept: its value at a clean accuracy of 1/2.
    """

    slope: Floats
    intercept: Floats

    def expected(self, clean: Floats, n: int) -> Floats:
        """Shifted accuracy at clean accuracies, which broadcast with (1 + resamples,); float64."""
        at = self.intercept + self.slope * logit(clean, n)
        shares: Floats = 1 / (1 + np.exp(-at))
        return shares


def architecture(model: str) -> str:
    """The architecture in the name of timm's weights: what is before the tag and the image size.

    Example:
        >>> architecture("resnet50.a1_in1k@288"), architecture("alexnet")
        ('resnet50', 'alexnet')
    """
    return model.partition(".")[0].partition("@")[0]


def logit(shares: Floats, n: int) -> Floats:
    """Log-odds of shares of n samples, of which none is nearer to 0 or 1 than half a sample."""
    inside = np.clip(shares, 0.5 / n, 1 - 0.5 / n)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def residuals(pairs: Pairs, line: Line) -> Floats:
    """Effective robustness of each model, in shares, float64 (models, 1 + resamples)."""
    above: Floats = pairs.shifted[:, None] - line.expected(pairs.clean[:, None], pairs.n)
    return above


def group_mean(pairs: Pairs, line: Line, of: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Mean effective robustness of some models, and the ends of its 95% interval over architectures."""
    weights = pairs.weights * of[:, None]
    draws = (residuals(pairs, line) * weights).sum(axis=0) / weights.sum(axis=0)
    return ends(draws)


def ends(draws: Floats) -> tuple[float, float, float]:
    """The value in the data, and the percentiles of its resamples."""
    low, high = np.nanquantile(draws[1:], (bootstrap.ERROR / 2, 1 - bootstrap.ERROR / 2))
    return float(draws[0]), float(low), float(high)
