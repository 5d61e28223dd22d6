"""Robust pass: RP_s@k, Pass@k where only completions count that pass under every one of s seeds of a perturbation.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, equation 2: RP_s@k = E[1 - C(n - rc, k) / C(n,
k)], rc = sum over the n completions of the product of their verdicts over the seeds.

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
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(path: SeverityPath, *, k: int, seeds: int, best: bool, changed: bool, **_: Any) -> Contributions:
    """Each prompt adds its robust pass@k in billionths."""
    found = generated_text.verdicts(path, seeds, changed=changed)
    value = generated_text.at_k(found.best if best else found.worst, k)
    return Contributions(found.counting, (value * found.counting,))


def finish(sums: Sums, path: SeverityPath, **_: Any) -> dict[float | None, Floats]:
    """Return the mean, float64 (k,)."""
    return {None: ratio(sums.sums[0] / E9, sums.count)}
