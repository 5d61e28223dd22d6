"""Mean corruption error: errors summed over severities, by those of a named normaliser, meaned over shifts.

CE(shift) = sum over severities of error / sum over severities of the normaliser's error; mCE is the mean of
CE over the shifts. A row with a shift is CE, the row without one is mCE.

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
RANGE = (0.0, None)
HIGHER_IS_BETTER = False


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], normaliser: str, shifts: list[str] | None, of: str) -> list[Row]:
    """Return CE per shift and mCE, for all weights; see `_corruption.ratios`."""
    return ratios(rows, normaliser, shifts, of, relative=False)
