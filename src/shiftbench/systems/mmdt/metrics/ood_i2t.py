"""OOD score of MMDT for image to text: mean of corruptions and styles, each a mean over tasks of means over shifts.

One row, from the accuracies of the groups, which are tasks, at one `severity` (null: the shifts have none). `drop:
true` takes the score from the clean accuracy, the mean over the tasks.

Source: AI-secure/MMDT at 68be1c8, mmdt/summarize.py (`get_ood_scores`); as a share. The original images are in no
official score. In shares of answers with equal weights, `_ood.of_cells` is the same on one frame of rows.
"""

from collections.abc import Sequence

import numpy as np

from shiftbench.base.errors import ParamsError
from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.mmdt.metrics import _ood

KIND = "curve"
PARAMS: dict[str, object] = {
    "of": "accuracy",
    "corruptions": list(_ood.CORRUPTIONS),
    "styles": list(_ood.STYLES),
    "severity": None,
    "drop": False,
}
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True
Place = tuple[str | None, ...]


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(
    rows: list[Row], of: str, corruptions: Sequence[str], styles: Sequence[str], *, severity: float | None, drop: bool
) -> list[Row]:
    """Return one row per weights and method.

    Raises:
        ParamsError: a task has no accuracy under one of the shifts, or none on clean images.
    """
    places: dict[Place, dict[tuple[str, str], Row]] = {}
    clean: dict[Place, dict[str, Row]] = {}
    for row in rows:
        if row.metric != of or row.group not in _ood.I2T_TASKS or row.step is not None:
            continue
        place = (row.model, row.method, row.split)
        if row.shift in (*corruptions, *styles) and row.severity == severity:
            places.setdefault(place, {})[str(row.shift), str(row.group)] = row
        elif row.reference is None:
            clean.setdefault(place, {})[str(row.group)] = row
    return [_row(cells, clean.get(place, {}), (corruptions, styles), drop=drop) for place, cells in places.items()]


def _row(
    cells: dict[tuple[str, str], Row],
    clean: dict[str, Row],
    families: tuple[Sequence[str], Sequence[str]],
    *,
    drop: bool,
) -> Row:
    one, other = (_mean(cells, shifts) for shifts in families)
    values = (one + other) / 2
    used = list(cells.values())
    if drop:
        own = [_of(clean, task, "the original images") for task in _ood.I2T_TASKS]
        values, used = sum(row.all for row in own) / len(own) - values, used + own
    home = next(iter(clean.values()), used[0])  # domain shifts have data sets of their own
    changes = {"dataset": home.dataset, "shift": None, "severity": None, "group": None}
    return used[0].derived(used, values, **changes)


def _mean(cells: dict[tuple[str, str], Row], shifts: Sequence[str]) -> Floats:
    """Return the mean over tasks of the mean over shifts, value and replicates."""
    tasks = [np.mean([_of(cells, (shift, task), shift).all for shift in shifts], axis=0) for task in _ood.I2T_TASKS]
    found: Floats = np.mean(tasks, axis=0)
    return found


def _of(cells: dict, key: object, where: str) -> Row:  # type: ignore[type-arg]
    if key not in cells:
        raise ParamsError(
            f"ood_i2t: no accuracy of {key!r}; evaluate all four tasks under {where}, or name other shifts"
        )
    found: Row = cells[key]
    return found
