"""A metric at each complexity: from the severities of the shift `complexity`, or from groups that are numbers.

If a model was evaluated under the shift, its severities are the complexities. Otherwise groups are: `3`, or `3/8` with
the number of words. There is one curve for each model, method, dataset and split.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.statistics.rows import Floats, Row

SHIFT = "complexity"
_GROUP = re.compile(r"(\d+)(?:/(\d+))?")


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of a metric at complexities, in their order.

    Attributes:
        rows: one of each point.
        complexities: float64 (p,).
        lengths: float64 (p,), numbers of words; None if they are not known.
        counts: float64 (p,), numbers of questions.
    """

    rows: list[Row]
    complexities: Floats
    lengths: Floats | None

    @property
    def counts(self) -> Floats:
        """Number of questions of each point."""
        return np.array([row.n for row in self.rows], np.float64)

    @property
    def values(self) -> Floats:
        """Value and resamples of each point, float64 (p, 1 + resamples)."""
        return np.stack([row.all for row in self.rows])

    def row(self, values: Floats) -> Row:
        """Row of the whole curve, from values float64 (1 + resamples,)."""
        return self.rows[0].derived(self.rows, values, severity=None, group=None)

    def below(self, threshold: float) -> NDArray[np.bool_]:
        """Points up to a threshold, bool (p,).

        Raises:
            ParamsError: all points are on one side.
        """
        inside: NDArray[np.bool_] = self.complexities <= threshold
        if inside.all() or not inside.any():
            first, last = self.complexities[[0, -1]]
            raise ParamsError(
                f"{self.rows[0].model}: complexities {first:g} to {last:g} on {self.rows[0].dataset} lie on one side "
                f"of the threshold {threshold:g}; evaluate both sides"
            )
        return inside


def curves(rows: Iterable[Row], metric: str) -> list[Curve]:
    """Curves of a metric that have at least two points."""
    shifted: dict[tuple[object, ...], list[Row]] = {}
    grouped: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.metric != metric or row.step is not None or row.detector is not None:
            continue
        place = (row.model, row.method, row.dataset, row.split)
        if row.shift == SHIFT and row.group is None and row.severity:
            shifted.setdefault(place, []).append(row)
        elif row.reference is None and _GROUP.fullmatch(row.group or ""):
            grouped.setdefault(place, []).append(row)
    return [_curve(points) for points in (grouped | shifted).values() if len(points) > 1]


def _curve(rows: list[Row]) -> Curve:
    points = sorted((*_at(row), number) for number, row in enumerate(rows))
    ordered = [rows[number] for *_, number in points]
    complexities, lengths = np.array([point[:2] for point in points], np.float64).T
    return Curve(ordered, complexities, lengths if lengths.all() else None)


def complexity(group: str | None) -> float:
    """Complexity in the name of a group, NaN if it has none.

    Example:
        >>> complexity("3"), complexity("3/8"), complexity("unknown")
        (3.0, 3.0, nan)
    """
    match = _GROUP.fullmatch(group or "")
    return float(match[1]) if match else float("nan")


def _at(row: Row) -> tuple[float, float]:
    """Complexity and number of words of a row; 0 words if they are not known."""
    if row.shift == SHIFT and row.severity:
        return row.severity, 0.0
    match = _GROUP.fullmatch(row.group or "")
    assert match  # noqa: S101 - `curves` chose it; tells mypy
    return float(match[1]), float(match[2] or 0)


def corrected(values: Floats, chance: Mapping[str, float], dataset: str) -> Floats:
    """Accuracies as shares of what is above chance: (acc - chance) / (1 - chance).

    Raises:
        ParamsError: `chance` has no value for this dataset.
    """
    if dataset not in chance:
        raise ParamsError(f"option chance says nothing of {dataset!r}; it names {', '.join(chance) or 'none'}")
    return (values - chance[dataset]) / (1 - chance[dataset])
