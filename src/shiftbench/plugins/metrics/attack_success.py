"""Attack success: of the completions that pass clean, the share that fails under some seed of a perturbation.

Source: the usual measure of attacks (Jin et al. 2020, https://arxiv.org/abs/1907.11932), on the verdicts of Wang et
al. 2023 (ReCode), https://arxiv.org/abs/2212.10264. Null where nothing passes.

Options: `seeds`, how many of a perturbation's seeds count; `across`: categories, name -> shifts, each a row with
that group.
"""

from typing import Any

from shiftbench.plugins.metrics import _executed
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("passed", "prompt")
PARAMS: dict[str, object] = {"seeds": 5, "across": {}}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def reduce(path: SeverityPath, seeds: int, **_: Any) -> Contributions:
    """Each prompt adds how many of its completions pass clean, and how many of these fail for some seed."""
    found = _executed.verdicts(path, seeds)
    clean = found.clean.sum(axis=1) * found.counting
    lost = (found.clean & ~found.worst).sum(axis=1) * found.counting
    return Contributions(found.counting, (clean, lost))


def finish(sums: Sums, path: SeverityPath, **_: Any) -> dict[float | None, Floats]:
    """Return the share, float64 (k,)."""
    return {None: ratio(sums.sums[1], sums.sums[0])}
