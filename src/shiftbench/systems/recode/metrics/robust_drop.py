"""Robust drop: RD_s@k, the share of Pass@k that is lost in the worst case over s seeds of a perturbation.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, equation 3: RD_s@k = (Pass@k - RP_s@k) / Pass@k.
Null where Pass@k is 0: nothing can be lost.

Options: `k`; `seeds`, how many of a perturbation's seeds count (its severities 1, 2, ...); `best`: the best case
instead of the worst, a maximum instead of the product; `across`: categories, name -> shifts, each a row with that
group, over all of its shifts and seeds at once; `changed`: only prompts that one of the seeds changes.
"""

from typing import Any

from shiftbench.plugins.metrics import generated_text
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("passed", "prompt")
PARAMS: dict[str, object] = {"k": 1, "seeds": 5, "best": False, "changed": False, "across": {}}
UNIT = "share"
RANGE = (None, 1.0)
HIGHER_IS_BETTER = False


def reduce(path: SeverityPath, *, k: int, seeds: int, best: bool, changed: bool, **_: Any) -> Contributions:
    """Each prompt adds, in billionths, its pass@k on the clean prompt and what is lost of it."""
    found = generated_text.verdicts(path, seeds, changed=changed)
    clean = generated_text.at_k(found.clean, k)
    robust = generated_text.at_k(found.best if best else found.worst, k)
    return Contributions(found.counting, (clean * found.counting, (clean - robust) * found.counting))


def finish(sums: Sums, path: SeverityPath, **_: Any) -> dict[float | None, Floats]:
    """Return the loss by what there was, float64 (k,)."""
    return {None: ratio(sums.sums[1], sums.sums[0])}
