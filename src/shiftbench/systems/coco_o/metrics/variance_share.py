"""Share of variance: how much of what models differ by goes with one of their components.

`components` says what each model has: `{backbone: {net-erm: small, wide-erm: wide}, head: {...}}`; models are weights
without dataset and seed. The share of a component is its type-II sum of squares, what the residual of a linear model
with main effects grows by when the component is left out, over the total sum of squares. Shares need not add up to 1.
Of the rows of the metric `of` those over all shifts count. Each draw resamples images, and models by Poisson(1). One
row per component, which is its `group`; it stands under the weights that come first by name. Not defined where models
are all alike.

Source: type II sums of squares: Langsrud 2003, "ANOVA for unbalanced data: use Type II instead of Type III sums of
squares".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.errors import ParamsError, near
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
PARAMS: dict[str, object] = {"of": "effective_robustness", "components": {}}
UNIT = "share of variance"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, components: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """Return one row per component.

    Raises:
        ParamsError: a component does not say what one of its models has, or a model has no rows.
    """
    named = sorted({name for component in components.values() for name in component})
    found = {
        row.weights.partition("/")[2]: row
        for row in rows
        if row.metric == of and row.shift is None and row.seed is None and row.group is None
    }
    for name in named:
        if name not in found:
            raise ParamsError(
                f"components: {name!r} has no {of} over all shifts ({near(name, found)})"
            )
        for component, levels in components.items():
            if name not in levels:
                raise ParamsError(f"components: {component} does not say what {name!r} has")
    if not named:
        return []
    chosen = [found[name] for name in named]
    values = np.stack([row.all for row in chosen])
    draws = bootstrap.weights(pa.array([f"model {name}" for name in named]), values.shape[1] - 1, 0)
    parts = {part: np.array([of_[name] for name in named]) for part, of_ in components.items()}
    return [
        chosen[0].derived(chosen, _shares(values, draws, parts, part), group=part)
        for part in components
    ]


def _shares(
    values: Floats, weights: NDArray[np.uint8], levels: Mapping[str, NDArray[np.str_]], part: str
) -> Floats:
    """Return the share of one component under each draw, float64 (k,)."""
    whole = _design(levels, len(values))
    fewer = _design({name: found for name, found in levels.items() if name != part}, len(values))
    shares = np.full(values.shape[1], np.nan)
    for draw in range(values.shape[1]):
        root = np.sqrt(weights[:, draw].astype(np.float64))[:, None]
        y = values[:, draw : draw + 1] * root
        total = _residual(np.ones((len(values), 1)) * root, y)
        if total > 1e-18:
            grown = _residual(fewer * root, y) - _residual(whole * root, y)
            shares[draw] = min(max(grown / total, 0.0), 1.0)
    return shares


def _design(levels: Mapping[str, NDArray[np.str_]], count: int) -> Floats:
    """Return a column of ones and one column per level but the first of each component, float64 (models, columns)."""
    columns = [np.ones(count)]
    for found in levels.values():
        columns += [
            (found == level).astype(np.float64) for level in sorted(set(found.tolist()))[1:]
        ]
    return np.stack(columns, axis=1)


def _residual(design: Floats, y: Floats) -> float:
    """Return the sum of squares that least squares leave."""
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(((y - fitted) ** 2).sum())
