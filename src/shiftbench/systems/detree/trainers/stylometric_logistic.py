"""Logistic regression on the same stylometric features: the simple baseline (model `stylometric_mlp`).

Source: Gehrmann et al. 2019, "GLTR", https://arxiv.org/abs/1906.04043, section 4 (a logistic regression on statistics
of word probabilities); classes weighted by the inverse of their frequency. The penalty is chosen on val by the AUROC.
It sees no attacked copies. The solution depends on no training seed.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _logistic
from shiftbench.systems.detree.models import stylometric_mlp
from shiftbench.systems.detree.trainers import _contrastive

READS_SOURCES = True
TASKS = ("text_classification",)


class Options(declare.Options):
    c: list[Annotated[float, Field(gt=0)]] = Field(
        [0.001, 0.01, 0.1, 1.0], description="inverse strengths of the penalty; the best on val is chosen"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards; the corpus is the model's need."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`head.weight` float32 (2, d), `head.bias`, `mean` and `deviation`.

    Raises:
        ParamsError: the grid `c` is empty.
    """
    if not job.params["c"]:
        raise ParamsError("stylometric_logistic's `c` is empty; expected a list of numbers above 0")
    from sklearn.metrics import roc_auc_score  # takes a second, and is not needed to plan

    training, val = (_contrastive.texts(job, split) for split in ("train", "val"))
    rows = torch.from_numpy(training.features)
    mean, deviation = rows.mean(0), rows.std(0) + 1e-6
    inputs, val_inputs = (
        stylometric_mlp.standardise(torch.from_numpy(one.features), mean, deviation).double().numpy()
        for one in (training, val)
    )
    labels, heads = (~training.human).astype(np.int64), []
    for c in job.params["c"]:
        weight, bias = _logistic.fit(inputs, labels, 2, c, balanced=True, threads=job.threads)
        margins = val_inputs @ (weight[1] - weight[0])
        heads.append((float(roc_auc_score(~val.human, margins)), c, weight, bias))
    area, c, weight, bias = max(heads, key=lambda head: head[0])
    job.log(0, "c", c)
    job.log(0, "val_auroc", area)
    return {
        "head.weight": torch.from_numpy(weight.astype(np.float32)),
        "head.bias": torch.from_numpy(bias.astype(np.float32)),
        "mean": mean,
        "deviation": deviation,
    }
