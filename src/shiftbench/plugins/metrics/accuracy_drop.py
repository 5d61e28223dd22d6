"""Accuracy drop: how much accuracy a shift costs, the clean accuracy minus the shifted one.

A row with a severity is the drop there, a row of a shift without one the mean over its severities (a domain shift
has no severity: its drop), the row without a shift the mean over the shifts. Paired: draws are shared with the
clean row.

Source: ImageNet-E (arXiv 2303.17096) calls it dropped accuracy, CNS-Bench (arXiv 2507.17651) accuracy drop, both in
percent; here it is a share.
"""

from collections.abc import Iterator

from shiftbench.base.errors import ParamsError
from shiftbench.statistics import severity_curves
from shiftbench.statistics.rows import Row

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy"}
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = False

Place = tuple[str | None, ...]


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """Return the drops at each severity, per shift, and over all shifts.

    Raises:
        ParamsError: a clean row is not there.
    """
    found = [row for row in rows if row.metric == of and row.group is None and row.step is None]
    clean = {(*_place(row), row.condition): row for row in found if row.reference is None}
    places: dict[Place, dict[str, list[Row]]] = {}
    for row in found:
        if row.reference is not None and row.shift is not None:
            drop = _drop(row, clean.get((*_place(row), row.reference)))
            places.setdefault(_place(row), {}).setdefault(row.shift, []).append(drop)
    return [row for shifts in places.values() for row in _with_means(shifts)]


def _drop(row: Row, clean: Row | None) -> Row:
    if clean is None:
        raise ParamsError(f"{row.model} has no clean {row.metric} for {row.shift}; evaluate the clean set too")
    return row.derived([clean, row], clean.all - row.all)


def _with_means(shifts: dict[str, list[Row]]) -> Iterator[Row]:
    whole = []
    for _, drops in sorted(shifts.items()):
        drops.sort(key=lambda row: row.severity or 0.0)
        if drops[0].severity is not None:
            yield from drops
            total = sum((row.all for row in drops[1:]), drops[0].all)
            whole.append(drops[0].derived(drops, total / len(drops), severity=None))
        else:
            whole.append(drops[0])
        yield whole[-1]
    yield severity_curves.mean(whole, [row.all for row in whole])


def _place(row: Row) -> Place:
    return row.model, row.method, row.detector, row.dataset, row.split
