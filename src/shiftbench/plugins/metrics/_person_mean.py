"""The mean over persons of a measure of each; entries name the measure's column, its unit and its largest value.

Persons that do not count (crowds, those without a labelled joint) and those without the measure (-1) are left out.
"""

from collections.abc import Mapping

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.plugins.metrics import _people
from shiftbench.plugins.metrics._of_images import per_image
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
PARAMS: dict[str, object] = {"column": "", "unit": "share", "high": None}
HIGHER_IS_BETTER = False


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that are read, the unit and the range."""
    return {"COLUMNS": (options["column"], "true_crowd"), "UNIT": options["unit"], "RANGE": (0.0, options["high"])}


def reduce(rows: Rows, column: str, **_: object) -> Contributions:
    """Each image adds the values of its persons, and how many they are."""
    images, found = _people.values(rows, column)
    number = per_image(rows, images, np.ones_like(images))
    return Contributions(np.minimum(number, 1), (per_image(rows, images, found), number))


def finish(sums: Sums, column: str, **_: object) -> Floats:
    """Return the mean over persons, float64 (k,); NaN without one."""
    return ratio(sums.sums[0] / (E9 if column.endswith("_e9") else 1), sums.sums[1])
