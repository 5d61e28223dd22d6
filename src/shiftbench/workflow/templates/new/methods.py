"""NAME: the mean answer over an image and its mirror image.

Source: Krizhevsky, Sutskever and Hinton 2012, section 4.1 (the mirrored half of the ten crops).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample

Predictor = Callable[[list[Sample]], dict[str, np.ndarray]]

SEES = "sample"  # each sample is answered on its own
TASKS = ("classification",)  # others are refused by the plan


def wrap(predictor: Predictor, params: dict[str, Any], inputs: dict[Ref, Path]) -> Predictor:
    """A predictor that asks `predictor` twice and averages each of its outputs."""

    def predict(samples: list[Sample]) -> dict[str, np.ndarray]:
        straight, mirrored = predictor(samples), predictor([_mirror(s) for s in samples])
        return {name: (straight[name] + mirrored[name]) / 2 for name in straight}

    return predict


def _mirror(sample: Sample) -> Sample:
    return sample.with_field("image", np.ascontiguousarray(sample.fields["image"][:, ::-1]))
