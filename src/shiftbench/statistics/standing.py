"""The standing of one model among the models of a release: rank, expected accuracy, effective robustness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.effective_robustness import RESAMPLES, Line, Pairs, ends
from shiftbench.statistics.rows import Floats


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands on a shifted data set.

    Attributes:
        dataset: the data set.
        models: models of the release on it.
        accuracy: share, and the ends of its 95% interval over test images.
        rank: 1 for the best, and the ranks at the ends of that interval.
        expected: accuracy on the line, at the model's clean accuracy.
        above: accuracy less the expected one, and the ends of its 95% interval over test images and architectures.
    """

    dataset: str
    models: int
    accuracy: tuple[float, float, float]
    rank: tuple[int, int, int]
    expected: float
    above: tuple[float, float, float]


def of(rows: pl.DataFrame, accuracies: Mapping[str, float], clean: str, dataset: str, seed: int = 0) -> Standing:
    """The standing of a model on a data set.

    Args:
        rows: accuracies of the release, in the columns of the format RELEASED.
        accuracies: of the model, shares by data set.
        clean: the clean data set.
        dataset: the shifted one.
        seed: of the bootstrap, and of the drawn test images.

    Raises:
        DataError: too few models for a line, or the number of images is not known.
    """
    pairs = Pairs.of(rows, clean, dataset, seed)
    counts = {name: _count(rows, name) for name in (clean, dataset)}
    drawn = {name: _drawn(accuracies[name], count, name, seed) for name, count in counts.items()}
    expected = pairs.line().expected(drawn[clean], pairs.n)
    share = accuracies[dataset]
    low, high = intervals.of_counts(np.array([share * counts[dataset]]), np.array([counts[dataset]], np.float64))[:, 0]
    ranks = [1 + int((pairs.shifted > value + 1e-9).sum()) for value in (share, high, low)]
    return Standing(
        dataset,
        len(pairs.models),
        (share, float(low), float(high)),
        (ranks[0], ranks[1], ranks[2]),
        float(expected[0]),
        ends(drawn[dataset] - expected),
    )


def residuals(rows: pl.DataFrame, pairs: Pairs, line: Line, clean: str, dataset: str, seed: int = 0) -> Floats:
    """Effective robustness of each model of a release, in shares, float64 (models, 3): the value, and both ends.

    The 95% intervals are over test images and the architectures of the line, for one model at a time.

    Args:
        rows: accuracies of the release, in the columns of the format RELEASED.
        pairs: its models on both data sets.
        line: what clean accuracy leads to expect.
        clean: the clean data set.
        dataset: the shifted one.
        seed: of the drawn test images.

    Raises:
        DataError: the number of images is not known.
    """
    drawn = [
        _drawn(shares[:, None], _count(rows, name), name, seed)
        for name, shares in ((clean, pairs.clean), (dataset, pairs.shifted))
    ]
    above = drawn[1] - line.expected(drawn[0], pairs.n)
    low, high = np.quantile(above[:, 1:], (bootstrap.ERROR / 2, 1 - bootstrap.ERROR / 2), axis=1)
    return np.column_stack([above[:, 0], low, high])


def nearest(rows: pl.DataFrame, accuracy: float, clean: str, parameters: float | None, count: int) -> pl.DataFrame:
    """The rows of the models with the nearest clean accuracy; with `parameters` of half to twice that size.

    Args:
        rows: accuracies of the release.
        accuracy: share of the model.
        clean: the clean data set.
        parameters: millions.
        count: how many.

    Raises:
        DataError: the release does not have the sizes of its models.
    """
    models = rows.filter(dataset=clean).with_columns(away=(pl.col("value") - accuracy).abs())
    if parameters is not None:
        if models["parameters"].is_null().all():
            raise DataError("these released results do not have the sizes of models; leave out --parameters")
        models = models.filter(pl.col("parameters").is_between(parameters / 2, 2 * parameters))
    return models.sort("away", "model").head(count)


def _count(rows: pl.DataFrame, dataset: str) -> int:
    count = rows.filter(dataset=dataset)["n"].min()
    if not isinstance(count, int):
        raise DataError(f"the number of images of {dataset} is not known, so no interval can be had")
    return count


def _drawn(share: float | Floats, n: int, dataset: str, seed: int) -> Floats:
    """The share, then as it may be on other n images, float64 (1 + RESAMPLES,); of shares (models, 1), a row for each.

    Normal, with the deviation after two further images on both sides (Agresti and Coull 1998): 0 and 1 have one, too.
    """
    inside = (share * n + 2) / (n + 4)
    noise = RandomStream(seed, "standing", dataset, "images").normal(RESAMPLES).astype(np.float64)
    draws: Floats = np.clip(share + np.append(0.0, noise) * np.sqrt(inside * (1 - inside) / n), 0, 1)
    return draws
