"""CLIPScore, what MMDT calls helpfulness: 2.5 times the cosine of picture and text, 0 at least, mean over pictures.

Completions that have none, of other tasks or refused, do not count.

Source: Hessel et al. 2021, arXiv:2104.08718, section 3; AI-secure/MMDT at 68be1c8, mmdt/perspectives/ood/utils.py.
"""

import json

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("completions",)
PARAMS: dict[str, object] = {}
UNIT = "score"
RANGE = (0.0, 2.5)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Each prompt adds the scores of its pictures in billionths, and how many have one."""
    found = [
        [round(E9 * score) for score in map(_score, own) if score is not None]
        for own in rows.table.column("completions").to_pylist()
    ]
    count = np.array([len(own) for own in found], np.int64)
    counting = rows.counting * (count > 0)
    sums = np.array([sum(own) for own in found], np.int64)
    return Contributions(counting, (sums * counting, count * counting))


def finish(sums: Sums) -> Floats:
    """Return the mean over pictures, float64 (k,)."""
    return ratio(sums.sums[0] / E9, sums.sums[1])


def _score(text: str) -> float | None:
    found = json.loads(text) if text.startswith("{") else {}
    return found.get("clip_score") if isinstance(found, dict) else None
