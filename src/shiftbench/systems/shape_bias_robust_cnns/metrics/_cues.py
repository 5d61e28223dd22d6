"""What shape bias is made of: answers that name the shape, and answers that name the texture, where the two differ.

A record's label is the class of the shape, its group begins with the number of the texture's class (`04_checkerboard`);
samples without a group, and those whose texture is that of their shape, do not count.

Source: Geirhos et al. 2019, arXiv:1811.12231: of the answers that name either, the share that names the shape. `of`
says which quantity: `bias`, n_s / (n_s + n_t); `shape` and `texture`, n_s and n_t over all samples that count. Differs:
the released plotting code (bethgelab/model-vs-human, `ShapeBias`) divides the latter two by all rows, those whose
shape and texture agree among them, `over: all`; the ratio is the same.
"""

import numpy as np

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows

KIND = "sample"
COLUMNS = ("label", "prediction", "group")
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
PARAMS: dict[str, object] = {"of": "bias", "over": "conflicts"}
PARTS, OVER = ("bias", "shape", "texture"), ("conflicts", "all")


def reduce(rows: Rows, of: str = "bias", over: str = "conflicts") -> Contributions:
    """Each sample with a conflict adds 1 to the shape's answers or to the texture's, or to neither.

    Raises:
        ParamsError: an option that is none.
    """
    if of not in PARTS or over not in OVER:
        raise ParamsError(f"of is {of!r} ({suggest(of, PARTS)}), over is {over!r} ({suggest(over, OVER)})")
    textures = numbers(rows)
    shape, answer = rows.column("label"), rows.column("prediction")
    has = (textures >= 0).astype(np.int64) * rows.counting
    conflict = has * (textures != shape)
    hits = tuple((conflict * (answer == named)).astype(np.int64) for named in (shape, textures))
    return Contributions(conflict if over == "conflicts" else has, hits)


def numbers(rows: Rows) -> Ints:
    """Return the class of each sample's texture, -1 where it has none; int64 (n,).

    Raises:
        DataError: a group that begins with no number.
    """
    groups = rows.table.column("group").to_pylist()
    known = {group: _number(group) for group in set(groups)}
    return np.array([known[group] for group in groups], dtype=np.int64)


def _number(group: str | None) -> int:
    head = (group or "").partition("_")[0]
    if group is not None and not head.isdecimal():
        raise DataError(
            f"the group {group!r} of a sample begins with no number; expected that of the texture's class, as in "
            "04_checkerboard"
        )
    return int(head) if head else -1


def finish(sums: Sums, of: str = "bias", over: str = "conflicts") -> Floats:
    """Return the quantity; NaN where no answer names either."""
    shape, texture = sums.sums
    if of == "bias":
        return ratio(shape, shape + texture)
    return ratio(shape if of == "shape" else texture, sums.count)
