"""Shape bias and its parts: answers that name the shape or the texture, where the two differ.

A record's label is the class of the shape. Its group begins with the number of the texture's class (`04_checkerboard`).
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows

Of = Annotated[
    Literal["bias", "shape", "texture"], Field(description="shape bias, or the share of answers that name one cue")
]
Over = Annotated[
    Literal["conflicts", "all"], Field(description="samples that these shares are of: conflicts, or all with a texture")
]
PARTS, OVER = ("bias", "shape", "texture"), ("conflicts", "all")


def _part(sums: Sums, of: str, over: str) -> Floats:
    shape, texture = sums.sums
    if of == "bias":
        return ratio(shape, shape + texture)
    return ratio(shape if of == "shape" else texture, sums.count)


@declare.sample_metric(columns=("label", "prediction", "group"), finish=_part, higher_is_better=True)
def _cues(rows: Rows, of: Of = "bias", over: Over = "conflicts") -> Contributions:
    """Answers that name the shape, and answers that name the texture, where the two differ.

    Samples without a group, and those whose texture is that of their shape, do not count. NaN if no answer names
    either.

    `bias` is n_s / (n_s + n_t); `shape` and `texture` are n_s and n_t over all samples that count.
    Source: Geirhos et al. 2019, arXiv:1811.12231: of the answers that name either, the share that names the shape. We
    differ: the released plotting code (bethgelab/model-vs-human, `ShapeBias`) divides n_s and n_t by all rows (`all`);
    the ratio is the same.
    """
    if of not in PARTS or over not in OVER:
        raise ParamsError(f"of is {of!r} ({suggest(of, PARTS)}), over is {over!r} ({suggest(over, OVER)})")
    textures = _textures(rows)
    shape, answer = rows.column("label"), rows.column("prediction")
    known = (textures >= 0).astype(np.int64) * rows.counting
    conflict = known * (textures != shape)
    hits = tuple((conflict * (answer == named)).astype(np.int64) for named in (shape, textures))
    return Contributions(conflict if over == "conflicts" else known, hits)


def _textures(rows: Rows) -> Ints:
    """Class of each sample's texture, -1 if it has none; int64 (n,)."""
    groups = rows.table.column("group").to_pylist()
    classes = {group: _number(group) for group in set(groups)}
    return np.array([classes[group] for group in groups], dtype=np.int64)


def _number(group: str | None) -> int:
    head = (group or "").partition("_")[0]
    if group is not None and not head.isdecimal():
        raise DataError(
            f"the group {group!r} of a sample begins with no number; expected that of the texture's class, as in "
            "04_checkerboard"
        )
    return int(head) if head else -1
