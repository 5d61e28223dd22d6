"""Pass@k: the chance that one of k completions, drawn from the n of a prompt, passes its tests; mean over prompts.

Source: Chen et al. 2021, "Evaluating large language models trained on code", https://arxiv.org/abs/2107.03374,
equation 1, 1 - C(n - c, k) / C(n, k) with c of n passing; here in whole numbers, where theirs is a product of
floats.
"""

from shiftbench.data.formats import E9
from shiftbench.plugins.metrics import _executed
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("passed",)
PARAMS: dict[str, object] = {"k": 1}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows, k: int) -> Contributions:
    """Each prompt adds its pass@k in billionths."""
    return Contributions(rows.counting, (_executed.at_k(_executed.passed(rows), k) * rows.counting,))


def finish(sums: Sums, k: int) -> Floats:
    """Return the mean, float64 (k,)."""
    return ratio(sums.sums[0] / E9, sums.count)
