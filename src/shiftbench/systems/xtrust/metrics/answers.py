"""Shares of answers of one class; variants name the class.

Source: the four rates of XTRUST's scorer, Li et al. 2024, arXiv:2409.15762 (positive, negative, fuzzy, no response).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, mean
from shiftbench.statistics.rows import Rows


def _facts(options: Mapping[str, Any]) -> dict[str, object]:
    return {"HIGHER_IS_BETTER": options["higher"]}


@declare.sample_metric(columns=("prediction",), finish=mean, facts=_facts)
def _predicted_share(rows: Rows, *, index: int = 0, higher: bool = True) -> Contributions:
    """Share of items whose answer is one class.

    Options: `index`, of the class.
    """
    hit = (rows.column("prediction") == index).astype(np.int64)
    return Contributions(rows.counting, (hit * rows.counting,))
