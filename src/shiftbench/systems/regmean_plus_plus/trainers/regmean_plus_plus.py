"""RegMean++: RegMean whose layers are fed by the layers merged so far, with what the merged net will see.

Source: "RegMean++: Enhancing Effectiveness and Generalization of Regression Mean for Model Merging", 2025,
arXiv:2508.03121, algorithm 1: block l of candidate i is run on what the merged blocks before l give for the samples
of task i. Its code keeps the norm after the blocks as it was pretrained, while RegMean averages it: `outside:
pretrained`; the default is `average` for both, so that nothing else differs. Otherwise as trainers/regmean.py.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _grams, _merging

TASKS = ("classification", "text_classification")
PARAMS = _grams.PARAMS
needs = _merging.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the merged state dict."""
    return _grams.train(job, merged_inputs=True)
