"""SCALE as the code of ASCOOD applies it: features before standardising, weights of the head that sees them after.

    score = -LSE(W (h e^r) + b),  r = sum(h) / sum of the largest of h

The network's own logits are W h~ + b with standardised h~, on which SCALE does nothing (they sum to 0, and e^0 = 1),
and to which scaled h lead back (standardising undoes any positive factor). So this score looks at other numbers than
the network does; it is here because the published ones (ASCOOD + SCALE, OpenOOD v1.5) are made with it. Of networks
whose head sees the features as they are, it is `scale`.

Source: `openood/networks/ascood_net.py` and `scale_net.py` of sudarshanregmi/ASCOOD; Xu et al. 2024 for SCALE. Sees the
network again, since records keep h~ (or h, under another method).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _activations
from shiftbench.plugins.detectors._rows import Head, Known, Rows

NEEDS = ("net",)
GRID: dict[str, list[object]] = {"percentile": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]}


class Options(declare.Options):
    percentile: float = Field(
        85.0, ge=0, lt=100, description="percentile of a sample's features; those above are the largest"
    )


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[np.float64]:
    """The energies of the scaled raw features, float64 (n,); higher = more OOD.

    Raises:
        ModelError: the model is a black box.
        ParamsError: the percentile lies outside [0, 100), or leaves nothing.
        DataError: the largest features of a sample sum to zero or less.
    """
    model: Any = rows.net.module
    raw = getattr(model, "raw", None) or model.features
    parts = [part for (part,) in rows.net.each(lambda x: (raw(x),))]
    raw_rows = Rows(rows.table, np.concatenate(parts).astype(np.float32), name=rows.name)
    weight, bias = (getattr(model.head, part).detach().double().cpu().numpy() for part in ("weight", "bias"))
    head = Head(weight, bias)

    def logits(block: Rows) -> NDArray[np.float64]:
        features = _activations.finite(block).astype(np.float64)
        strongest = features * _activations.largest(block.features, params["percentile"])
        return head(features * np.exp(_activations.inflation(block, features, strongest)))

    return _activations.energies(raw_rows, logits)
