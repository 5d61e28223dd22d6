"""Accuracy or error of the worst group; helper of metrics that differ by options alone."""

from collections.abc import Mapping

import numpy as np

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("group", "correct")
PARAMS: dict[str, object] = {"value": "accuracy", "groups": []}
UNIT = "share"
RANGE = (0.0, 1.0)
VALUES = ("accuracy", "error")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return in which direction it is better."""
    return {"HIGHER_IS_BETTER": options["value"] == "accuracy"}


def reduce(rows: Rows, *, value: str, groups: list[str]) -> Contributions:
    """Count samples by group and whether they are right: bins 2 x group and 2 x group + 1.

    Args:
        rows: samples without a group are one of their own.
        value: `accuracy` or `error`.
        groups: which groups count; all where none are named.

    Raises:
        ParamsError: no such value.
    """
    if value not in VALUES:
        raise ParamsError(f"worst group: value is {value!r}; {suggest(value, VALUES)}")
    stated = [name or "" for name in rows.table.column("group").to_pylist()]
    wanted = sorted(set(stated).intersection(groups) if groups else set(stated))
    number = {name: at for at, name in enumerate(wanted)}
    which = np.array([number.get(name, -1) for name in stated], dtype=np.int64)
    counting = rows.present("correct") * (which >= 0)
    which = np.maximum(which, 0)
    bins = 2 * which + rows.column("correct") * counting
    return Contributions(counting, binned=counting, bins=bins, width=2 * max(1, len(wanted)))


def finish(sums: Sums, *, value: str, groups: list[str]) -> Floats:
    """The least share of right ones, or the largest of wrong ones, over groups that have a sample; float64 (k,)."""
    wrong, right = sums.binned[0::2], sums.binned[1::2]
    accuracy = ratio(right, right + wrong)
    there = ~np.isnan(accuracy)
    worst = np.where(there, accuracy, np.inf).min(axis=0)
    worst = np.where(there.any(axis=0), worst, np.nan)
    return worst if value == "accuracy" else 1.0 - worst
