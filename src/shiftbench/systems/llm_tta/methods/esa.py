"""Entropy-based selective augmentation around any method, from records: no network is run and nothing is rewritten.

Where the entropy of the records under `plain` is below a threshold these stand, else those under `method`. The
threshold is searched (`_gate.search`) on the records of both on the val split of the data set that the model was
trained on, for each model. `evaluate.outputs` must be `full`.

Source: O'Brien et al. 2024, arXiv:2402.08225, section 3. Differs: they search on the ID test split. The other methods'
own `theta` gates before anything is rewritten, and gives the same predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.llm_tta.methods import _recorded

SEES = "sample"
TASKS = ("text_classification",)


class Options(declare.Options):
    method: str = Field("tta_id_vocab", description="method that is gated")
    theta: float | None = Field(None, ge=0, description="entropy threshold in nats; null: searched on val")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Records of both under the condition, and on val where the threshold is searched."""
    of = Ref("checkpoints", params["checkpoint"])
    places = [(params["stream"], params["step"])]
    if params["theta"] is None:
        places.append((f"{params['dataset']}/val/identity", "0"))
    return [refs.records(of, method, *place) for place in places for method in ("plain", params["method"])]


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Gated:
    """The gated predictor; the predictor itself is not called."""
    return Gated(params)


class Gated:
    """Looks samples up in two records of one position."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._rows: dict[str, NDArray[np.float32]] = {}

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a position: read its records.

        Raises:
            DataError: the two have not the same samples.
            ParamsError: records hold the largest logits only.
        """
        places: dict[tuple[str, ...], dict[str, Path]] = {}  # the position first, val last
        for ref, path in inputs.items():
            if ref.kind == "records":
                places.setdefault(ref.parts[3:], {})[ref.parts[2]] = path
        here, *_ = pairs = [_recorded.pair(files["plain"], files[self._params["method"]]) for files in places.values()]
        threshold = self._params["theta"]
        if threshold is None:
            threshold = _recorded.threshold(pairs[-1])
        self._rows = dict(zip(*here.gated(threshold), strict=True))

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[np.float32]]:
        """`logits` float32 (n, C)."""
        return {"logits": np.stack([self._rows[sample.key] for sample in samples])}
