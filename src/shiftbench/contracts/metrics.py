"""Every metric: what it declares, its range, that order does not count and that a weight is a number of copies."""

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base import registry
from shiftbench.contracts import names
from shiftbench.contracts.metric_inputs import N, area, detect, of_kind, poisson, records, scores, trusted, value

NAMES = names("metrics")


@pytest.mark.parametrize("name", NAMES)
def test_declarations(name: str) -> None:
    metric = registry.find("metrics", name)
    assert "Source:" in (metric.__doc__ or "")
    assert metric.KIND in ("sample", "resampled", "path", "detection", "failure", "curve")
    assert metric.UNIT
    assert isinstance(metric.HIGHER_IS_BETTER, bool)
    low, high = metric.RANGE
    assert low is None or high is None or low < high


@pytest.mark.parametrize("name", [name for name in of_kind("sample") if name in NAMES])
def test_sample_metrics(name: str) -> None:
    metric = registry.find("metrics", name)
    table = records()
    whole = value(metric, table)
    low, high = metric.RANGE
    assert (low is None or whole >= low) and (high is None or whole <= high)  # noqa: PT018
    # The order of rows does not matter, not in the last bit.
    order = pa.array(np.random.default_rng(0).permutation(N))
    assert np.array_equal(value(metric, table.take(order)), whole)
    # A weight is a number of copies.
    weights = poisson(N, 3)
    for draw, found in enumerate(value(metric, table, weights)):
        copies = table.take(pa.array(np.repeat(np.arange(N), weights[:, draw])))
        assert value(metric, copies)[0] == found
    # Of nothing there is no value.
    assert np.isnan(value(metric, table.slice(0, 0))).all()
    assert np.isnan(value(metric, table, weights * np.uint8(0))).all()


SAMPLED = ("equal_sized",)
"""Metrics that draw some of the samples: a weight is a number of copies of those that were drawn."""


@pytest.mark.parametrize("name", [name for name in of_kind("detection") if name in NAMES])
def test_detection_metrics(name: str) -> None:
    metric = registry.find("metrics", name)
    inside, outside = scores()
    whole = detect(metric, inside, outside)
    assert metric.RANGE[0] <= whole[0] <= metric.RANGE[1]
    order = np.random.default_rng(0).permutation(len(inside))
    assert np.array_equal(detect(metric, inside[order], outside), whole)
    # Only the order of scores counts.
    assert np.array_equal(detect(metric, inside**3, outside**3), whole)
    # A weight is a number of copies.
    weights = poisson(len(inside), 70), poisson(len(outside), 70, 1)
    found = detect(metric, inside, outside, *weights)
    for draw in () if name in SAMPLED else (0, 1, 69):
        copies = [np.repeat(side, w[:, draw]) for side, w in zip((inside, outside), weights, strict=True)]
        assert detect(metric, *copies)[0] == pytest.approx(found[draw], abs=1e-12)
    # Separated sets are told apart; of nothing there is no value.
    best = detect(metric, inside, inside.max() + 1 + outside)
    assert best == pytest.approx([metric.RANGE[1 if metric.HIGHER_IS_BETTER else 0]])
    assert np.isnan(detect(metric, inside[:0], outside)).all()
    assert np.isnan(detect(metric, inside, outside, weights[0], weights[1] * np.uint8(0))).all()


@pytest.mark.parametrize("name", [name for name in of_kind("failure") if name in NAMES])
def test_failure_metrics(name: str) -> None:
    metric = registry.find("metrics", name)
    values, correct = trusted()
    whole = area(name, values, correct)
    assert metric.RANGE[0] <= whole[0] <= metric.RANGE[1]
    # Neither the order of the rows nor the scale of the scores counts; a weight is a number of copies.
    order = np.random.default_rng(0).permutation(len(values))
    assert np.array_equal(area(name, values[order] ** 3, correct[order]), whole)
    weights = poisson(len(values), 30)
    found = area(name, values, correct, weights)
    for draw in range(30):
        copies = np.repeat(np.arange(len(values)), weights[:, draw])
        expected = area(name, values[copies], correct[copies])[0]
        assert found[draw] == pytest.approx(expected, abs=1e-12)
    # A score that knows is better; of nothing there is no value.
    knows = area(name, (~correct).astype(float), correct)[0]
    assert knows > whole[0] if metric.HIGHER_IS_BETTER else knows < whole[0]
    assert np.isnan(area(name, values[:0], correct[:0])).all()
    assert np.isnan(area(name, values, correct, weights * np.uint8(0))).all()
