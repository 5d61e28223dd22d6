"""The oracle of small scenes: answers each question from the graph of its scene, whatever its phrasing; sees no pixel.

A check of data and shift, no model: it must be right on all. Source: ours; `datasets/_questions.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions

TASK = "free_text"
PRETRAINED_ON = "nothing"


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State instead of weights: a zero."""
    return {"oracle": torch.zeros(1)}


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """Predictor of one answer for each sample."""

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        completions = np.empty(len(samples), object)
        for row, sample in enumerate(samples):
            graph = sample.fields["meta"]["graph"]
            completions[row] = (_questions.oracle(sample.fields["text"], graph),)
        return {"completions": completions}

    return predict
