"""Neural rankers, by pairs: a relevant candidate shall score one more than another one.

    loss = mean over pairs of max(0, 1 - s(q, d+) + s(q, d-))

The state of the epoch with the best nDCG@10 on the validation queries is kept. Source: the hinge of DRMM
(Guo et al., CIKM 2016) and Conv-KNRM (Dai et al., WSDM 2018); Adam.
"""

from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _rankers
from shiftbench.systems.neural_ranking_robustness.models._interactions import Net, Scorer
from shiftbench.systems.neural_ranking_robustness.trainers import _ranking

TASKS = ("ranking",)
READS_SOURCES = True
needs = _ranking.needs


class Options(declare.Options):
    epochs: fields.Epochs = 8
    batch: int = Field(8, ge=1, description="queries of a step")
    pairs: int = Field(8, ge=1, description="pairs of documents of each query")
    lr: fields.LearningRate = 0.003
    patience: int = Field(3, ge=1, description="epochs without a better nDCG@10 on val, after which training stops")


def train(job: TrainJob) -> nets.State:
    """The model's state of the best epoch.

    Raises:
        ModelError: the model is no neural ranker.
    """
    if not hasattr(job.plugin, "build_ranker"):
        raise ModelError(
            f"model {job.model!r} is no neural ranker (`build_ranker`); take drmm, conv_knrm or cross_encoder"
        )
    torch.manual_seed(job.seed)
    random = np.random.default_rng(job.seed)
    model: Net = job.plugin.build_ranker(job.inputs, job.model_params)
    collections = _rankers.Collections(job.inputs, job.model_params)
    graded = _ranking.queries(job, "train", collections)
    optimizer = torch.optim.Adam(model.parameters(), lr=job.params["lr"])
    best, best_state, epochs_without_gain = -1.0, nets.State(), 0
    for epoch in range(job.params["epochs"]):
        loss = _epoch(model.train(), graded, optimizer, random, job.params)
        score = _rankers.validation(job.samples("val"), _rankers.predictor(Scorer(model), job.inputs, job.model_params))
        job.log(epoch, "loss", loss)
        job.log(epoch, "val_ndcg10", score)
        epochs_without_gain = 0 if score > best else epochs_without_gain + 1
        if score > best:
            best = score
            best_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if epochs_without_gain == job.params["patience"]:
            break
    return best_state


def _epoch(
    model: Net,
    graded: list[_ranking.Graded],
    optimizer: torch.optim.Optimizer,
    random: np.random.Generator,
    params: Any,
) -> float:
    order = random.permutation(len(graded))
    losses = []
    for start in range(0, len(order), params["batch"]):
        parts = [_loss(model, graded[i], params["pairs"], random) for i in order[start : start + params["batch"]]]
        loss = torch.stack(parts).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _loss(model: Net, graded: _ranking.Graded, count: int, random: np.random.Generator) -> torch.Tensor:
    sample, collection, places, grades = graded
    good, bad = _ranking.pairs(grades, count, random)
    documents = model.pieces.documents(collection)[places[np.concatenate([good, bad])]]
    scores = model.for_query(sample.fields["text"], collection, documents)
    return torch.relu(1 - scores[:count] + scores[count:]).mean()
