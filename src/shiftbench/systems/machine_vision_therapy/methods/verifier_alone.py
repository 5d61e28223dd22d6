"""The verifier without the vision model: the class of the support image that is nearest to the query in its features.

Logits are `scale` times the largest cosine with an exemplar of each class, on features centred by the support's mean. A
class without exemplars is never predicted. The support set is that of `machine_vision_therapy` with the same options.

Source: Cover and Hart, "Nearest neighbor pattern classification", 1967; a baseline of ours, which has the same labels
and the same second model as the therapy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.systems.machine_vision_therapy.methods import _support, _verifiers

SEES = "sample"
TASKS = ("classification",)


class Options(_support.Options):
    scale: float = Field(10.0, gt=0, description="scale of the cosines")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The needs of `_support`."""
    return _support.needs(params)


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Nearest:
    """The nearest neighbour; the predictor is not called."""
    return Nearest(params)


class Nearest:
    """Looks for the nearest support image.

    Args:
        params: see Options.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a condition: read its records, draw the support set."""
        ward = _support.ward(self._params, inputs)
        outputs, support = ward.verifier, ward.verifier_features
        if outputs is None or outputs.features is None or support is None:
            raise ParamsError("verifier_alone takes a verifier's features; name its weights under `verifier`")
        features = outputs.features
        self._compare = _verifiers.Features(
            lambda samples: features[outputs.rows(samples)], support, self._params["scale"]
        )
        self._ward, self._classes = ward, ward.queries.logits.shape[1]

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[np.float32]]:
        """`logits` (n, C)."""
        cosines = self._compare.queries(samples) @ self._compare.support.T
        scale, ward = self._params["scale"], self._ward
        logits = np.full((len(samples), self._classes), -2.0 * scale, dtype=np.float32)
        for label in np.unique(ward.labels):
            best = cosines[:, ward.labels == label].max(axis=1)
            logits[:, ward.allowed[label]] = scale * best
        return {"logits": logits}
