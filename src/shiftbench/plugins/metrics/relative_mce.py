"""Relative mean corruption error: as mce, of errors above the clean error.

relative CE(shift) = sum over severities of (error - clean error) / the same of the normaliser. A row
with a shift is relative CE, the row without one is relative mCE.

Source: Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions
and perturbations", section 4.2. `normaliser: alexnet` takes their errors of AlexNet on ImageNet-C (the constants of
their code, means over severities 1 to 5), so it asks for these five severities; any other name is that of
weights in the same benchmark, whose replicates enter too. We give a ratio where the paper gives percent.
"""

from shiftbench.plugins.metrics._corruption import ratios
from shiftbench.statistics.rows import Row

KIND = "curve"
PARAMS: dict[str, object] = {"normaliser": "alexnet", "shifts": None, "of": "error"}
UNIT = "ratio"
RANGE = (None, None)
HIGHER_IS_BETTER = False


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], normaliser: str, shifts: list[str] | None, of: str) -> list[Row]:
    """Return relative CE per shift and its mean, for all weights; see `_corruption.ratios`."""
    return ratios(rows, normaliser, shifts, of, relative=True)
