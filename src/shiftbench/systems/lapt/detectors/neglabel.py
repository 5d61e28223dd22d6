"""NegLabel: score = -(mean over groups of negative labels of the softmax mass on the ID names).

    conf = 1/G sum over g of  sum over c in ID of softmax([logits of ID names, logits of the negatives of group g])_c

Negative labels are permuted once by torch's generator of seed 0, the remainder of N / G is dropped, and what is left
is cut into G groups of equal size. One group is the plain softmax mass. Logits are the model's, scale times cosine.

Source: Jiang et al., "Negative Label Guided OOD Detection with Pretrained Vision-Language Models", ICLR 2024
(arXiv:2403.20078), equations 8 and 9; the released code of LAPT (YBZh/OpenOOD-VLM, `oneoodprompt`: drops first,
permutes after; G = 1 with 1,000 negatives in training, 100 with 10,000 in its test script). Features are directions
of images, and the negatives are those that the weights of `prompted` hold.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import logsumexp

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits", "features", "net")
Floats = NDArray[np.float64]


class Options(declare.Options):
    groups: int = Field(1, ge=1, description="groups of negative labels that scores are averaged over")


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> Floats:
    """Minus the mass on ID names, float64 (n,) in [-1, 0]; higher = more OOD.

    Raises:
        ModelError: the weights hold no negative labels.
        ParamsError: no group, or more groups than negative labels.
    """
    negatives = getattr(rows.net.module, "negatives", None)
    if negatives is None:
        raise ModelError(
            f"{rows.name}: neglabel needs negative labels, and the model keeps none; take the model `prompted`"
        )
    order = members(len(negatives), params["groups"])
    directions: Floats = negatives.detach().double().cpu().numpy()
    return _blocks.scores(rows, lambda block: -_confidence(block, directions, order))


def members(count: int, groups: int) -> NDArray[np.int64]:
    """Negative labels of each group, int64 (groups, count // groups).

    Raises:
        ParamsError: groups is below 1 or above count.
    """
    import torch

    if not 1 <= groups <= count:
        raise ParamsError(f"neglabel: groups is {groups}; expected 1 to {count}, the number of negative labels")
    total = count - count % groups
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0)).numpy()
    return order.reshape(groups, -1)


def _confidence(block: Rows, negatives: Floats, order: NDArray[np.int64]) -> Floats:
    known = logsumexp(_blocks.logits(block), axis=1)
    others = _blocks.features(block) @ negatives.T
    return mass(known, others, order)


def mass(known: Floats, others: Floats, order: NDArray[np.int64]) -> Floats:
    """The mean mass on ID names, float64 (n,).

    Args:
        known: log of the sum of exp(logits of ID names), (n,).
        others: logits of negative labels (n, N).
        order: `members`.
    """
    parts = [1 / (1 + np.exp(logsumexp(others[:, own], axis=1) - known)) for own in order]
    masses: Floats = np.mean(parts, axis=0)
    return masses
