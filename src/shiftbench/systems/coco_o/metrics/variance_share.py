"""Share of variance: how much of what models differ by goes with one of their components.

`components` says what each model has: `{backbone: {net-erm: small, wide-erm: wide}, head: {...}}`; models are weights
without dataset and seed, all that have a row of the metric `of` over all shifts. The share of a component is its
type-II sum of squares, what the residual of a linear model with main effects grows by when the component is left out,
over the total sum of squares. Shares need not add up to 1. One row per component, which is its `group`; it stands under
the weights that come first by name. Not defined where models are all alike, and where the effects cannot be separated
with at least one degree of freedom to spare: a saturated design explains everything and says nothing.

Each draw resamples images (the draws of the rows), and beside these, as `resample` says,

- `models` (a zoo as it was found): models by Poisson(1). Draws whose models leave the effects undetermined are not
  defined.
- `residuals` (a design whose levels were chosen): the fitted values stay, residuals are drawn with replacement, larger
  by sqrt(n / (n - p)). Resampling twelve runs of a design with seven effects would mostly give saturated designs.

Noise adds to each sum of squares in proportion to its degrees of freedom, so that shares are biased upwards; the
difference of two components with as many levels is not.

Source: type II sums of squares: Langsrud 2003, "ANOVA for unbalanced data: use Type II instead of Type III sums of
squares"; resampled residuals: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 6.2.3.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
UNIT = "share of variance"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
RESAMPLED = ("models", "residuals")
_TINY = 1e-18


class Options(declare.Options):
    of: fields.Of = "effective_robustness"
    components: dict[str, dict[str, str]] = Field(
        {}, description="components, for each the level that a model (`ARCH-TRAINER`) has"
    )
    resample: Literal["models", "residuals"] = Field(
        "models", description="what is resampled with the images: models of a zoo, or residuals of a design"
    )


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """The metric whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, components: Mapping[str, Mapping[str, str]], resample: str) -> list[Row]:
    """One row per component.

    Raises:
        ParamsError: a component does not say what a model has, or `resample` is unknown.
    """
    if resample not in RESAMPLED:
        raise ParamsError(f"resample: {resample!r} ({suggest(resample, RESAMPLED)})")
    model_rows = {
        row.model.partition("/")[2]: row
        for row in rows
        if row.metric == of and row.shift is None and row.seed is None and row.group is None
    }
    if not components or not model_rows:
        return []
    names = sorted(model_rows)
    levels = {part: np.array([_level(part, given, name) for name in names]) for part, given in components.items()}
    chosen = [model_rows[name] for name in names]
    values = np.stack([row.all for row in chosen])
    resampled = _of_zoo if resample == "models" else _of_design
    shares = resampled(values, names, _Designs(levels, len(names)))
    return [chosen[0].derived(chosen, shares[part], group=part) for part in components]


def _level(component: str, levels: Mapping[str, str], name: str) -> str:
    if name not in levels:
        raise ParamsError(f"components: {component} does not say what {name!r} has ({suggest(name, levels)})")
    return levels[name]


class _Designs:
    """The linear model with all components, and that without each of them."""

    def __init__(self, levels: Mapping[str, NDArray[np.str_]], count: int) -> None:
        self.parts = list(levels)
        self.whole = _design(levels, count)
        self.without = {
            part: _design({name: of for name, of in levels.items() if name != part}, count) for part in levels
        }

    def shares(self, values: Floats, weights: Floats) -> dict[str, Floats]:
        """Each component's share, float64 (k,), of values (models, k) that count `weights` times."""
        there, columns = weights > 0, self.whole.shape[1]
        root, y = np.sqrt(weights)[:, None], values * np.sqrt(weights)[:, None]
        if there.sum() <= columns or np.linalg.matrix_rank(self.whole[there]) < columns:
            return {part: np.full(values.shape[1], np.nan) for part in self.parts}
        left, total = _residual(self.whole * root, y), _residual(root, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                part: np.where(total > _TINY, np.clip((_residual(fewer * root, y) - left) / total, 0.0, 1.0), np.nan)
                for part, fewer in self.without.items()
            }


def _of_zoo(values: Floats, names: list[str], designs: _Designs) -> dict[str, Floats]:
    """The shares when models are resampled, each float64 (k,), of values (models, k)."""
    units = pa.array([f"model {name}" for name in names])
    weights = bootstrap.weights(units, values.shape[1] - 1, 0).astype(np.float64)
    draws = [designs.shares(values[:, draw : draw + 1], weights[:, draw]) for draw in range(values.shape[1])]
    return {part: np.concatenate([one[part] for one in draws]) for part in designs.parts}


def _of_design(values: Floats, names: list[str], designs: _Designs) -> dict[str, Floats]:
    """The shares when residuals are resampled, each float64 (k,), of values (models, k)."""
    (count, draws), columns = values.shape, designs.whole.shape[1]
    fitted = designs.whole @ np.linalg.lstsq(designs.whole, values[:, :1], rcond=None)[0]
    residuals = (values[:, 0] - fitted[:, 0]) * np.sqrt(count / max(count - columns, 1))
    uniform = RandomStream(0, "variance_share", "", "/".join(names)).uniform((count, draws - 1))
    drawn = residuals[(uniform * np.float32(count)).astype(np.int64)]
    others = fitted + drawn + (values[:, 1:] - values[:, :1])
    return designs.shares(np.column_stack([values[:, 0], others]), np.ones(count))


def _design(levels: Mapping[str, NDArray[np.str_]], count: int) -> Floats:
    """A column of ones and one column per level but the first of each component, float64 (models, columns)."""
    columns = [np.ones(count)]
    for own in levels.values():
        columns += [(own == level).astype(np.float64) for level in sorted(set(own.tolist()))[1:]]
    return np.stack(columns, axis=1)


def _residual(design: Floats, y: Floats) -> Floats:
    """The sums of squares that least squares leave, float64 (k,), of y (models, k)."""
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    squares: Floats = ((y - fitted) ** 2).sum(axis=0)
    return squares
