"""PALM: a mixture of prototypes for every class on the unit sphere, in place of a classifier.

Each step: two views of each image, at places z of length 1; balanced assignments to all prototypes, of which those to
the own class count, and of these the `kept` largest; prototypes move to the samples that they were assigned; samples
move to their prototypes (`palm_mle`); prototypes of one class move together and those of others apart, which
reaches the model through the samples that have just moved them (`prototype_contrast`).

Source: PALM, "Learning with Mixture of Prototypes for Out-of-Distribution Detection", ICLR 2024, arXiv 2402.02653;
jeff024/PALM, `util/loss_functions.py`. CIFAR there: 500 epochs of batches of 512 images, `lr` 0.5, `warmup` 0.02 (10
epochs), 6 prototypes, 5 kept. Expected on CIFAR-100 with ResNet-34 and `ssd_plus`: AUROC 0.938, mean of five sets.
`form: code` is the released likelihood, which prunes the new assignments where the old ones, normalised over the batch,
are small; `form: paper` is the printed one, the new assignments pruned within each class.

Differs: the last epoch is kept, not that of the lowest loss; float32, not mixed precision. Biases and norms are decayed
where the optimiser has `decay_all`, as there. Projection and prototypes are not kept. The method has no classifier:
`head` is a linear probe on the features (`c`: its penalties, chosen on val), so that records have logits, and accuracy
is the probe's. The log has the accuracy by the nearest prototype after each epoch as `val_accuracy`, and the probe's as
`probe_accuracy`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _projected, _views
from shiftbench.systems.palm.losses.prototypes import palm_mle, prototype_contrast
from shiftbench.systems.palm.trainers import _prototypes
from shiftbench.systems.palm.trainers._prototypes import Prototypes

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "epochs": 10,
    "batch_size": 256,
    "optimizer": "sgd",
    "lr": 0.2,
    "weight_decay": 1e-6,
    "schedule": "warmup_cosine",
    "warmup": 0.1,
    "projection": 128,
    "prototypes": 6,
    "kept": 5,
    "momentum": 0.999,
    "eps": 0.05,
    "rounds": 3,
    "temperature": 0.1,
    "form": "code",
    "contrast": 1.0,
    "contrast_temperature": 0.5,
    "c": [0.001, 0.01, 0.1, 1.0],
    **registry.defaults(_views),
}
FORMS = ("code", "paper")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch, its head a linear probe.

    Raises:
        ParamsError: an option that is out of its range.
    """
    checked(job.params)
    model = _projected.Projected(_loop.fresh_net(job), job.params["projection"])
    mixture = Prototypes(len(job.classes), job.params["prototypes"], job.params["projection"])
    model.add_module("prototypes", mixture)

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        pairs = _loop.tensor(np.concatenate([batch, batch]), model)
        z = model(_views.augment(pairs, rng, job.params))
        return step(mixture, z, labels.repeat(2), job.params)

    val_data = _loop.data(job, "val")
    validate = lambda model: _projected.accuracy(model, mixture.nearest, *val_data)  # noqa: E731
    _loop.fit(job, model, loss, validate=validate)
    return _projected.probed(job, model.inner, job.params["c"])


def step(mixture: Prototypes, z: torch.Tensor, labels: torch.Tensor, params: Mapping[str, Any]) -> torch.Tensor:
    """Move the prototypes and return the loss of one batch.

    Args:
        mixture: its points are replaced.
        z: of length 1, (n, d).
        labels: int64 (n,).
        params: options of PALM.
    """
    owned, count = mixture.owned(labels), params["kept"]
    assigned = owned * _prototypes.assign(z, mixture.points, params["eps"], params["rounds"])
    pruned = _prototypes.shares(_prototypes.largest(assigned, count) * assigned)
    pull = _prototypes.shares(pruned, dim=0)
    points = _prototypes.average_step(mixture.points, z, pull, params["momentum"])
    likelihood = palm_mle(
        z @ points.detach().T / params["temperature"], *weights(mixture, z, owned, pull, points, params)
    )
    mixture.points.copy_(points.detach())
    if not params["contrast"]:
        return likelihood
    contrast = prototype_contrast(points, mixture.owners, params["contrast_temperature"])
    return likelihood + float(params["contrast"]) * contrast


def weights(
    mixture: Prototypes,
    z: torch.Tensor,
    owned: torch.Tensor,
    pull: torch.Tensor,
    points: torch.Tensor,
    params: Mapping[str, Any],
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The assignments to the moved points, of the own class and (the paper's form) within each."""
    assignments = _prototypes.assign(z, points, params["eps"], params["rounds"])
    if params["form"] == "code":
        largest = _prototypes.largest(pull, params["kept"])
        return _prototypes.shares(largest * owned * assignments), None
    within_class = _prototypes.within_classes(assignments, mixture.classes, params["kept"])
    return owned * within_class, within_class


def checked(params: Mapping[str, Any]) -> None:
    """Refuse options out of range.

    Raises:
        ParamsError: names the option.
    """
    if params["form"] not in FORMS:
        raise ParamsError(f"palm: form = {params['form']!r}; {suggest(str(params['form']), FORMS)}")
    for name in ("prototypes", "kept", "projection"):
        if params[name] < 1:
            raise ParamsError(f"palm: {name} = {params[name]}; expected 1 or more")
    if not 0 <= params["momentum"] < 1:
        raise ParamsError(f"palm: momentum = {params['momentum']}; expected a share in [0, 1)")
