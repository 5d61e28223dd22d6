"""Which predicted boxes count, image by image: by confidence, by filter, or at equal ID recall; helper of metrics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.metrics.boxes_and_masks import flat
from shiftbench.statistics.rows import Ints, Rows

COLUMNS = ("scores", "filters", "filters_at_recall")
PARAMS: dict[str, object] = {"confidence": 0.25, "filter": 0, "at_recall": False}
"""`confidence`: lowest score that counts. `filter`: what passes the n-th of the method's filters; 0: everything.
`at_recall`: in place of `confidence`, that of equal ID recall (`methods/box_filters.py`)."""


def counted(rows: Rows, params: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return which predicted boxes count, bool (k,), in the order of the column `scores`.

    Raises:
        ParamsError: an option out of range, or the records hold no filters.
    """
    if not 0 <= params["confidence"] <= 1:
        raise ParamsError(f"confidence is {params['confidence']:g}; expected 0 to 1")
    scores = flat(rows.table, "scores")[1]
    if params["at_recall"]:
        return bits(rows, "filters_at_recall", params["filter"], len(scores))
    confident: NDArray[np.bool_] = scores >= params["confidence"]
    return confident & bits(rows, "filters", params["filter"], len(scores))


def bits(rows: Rows, column: str, number: int, count: int) -> NDArray[np.bool_]:
    """Return one bit of each predicted box, bool (k,).

    Raises:
        ParamsError: the records hold no such bits, or the number is below 0.
    """
    if number < 0:
        raise ParamsError(f"filter is {number}; expected 0 (none) or the number of a filter, from 1")
    if column == "filters" and number == 0:
        return np.ones(count, dtype=bool)
    _, found = flat(rows.table, column)
    if len(found) != count:
        raise ParamsError("these records hold no filters of boxes; evaluate with the method `box_filters`")
    return (found.astype(np.int64) >> number & 1).astype(bool)


def ranks(rows: Rows, number: int) -> Ints:
    """Return the rank of each predicted box under a filter, in billionths, int64 (k,).

    Raises:
        ParamsError: there is no such filter.
    """
    count = len(flat(rows.table, "scores")[1])
    found = flat(rows.table, "filter_ranks_e9")[1].astype(np.int64)
    width = len(found) // count if count else number
    if number < 1 or number > width:
        raise ParamsError(f"filter is {number}; expected 1 to {width}, the number of a filter of `box_filters`")
    return found.reshape(-1, width)[:, number - 1] if count else found
