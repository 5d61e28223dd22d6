"""The features of several modalities, one after the other, as blocks of columns; helper of detectors of modalities."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.detectors._rows import Rows

Widths = Annotated[
    str, Field(description="numbers of features of each modality, as `2304 2048` of RGB and flow; empty: one block")
]


def columns(widths: str, total: int) -> list[slice]:
    """The columns of each modality.

    Raises:
        ParamsError: widths are no numbers, or do not add up to all features.

    Example:
        >>> columns("2 3", 5)
        [slice(0, 2, None), slice(2, 5, None)]
    """
    words = widths.split() or [str(total)]
    sizes = [int(word) for word in words if word.isdecimal()]
    if len(sizes) < len(words) or sum(sizes) != total or min(sizes) < 1:
        raise ParamsError(f"widths is {widths!r}; expected the number of features of each modality, {total} together")
    ends = [sum(sizes[: at + 1]) for at in range(len(sizes))]
    return [slice(end - width, end) for end, width in zip(ends, sizes, strict=True)]


def part(rows: Rows, place: slice) -> Rows:
    """Rows with the features of one modality, for detectors that use features alone."""
    return replace(rows, beside=rows.features[:, place], linear=None, again=None)
