"""A detection measure on as many OOD as ID samples: the mean over ten draws of the smaller number from either side.

`of`: `auroc`, `aupr_in` (ID positive), or `tnr95`, the share of OOD that is rejected where 95% of ID are accepted (the
nearest such threshold). The first matters little, precision and its area much.

Source: Zhang et al., "Mixture Outlier Exposure", WACV 2023, `eval/eval.py` of zjysteven/MixOE: `random.seed(0)`, then
`random.sample` of ID and of OOD scores, ten times; so here. Differs: rows are in the order of scores, there in that
of a shuffled loader, so that other samples are drawn. Under a bootstrap draw the same samples are, with its weights.
"""

import random  # noqa: TID251 - the authors' own draws
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins.metrics import aupr_in, auroc, fpr95_idpos
from shiftbench.statistics.rows import Floats

KIND = "detection"
PARAMS: dict[str, object] = {"of": "auroc", "draws": 10}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
MEASURES = ("auroc", "aupr_in", "tnr95")
Weights = NDArray[np.uint8]


def compute(
    id: Floats, ood: Floats, id_weights: Weights, ood_weights: Weights, of: str = "auroc", draws: int = 10
) -> Floats:
    """Return the mean for each bootstrap draw, float64 (k,), from scores and weights uint8 (n, k), (m, k).

    Raises:
        ParamsError: no such measure.
    """
    if of not in MEASURES:
        raise ParamsError(f"equal_sized: of = {of!r}; {suggest(of, MEASURES)}")
    first, second = np.argsort(id, kind="stable"), np.argsort(ood, kind="stable")
    id, ood, id_weights, ood_weights = (id[first], ood[second], id_weights[first], ood_weights[second])
    values = [
        _measured(of, id[rows], ood[others], id_weights[rows], ood_weights[others])
        for rows, others in equal(len(id), len(ood), draws)
    ]
    mean: Floats = np.mean(values, axis=0)
    return mean


def equal(known: int, unknown: int, draws: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield as many rows of ID as of OOD, in the authors' draws; rows are in the order of scores."""
    words, size = random.Random(0), min(known, unknown)
    for _ in range(draws):
        yield words.sample(range(known), size), words.sample(range(unknown), size)


def _measured(of: str, id: Floats, ood: Floats, id_weights: Weights, ood_weights: Weights) -> Floats:
    sides = (id, ood, id_weights, ood_weights)
    if of == "tnr95":
        return 1 - fpr95_idpos.compute(*sides, rule="nearest")
    area: Floats = (auroc if of == "auroc" else aupr_in).compute(*sides)
    return area
