"""The mean of accuracy over complexities up to the threshold, or above it; entries say which.

Source: ID and OOD of arXiv 2510.06274's protocol, reconstructed.
"""

from shiftbench.statistics.rows import Row
from shiftbench.systems.complexity_ood.metrics import _points

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy", "threshold": 2, "above": False}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, threshold: float, above: bool) -> list[Row]:  # noqa: FBT001 - an option
    """Return one row per curve that has both sides."""
    found = []
    for curve in _points.curves(rows, of):
        inside = curve.complexities <= threshold
        if inside.any() and not inside.all():
            found.append(curve.row(curve.values[~inside if above else inside].mean(axis=0)))
    return found
