"""A network whose features are projected to the unit sphere while it is trained, and a linear probe after.

Source: Chen et al. 2020, SimCLR, section 4.2 (a projection that is thrown away); Khosla et al. 2020, "Supervised
Contrastive Learning": Linear, ReLU, Linear, the first as wide as the features.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _logistic, _loop

Projection = Annotated[int, Field(ge=1, description="width of the projection, which is dropped after training")]
BATCH = 256
See = Callable[[torch.Tensor], torch.Tensor]


class Projected(nn.Module):
    """Images to points of length 1, (n, width); `inner` is the network that is kept."""

    def __init__(self, inner: Any, width: int) -> None:
        super().__init__()
        self.inner = inner
        features = inner.head.in_features
        self.projection = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The projected features."""
        return F.normalize(self.projection(self.inner.features(x)), dim=1)


def places(job: TrainJob, network: Any, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Projections of a split's samples, (n, width), and their labels, on the CPU; without augmentation."""
    projections, labels = _seen(job, network, network, split)
    return torch.from_numpy(projections), labels


def accuracy(
    network: nn.Module, classify: Callable[[torch.Tensor], torch.Tensor], inputs: npt.NDArray[Any], labels: torch.Tensor
) -> float:
    """The share of rows that are classified as their label by where they lie; NaN when there is no row."""
    if not len(labels):
        return float("nan")
    guesses = [classify(z).cpu() for z in _batches(network, network, inputs)]
    return float((torch.cat(guesses) == labels).double().mean())


def probed(job: TrainJob, network: Any, grid: Sequence[float]) -> nets.State:
    """The network's state dict with a linear probe of its features as head; logs `c` and `probe_accuracy`."""
    (known, labels), (held, asked) = (_seen(job, network, network.features, s) for s in ("train", "val"))
    train, val = ((known.astype(np.float64), labels.numpy()), (held.astype(np.float64), asked.numpy()))
    weight, bias, c = _logistic.choose(train, val, len(job.classes), grid, job.threads)
    job.log(0, "c", c)
    job.log(0, "probe_accuracy", float(((val[0] @ weight.T + bias).argmax(1) == val[1]).mean()))
    head = torch.from_numpy(weight), torch.from_numpy(bias)
    return nets.with_head(job.plugin, network.state_dict(), *head)


def _seen(job: TrainJob, network: nn.Module, see: See, split: str) -> tuple[npt.NDArray[np.float32], torch.Tensor]:
    inputs, labels = _loop.data(job, split)
    return np.concatenate([nets.to_numpy(part) for part in _batches(network, see, inputs)]), labels


def _batches(network: nn.Module, see: See, inputs: npt.NDArray[Any]) -> Iterator[torch.Tensor]:
    network.eval()
    with torch.inference_mode():
        for at in range(0, len(inputs), BATCH):
            yield see(_loop.tensor(inputs[at : at + BATCH], network))
