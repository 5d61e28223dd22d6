"""Robust relative: RR_s@k, how many verdicts change for at least one of s seeds of a perturbation, either way.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, equation 4: RR_s@k = E[2 - C(n - r-, k) / C(n,
k) - C(n - r+, k) / C(n, k)], r- completions that pass on the clean prompt and fail for some seed, r+ the other way
round. With greedy decoding (n = 1) it is the share of prompts whose verdict changes. With `best` a verdict changes
only if it does for every seed (official code, in sampling mode, takes `and` over perturbations of a category for
its best case, which understates it).

Options: `k`; `seeds`, how many of a perturbation's seeds count (its severities 1, 2, ...); `best`: the best case
instead of the worst, a maximum instead of the product; `across`: categories, name -> shifts, each a row with that
group, over all of its shifts and seeds at once; `changed`: only prompts that one of the seeds changes.
"""

from typing import Any

from shiftbench.data.formats import E9
from shiftbench.plugins.metrics import generated_text
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("passed", "prompt")
PARAMS: dict[str, object] = {"k": 1, "seeds": 5, "best": False, "changed": False, "across": {}}
UNIT = "share"
RANGE = (0.0, 2.0)
HIGHER_IS_BETTER = False


def reduce(path: SeverityPath, *, k: int, seeds: int, best: bool, changed: bool, **_: Any) -> Contributions:
    """Each prompt adds, in billionths, the two terms that a change of verdicts makes."""
    found = generated_text.verdicts(path, seeds, changed=changed)
    lost = found.clean & ~(found.best if best else found.worst)
    won = ~found.clean & (found.worst if best else found.best)
    value = generated_text.at_k(lost, k) + generated_text.at_k(won, k)
    return Contributions(found.counting, (value * found.counting,))


def finish(sums: Sums, path: SeverityPath, **_: Any) -> dict[float | None, Floats]:
    """Return the mean, float64 (k,)."""
    return {None: ratio(sums.sums[0] / E9, sums.count)}
