"""Shares of answers of one class; variants name the class.

Source: the four rates of XTRUST's scorer, Li et al. 2024, arXiv:2409.15762 (positive, negative, fuzzy, no response).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from shiftbench.plugins import declare, fields
from shiftbench.statistics.contributions import Contributions, mean
from shiftbench.statistics.rows import Rows

Index = Annotated[int, Field(ge=0, description="number of the class")]


def _facts(options: Mapping[str, Any]) -> dict[str, object]:
    return {"HIGHER_IS_BETTER": options["higher"]}


@declare.sample_metric(columns=("prediction",), finish=mean, facts=_facts)
def _predicted_share(rows: Rows, *, index: Index = 0, higher: fields.Higher = True) -> Contributions:
    """Share of items whose answer is one class."""
    hit = (rows.column("prediction") == index).astype(np.int64)
    return Contributions(rows.counting, (hit * rows.counting,))
