"""Perturbed rate: the share of perturbed prompts, over all seeds, that are not the clean ones.

Source: none; a perturbation that finds nothing to change leaves the prompt as it was, and robustness to it is no
merit. In the files released with ReCode (https://arxiv.org/abs/2212.10264) name perturbations leave up to 164 of
164 prompts.

Option: `across`: categories, name -> shifts, each a row with that group, over all of its shifts and seeds.
"""

from typing import Any

import numpy as np

from shiftbench.plugins.metrics import generated_text
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("passed", "prompt")
PARAMS: dict[str, object] = {"across": {}}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(path: SeverityPath, **_: Any) -> Contributions:
    """Each prompt adds how many of its versions differ from it."""
    clean, *shifted = path.rows
    differ = np.sum([generated_text.differs(clean, rows) for rows in shifted], axis=0)
    return Contributions(clean.counting, (differ * clean.counting,))


def finish(sums: Sums, path: SeverityPath, **_: Any) -> dict[float | None, Floats]:
    """Return the share over prompts and versions, float64 (k,)."""
    return {None: ratio(sums.sums[0], sums.count * (len(path.rows) - 1))}
