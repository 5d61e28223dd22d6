"""A metric at each complexity: from the severities of the shift `complexity`, or from groups that are numbers.

Where weights were evaluated under the shift, its severities are the complexities. Else groups are: `3`, or `3/8` where
the number of words is told, too. Of each place (weights, method, dataset, split) there is one curve.
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
        lengths: float64 (p,), numbers of words; None where it is not told.
        counts: float64 (p,), numbers of questions.
    """

    rows: list[Row]
    complexities: Floats
    lengths: Floats | None

    @property
    def counts(self) -> Floats:
        """How many questions each point has."""
        return np.array([row.n for row in self.rows], np.float64)

    @property
    def values(self) -> Floats:
        """Value and replicates of each point, float64 (p, 1 + draws)."""
        return np.stack([row.all for row in self.rows])

    def row(self, values: Floats) -> Row:
        """Return a row for the whole curve, values float64 (1 + draws,)."""
        return self.rows[0].derived(self.rows, values, severity=None, group=None)

    def below(self, threshold: float) -> NDArray[np.bool_]:
        """Return which points lie up to a threshold, bool (p,).

        Raises:
            ParamsError: all of them do, or none.
        """
        found: NDArray[np.bool_] = self.complexities <= threshold
        if found.all() or not found.any():
            first, last = self.complexities[[0, -1]]
            raise ParamsError(
                f"{self.rows[0].model}: complexities {first:g} to {last:g} on {self.rows[0].dataset} lie on one side "
                f"of the threshold {threshold:g}; evaluate both sides"
            )
        return found


def curves(rows: Iterable[Row], metric: str) -> list[Curve]:
    """Return the curves of a metric, of two points at least."""
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
    chosen = grouped | shifted
    return [_curve(found) for found in chosen.values() if len(found) > 1]


def _curve(rows: list[Row]) -> Curve:
    found = sorted((*_at(row), number) for number, row in enumerate(rows))
    ordered = [rows[number] for *_, number in found]
    complexities, lengths = np.array([pair[:2] for pair in found], np.float64).T
    return Curve(ordered, complexities, lengths if lengths.all() else None)


def complexity(group: str | None) -> float:
    """Return the complexity that a group's name tells, NaN where it tells none.

    Example:
        >>> complexity("3"), complexity("3/8"), complexity("unknown")
        (3.0, 3.0, nan)
    """
    match = _GROUP.fullmatch(group or "")
    return float(match[1]) if match else float("nan")


def _at(row: Row) -> tuple[float, float]:
    """Return complexity and number of words of a row, the latter 0 where it is not told."""
    if row.shift == SHIFT and row.severity:
        return row.severity, 0.0
    match = _GROUP.fullmatch(row.group or "")
    assert match  # noqa: S101 - `curves` chose it; tells mypy
    return float(match[1]), float(match[2] or 0)


def corrected(values: Floats, chance: Mapping[str, float], dataset: str) -> Floats:
    """Return accuracies as shares of what lies above chance: (acc - chance) / (1 - chance).

    Raises:
        ParamsError: nothing says what chance is on this dataset.
    """
    if dataset not in chance:
        raise ParamsError(f"option chance says nothing of {dataset!r}; it names {', '.join(chance) or 'none'}")
    return (values - chance[dataset]) / (1 - chance[dataset])
