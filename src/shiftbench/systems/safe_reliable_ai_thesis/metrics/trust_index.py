"""Trust index: accuracy among the most trusted samples, as many as are predicted rightly.

TI = 1 - r(a), the selective accuracy at a coverage of a, the accuracy: 1 where a score accepts exactly the right
predictions. With `coverage`, at that coverage instead (0.95: `trust_index_95`). Equal scores: the expectation over
their orders.

Source: Ao, Rueger and Siddharthan, "Empirical Optimal Risk to Quantify Model Trustworthiness for Failure Detection",
2023, arXiv:2308.03179, abstract; the repository AoShuang92/optimal_risk is empty.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.statistics.rows import Floats
from shiftbench.systems.safe_reliable_ai_thesis.metrics import _tail

KIND = "failure"
PARAMS: dict[str, object] = {"coverage": None}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(
    scores: Floats, correct: NDArray[np.bool_], weights: NDArray[np.uint8], coverage: float | None = None
) -> Floats:
    """Return the index for each draw, float64 (k,), from scores (n,), correct (n,), weights uint8 (n, k).

    Raises:
        ParamsError: a coverage outside (0, 1].
    """
    if coverage is not None and not 0 < coverage <= 1:
        raise ParamsError(f"trust_index: coverage is {coverage:g}; expected a share in (0, 1], or none")
    return 1 - _tail.tail(scores, correct, weights, coverage).at
