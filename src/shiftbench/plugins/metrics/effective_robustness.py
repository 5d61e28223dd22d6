"""Effective robustness: what a model keeps under shift beyond what its clean value promises.

The promise is a line: `slope` times the clean value plus `intercept`. What is null is fitted by least squares over the
models of `zoo`, at the same shift and severity and in each resample. A model is left out of its own line, with all its
seeds. A line between logits is usual for accuracies. COCO-O's line is fixed: slope 0.45, intercept 0, for AP on its six
domains.

A row with a severity is the value there. A row of a shift without one is that of the mean over its severities (a domain
shift has no severity: its value), and the row without a shift that of the mean over the shifts. NaN where the line is
not defined.

Source: Taori et al. 2020, "Measuring Robustness to Natural Distribution Shifts in Image Classification",
arXiv:2007.00644, equation 1 (logit scale); Mao et al. 2023, COCO-O, arXiv:2307.12730 (0.45, through the origin).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import without_seed
from shiftbench.plugins import declare, fields
from shiftbench.plugins.metrics.severity import accuracy_drop
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True
SCALES = ("linear", "logit")
_END = 1e-6  # shares nearer to 0 or 1 are taken for these, so that logits are finite

Pair = tuple[Row, Row]
"""The clean row of a model and a row under shift; without a shift or a severity it is a mean."""


class Options(declare.Options):
    of: fields.Of = "accuracy"
    slope: float | None = Field(None, description="slope of the line; null: fitted")
    intercept: float | None = Field(None, description="intercept of the line; null: fitted")
    zoo: list[str] = Field([], description="models that the line is fitted on")
    scale: Literal["linear", "logit"] = Field("linear", description="values, or their logits, that the line joins")
    severity: float | None = Field(None, ge=0, description="the only severity that counts; null: all")


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """The metric whose rows are needed."""
    return (str(params["of"]),)


def compute(  # noqa: PLR0913 - the options of the metric
    rows: list[Row],
    of: str,
    slope: float | None,
    intercept: float | None,
    zoo: Sequence[str],
    scale: str,
    severity: float | None,
) -> list[Row]:
    """Effective robustness at each severity, per shift, and over all shifts.

    Raises:
        ParamsError: an unknown scale, a line that nothing is fitted on, a missing model, no clean row.
    """
    if scale not in SCALES:
        raise ParamsError(f"scale: {scale!r} ({suggest(scale, SCALES)})")
    if None in (slope, intercept) and not zoo:
        raise ParamsError("effective_robustness: give slope and intercept, or a zoo to fit them on")
    places: dict[tuple[object, ...], list[Pair]] = {}
    for pair in _pairs([row for row in rows if severity in (None, row.severity) or not _graded(row)], of):
        row = pair[1]
        place = (row.method, row.detector, row.dataset, row.split, row.shift, row.severity)
        places.setdefault(place, []).append(pair)
    line = _Line(slope, intercept, tuple(zoo), scale)
    return [line.beyond(pair, pairs) for pairs in places.values() for pair in pairs]


def _graded(row: Row) -> bool:
    """Whether a row is of a shift that has severities."""
    return row.reference is not None and row.severity is not None


def _pairs(rows: list[Row], of: str) -> list[Pair]:
    clean = {
        (_model(row), row.condition): row
        for row in rows
        if row.metric == of and row.reference is None and row.group is None and row.step is None
    }
    pairs = []
    for drop in accuracy_drop(rows, of):
        own = clean[_model(drop), str(drop.reference)]
        pairs.append((own, drop.derived([own, drop], own.all - drop.all)))
    return pairs


def _model(row: Row) -> tuple[str | None, ...]:
    return row.model, row.method, row.detector, row.split


class _Line:
    """The value that a clean value promises; see `Options`."""

    def __init__(self, slope: float | None, intercept: float | None, zoo: tuple[str, ...], scale: str) -> None:
        self.slope, self.intercept, self.zoo, self.logit = slope, intercept, zoo, scale == "logit"

    def beyond(self, pair: Pair, others: list[Pair]) -> Row:
        """Effective robustness of one pair; `others` are all of the same place."""
        clean, shifted = pair
        slope, intercept = self._fitted(without_seed(clean.model)[0], others)
        promised = slope * self._scaled(clean.all) + intercept
        if self.logit:
            promised = 1 / (1 + np.exp(-promised))
        return shifted.derived([shifted], shifted.all - promised)

    def _scaled(self, values: Floats) -> Floats:
        if not self.logit:
            return values
        inside = np.clip(values, _END, 1 - _END)
        logits: Floats = np.log(inside / (1 - inside))
        return logits

    def _fitted(self, judged: str, others: list[Pair]) -> tuple[Floats | float, Floats | float]:
        if self.slope is not None and self.intercept is not None:
            return self.slope, self.intercept
        known = {without_seed(clean.model)[0]: (clean, row) for clean, row in others if clean.seed is None}
        known |= {
            without_seed(clean.model)[0]: (clean, row)
            for clean, row in others
            if without_seed(clean.model)[0] not in known
        }
        chosen = [pair for name, pair in known.items() if name != judged and self._named(name)]
        for name in self.zoo:
            if not any(name in (known_name, known_name.partition("/")[2]) for known_name in known):
                short = [known_name.partition("/")[2] for known_name in known]
                raise ParamsError(f"zoo: {name!r} has no rows in this benchmark ({suggest(name, short)})")
        x = np.stack([self._scaled(clean.all) for clean, _ in chosen]) if chosen else np.zeros((0, 1))
        y = np.stack([self._scaled(row.all) for _, row in chosen]) if chosen else np.zeros((0, 1))
        return _least_squares(x, y, self.slope, self.intercept)

    def _named(self, family: str) -> bool:
        return family in self.zoo or family.partition("/")[2] in self.zoo


def _least_squares(
    x: Floats, y: Floats, slope: float | None, intercept: float | None
) -> tuple[Floats | float, Floats | float]:
    """Slope and intercept over the first axis, float64 (k,); fixed ones stay. NaN with too few points."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if intercept is not None:
            return (x * (y - intercept)).sum(axis=0) / (x * x).sum(axis=0), intercept
        if not len(x):
            return np.nan, np.nan
        if slope is not None:
            return slope, (y - slope * x).mean(axis=0)
        apart = x - x.mean(axis=0)
        steep = (apart * y).sum(axis=0) / (apart * apart).sum(axis=0)
        return steep, y.mean(axis=0) - steep * x.mean(axis=0)
