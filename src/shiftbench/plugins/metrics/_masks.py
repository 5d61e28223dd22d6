"""The mean over truly tampered images of a measure of their masks; helper of `mean_iou` and `pixel_f1`.

Images without a true mask, and models without masks, do not count: the measure is not defined there, and not 1. `rule`
says what becomes of a tampered image that is not called tampered: `all`, its mask counts as any other (the default);
`detected`, the image does not count; `gated`, its mask is taken for empty, so that it counts as 0.

With H pixels right, F called falsely and M missed, IoU = H / (H + F + M) and F1 = 2 H / (2 H + F + M), of each image,
in billionths. Both are defined for each image that counts, since a true mask is never empty.
"""

import numpy as np

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

COLUMNS = ("mask_hit", "mask_false", "mask_missed", "called")
RULES = ("all", "detected", "gated")


def reduce(rows: Rows, rule: str, times: int) -> Contributions:
    """Each image adds its measure, in billionths; a hit counts `times` in numerator and denominator.

    Raises:
        ParamsError: another rule.
    """
    if rule not in RULES:
        raise ParamsError(f"rule = {rule!r}; {suggest(rule, RULES)}")
    counting = rows.present("mask_hit")
    called = (rows.column("called") > 0).astype(np.int64)
    if rule == "detected":
        counting = counting * called
    hit = times * rows.column("mask_hit")
    whole = np.maximum(1, hit + rows.column("mask_false") + rows.column("mask_missed"))
    value = (2 * E9 * hit + whole) // (2 * whole)  # rounded, in whole numbers
    return Contributions(counting, (value * counting * (called if rule == "gated" else 1),))


def finish(sums: Sums) -> Floats:
    """Return the mean over the images that count, float64 (k,); NaN without one."""
    return ratio(sums.sums[0] / E9, sums.count)
