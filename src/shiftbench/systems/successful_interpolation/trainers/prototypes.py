"""A head of class means on the features of a pretrained model: the nearest mean decides; temperature fitted on val.

    logits = -t |f - m_c|^2 + t |f|^2 = t (2 m_c f - |m_c|^2),   m_c: mean of the features of class c

Few labelled images make a classifier of a model that learned elsewhere, as class names make one of CLIP. `t` has the
least negative log-likelihood on val, of 1 / spread times each of `temperatures`, spread the mean squared distance of
val's features to the nearest mean.

Source: Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017, section 2.4 (the linear
form); without their training.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _logistic, linear_probe

TASKS = ("classification",)


class Options(declare.Options):
    learnt_from: str = Field("imagenet", description="data set of the pretrained checkpoint")
    start: str = Field("pretrained", description="trainer of the pretrained checkpoint")
    same_seed: bool = Field(False, description="take the checkpoint of the same training seed; false: of seed 0")
    per_class: int = Field(20, ge=1, description="labelled images of each class")
    temperatures: list[float] = Field(
        [0.3, 1.0, 3.0, 10.0, 30.0],
        min_length=1,
        description="temperatures to choose from on val, in units of 1 / spread",
    )
    batch_size: int = Field(64, ge=1, description="samples whose features are computed at once")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The pretrained checkpoint, and the train and val shards."""
    shards = (refs.shards(params["dataset"], split) for split in ("train", "val"))
    return [linear_probe.start_of(params), *shards]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The pretrained state dict under a head of class means; of each class the first `per_class` images count.

    Raises:
        ModelError: a class has no image, or the model is a black box or gives no features.
    """
    if not hasattr(job.plugin, "build"):
        raise ModelError(f"model {job.model!r} is a black box, and has no head to be replaced")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    old_classes = nets.classes_of(start)
    predictor = nets.load_predictor(job.plugin, start, job.model_params, old_classes, job.device, inputs=job.inputs)
    features, labels = linear_probe.features(job, predictor, "train")
    val_features, val_labels = linear_probe.features(job, predictor, "val")
    means = []
    for number, name in enumerate(job.classes):
        class_features = features[labels == number][: job.params["per_class"]]
        if not len(class_features):
            raise ModelError(f"prototypes: {job.dataset}/train has no image of {name!r}")
        means.append(class_features.mean(0, dtype=np.float64))
    rows = np.stack(means)
    weight, bias = 2 * rows, -(rows**2).sum(1)
    answers = val_features.astype(np.float64) @ weight.T + bias
    spread = float(((val_features.astype(np.float64) ** 2).sum(1) - answers.max(1)).mean())
    scales = [factor / spread for factor in job.params["temperatures"]]
    losses = [_logistic.nll(scale * answers, val_labels) for scale in scales]
    scale = scales[int(np.argmin(losses))]
    job.log(0, "scale", scale)
    job.log(0, "val_accuracy", float((answers.argmax(1) == val_labels).mean()))
    head = (torch.from_numpy(scale * weight), torch.from_numpy(scale * bias))
    return nets.with_head(job.plugin, nets.read_state(start), *head)
