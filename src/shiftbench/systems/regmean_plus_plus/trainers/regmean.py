"""RegMean: each linear layer of the merged net gives, in least squares, what the candidates' give on their own inputs.

Source: Jin et al., "Dataless Knowledge Fusion by Merging Weights of Language Models", ICLR 2023, equation 2 and
section 3.2; defaults (off-diagonals times 0.95, 256 samples) as in RegMean++. Differs: linear systems are solved by
Cholesky in float64, with a ridge of 1e-6 where the matrix is singular, instead of by an inverse in float32; only
layers within blocks are solved for, all that a CLIP tower has. `outside: pretrained` keeps the last norm of the
start, as RegMean++'s code does.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _grams, _merging

TASKS = ("classification", "text_classification")
PARAMS = _grams.PARAMS
needs = _merging.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the merged state dict."""
    return _grams.train(job, merged_inputs=False)
