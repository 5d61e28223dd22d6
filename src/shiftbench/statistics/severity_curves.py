"""Curves over severity, as metrics of curves see them; helper of mce, relative_mce and auc_severity."""

from collections.abc import Iterable
from dataclasses import dataclass

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.statistics.rows import Floats, Row

Place = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The rows of one metric, weights, method and shift at rising severity, and the clean row."""

    shift: str
    rows: dict[float, Row]
    clean: Row | None

    @property
    def first(self) -> Row:
        """The row at the lowest severity."""
        return next(iter(self.rows.values()))

    def row(self, values: Floats) -> Row:
        """Return a row for the whole curve."""
        return self.first.derived(list(self.rows.values()), values, severity=None)


def curves(rows: Iterable[Row], metric: str) -> dict[Place, dict[str, Curve]]:
    """Return the curves of a metric by (weights, method, detector, dataset, split) and shift.

    Rows of groups and streams, and shifts without levels (domain shifts), are left out.
    """
    rows = [row for row in rows if row.metric == metric and row.group is None and row.step is None]
    clean = {(*_place(row), row.condition): row for row in rows if row.reference is None}
    levels: dict[Place, dict[str, dict[float, Row]]] = {}
    for row in rows:
        if row.reference is not None and row.shift is not None and row.severity is not None:
            levels.setdefault(_place(row), {}).setdefault(row.shift, {})[row.severity] = row
    return {
        place: {shift: _curve(shift, found, clean, place) for shift, found in sorted(shifts.items())}
        for place, shifts in levels.items()
    }


def _place(row: Row) -> Place:
    return row.model, row.method, row.detector, row.dataset, row.split


def _curve(shift: str, found: dict[float, Row], clean: dict[tuple[str | None, ...], Row], place: Place) -> Curve:
    ordered = dict(sorted(found.items()))
    reference = next(iter(ordered.values())).reference
    return Curve(shift, ordered, clean.get((*place, reference)))


def mean(found: list[Row], values: list[Floats]) -> Row:
    """Return the mean over shifts, as a row without a shift; added in the order of the shifts."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return found[0].derived(found, total / len(values), shift=None)


def normaliser(all_curves: dict[Place, dict[str, Curve]], place: Place, name: str) -> dict[str, Curve]:
    """Return the curves of the weights that a metric is relative to, in the same place.

    A model is named in full (`fashion_mnist/convnet-erm-s0`), without its training set, or
    without the seed (the mean). The normaliser under the same method is taken, else under `plain`.

    Raises:
        ParamsError: no such weights in this benchmark.
    """
    _, method, *rest = place
    names = sorted({str(other[0]) for other in all_curves})
    matching = [other for other in names if name in (other, other.partition("/")[2])]
    for own_method in (method, "plain"):
        for other in matching:
            found = all_curves.get((other, own_method, *rest))
            if found is not None:
                return found
    short = [other.partition("/")[2] for other in names]
    raise ParamsError(
        f"normaliser {name!r} has no errors in this benchmark ({suggest(name, short)}); "
        "evaluate it too, or name another"
    )
