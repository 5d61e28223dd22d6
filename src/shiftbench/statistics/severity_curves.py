"""Curves of a metric over severity, from which mce, relative_mce and auc_severity are computed."""

from collections.abc import Iterable
from dataclasses import dataclass

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.statistics.rows import Floats, Row

Place = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The rows of one metric, model, method and shift at rising severity, and the clean row."""

    shift: str
    rows: dict[float, Row]
    clean: Row | None

    @property
    def first(self) -> Row:
        """The row at the lowest severity."""
        return next(iter(self.rows.values()))

    def row(self, values: Floats) -> Row:
        """A row for the whole curve."""
        return self.first.derived(list(self.rows.values()), values, severity=None)


def curves(rows: Iterable[Row], metric: str) -> dict[Place, dict[str, Curve]]:
    """Curves of a metric by (model, method, detector, dataset, split) and shift.

    Rows of groups and streams, and shifts without levels (domain shifts), are left out.
    """
    rows = [row for row in rows if row.metric == metric and row.group is None and row.step is None]
    clean = {(*_place(row), row.condition): row for row in rows if row.reference is None}
    levels_by_place: dict[Place, dict[str, dict[float, Row]]] = {}
    for row in rows:
        if row.reference is not None and row.shift is not None and row.severity is not None:
            levels_by_place.setdefault(_place(row), {}).setdefault(row.shift, {})[row.severity] = row
    return {
        place: {shift: _curve(shift, levels, clean, place) for shift, levels in sorted(shifts.items())}
        for place, shifts in levels_by_place.items()
    }


def _place(row: Row) -> Place:
    return row.model, row.method, row.detector, row.dataset, row.split


def _curve(shift: str, by_severity: dict[float, Row], clean: dict[tuple[str | None, ...], Row], place: Place) -> Curve:
    ordered = dict(sorted(by_severity.items()))
    reference = next(iter(ordered.values())).reference
    return Curve(shift, ordered, clean.get((*place, reference)))


def mean(rows: list[Row], values: list[Floats]) -> Row:
    """Mean over shifts, as a row without a shift; added in the order of the shifts."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return rows[0].derived(rows, total / len(values), shift=None)


def normaliser(all_curves: dict[Place, dict[str, Curve]], place: Place, name: str) -> dict[str, Curve]:
    """Curves of the model that a metric is relative to, in the same place.

    A model is named in full (`fashion_mnist/convnet-erm-s0`), without its training set, or
    without the seed (the mean). The normaliser under the same method is taken, else under `plain`.

    Raises:
        ParamsError: no such model in this benchmark.
    """
    _, method, *rest = place
    names = sorted({str(model[0]) for model in all_curves})
    matching = [model for model in names if name in (model, model.partition("/")[2])]
    for candidate in (method, "plain"):
        for model in matching:
            curves = all_curves.get((model, candidate, *rest))
            if curves is not None:
                return curves
    short = [model.partition("/")[2] for model in names]
    raise ParamsError(
        f"normaliser {name!r} has no errors in this benchmark ({suggest(name, short)}); "
        "evaluate it too, or name another"
    )
