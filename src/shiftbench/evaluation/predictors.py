"""The predictor of a recipe: model, options, precision and threads, with a checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.evaluation.batching import Predictor


def load(
    recipe: Mapping[str, Any], weights: Path, classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> Predictor:
    """Load the predictor of a recipe; sets the number of torch's threads.

    Args:
        recipe: holds `model` (use, options), `precision` and `threads`.
        weights: its safetensors file.
        classes: names of the classes, in the order of the logits.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        inputs: paths of the model's `needs`.

    Raises:
        ModelError: the checkpoint is of another architecture or number of classes.
    """
    torch.set_num_threads(recipe["threads"])
    model = registry.find("models", recipe["model"]["use"])
    return nets.load_predictor(
        model, weights, recipe["model"]["options"], classes, device, precision=recipe["precision"], inputs=inputs
    )
