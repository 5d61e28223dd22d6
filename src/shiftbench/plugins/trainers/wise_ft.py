"""WiSE-FT: no training, but the weights between a network and the one that was fine-tuned from it.

    theta_a = (1 - a) theta_0 + a theta_1,  a = 0.5 where nothing is known

    trainers:
      robust: {use: wise_ft, start: zero_shot, tuned: finetune, a: 0.5}

Both checkpoints are of the same seed, and without a prefix of the same dataset and model. Networks
with batch normalisation are refused unless their running statistics are equal, as fine-tuning with `statistics: kept`
leaves them.

Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, arXiv:2109.01903, equation 1 and section 3
(0.5).
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _interpolation

TITLE = "WiSE-FT"


class Options(declare.Options):
    start: str = Field("zero_shot", description="checkpoint at `a: 0`: TRAINER, or DATASET/MODEL-TRAINER")
    tuned: str = Field("finetune", description="checkpoint at `a: 1`, fine-tuned from `start`")
    a: float = Field(0.5, description="place between the two: 0 is `start`, 1 is `tuned`")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights at both ends."""
    checkpoints = [_interpolation.named(params[end], params) for end in ("start", "tuned")]
    return list(dict.fromkeys(checkpoints))


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The mixture."""
    context = {**job.params, "dataset": job.dataset, "model": job.model, "seed": job.seed}
    files = {ref.name: path for ref, path in job.inputs.items() if ref.kind == "checkpoints"}
    first, second = (
        nets.read_state(files[_interpolation.named(job.params[end], context).name]) for end in ("start", "tuned")
    )
    _interpolation.check(first, second, "wise_ft")
    for name, tensor in first.items():
        if name.endswith("running_mean") and not torch.equal(tensor, second[name]):
            raise ModelError(
                f"wise_ft: {name} differs between the ends, and the statistics of a mixture are those of no net; "
                "fine-tune with `statistics: kept`, or take a net without batch normalisation"
            )
    return _interpolation.mixed(first, second, job.params["a"])
