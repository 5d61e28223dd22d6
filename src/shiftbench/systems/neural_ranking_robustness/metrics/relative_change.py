"""Relative change: what a metric gains under a shift, as a share of its clean value; negative: it loses.

    DR = (P_shifted - P_clean) / P_clean

Also of domain shifts, whose samples are others than the clean ones. Not defined where the clean value is below
`least`, 0.05: shares of next to nothing say nothing. Source: Wu et al., "Are Neural Ranking Models Robust?", TOIS
41(2), 2022, https://arxiv.org/abs/2108.05018 (its drop rate, with our sign for the query attack as well).
"""

from shiftbench.statistics.rows import Row
from shiftbench.systems.neural_ranking_robustness.metrics import _relative

KIND = "curve"
PARAMS: dict[str, object] = {"of": "mean_ndcg10", "least": 0.05}
UNIT = "share of the clean value"
RANGE = (-1.0, None)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metric whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, least: float) -> list[Row]:
    """Return a row beside each shifted one."""
    return [
        shifted.derived([shifted, clean], _relative.change(shifted, clean, least))
        for shifted, clean in _relative.beside(rows, of)
        if shifted.group is None
    ]
