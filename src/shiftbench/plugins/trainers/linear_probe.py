"""A linear head on the frozen features of a pretrained network.

    solver: lbfgs   features standardised, solved to convergence for each inverse penalty of `c`, the best on val kept
    solver: sgd     features as they are, `epochs` of SGD with momentum 0.9 at `lr` down to 0 along a cosine, in batches
                    of `batch`, no penalty; the last epoch is kept

The first is the more accurate head, the second a less confident one: an average of probabilities takes notice.

Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016, arXiv:1610.01644.
`lbfgs` is the protocol of Radford et al., ICML 2021, appendix A.3 (L2 swept on validation data); differs: features are
standardised first, so that one grid serves all networks. `sgd` is that of COOkeD (2025, arXiv:2507.22576): 20 epochs,
rate 0.1, last epoch, as its released checkpoints are named; momentum, batch and schedule are ours, since its training
code was not released.

Public checkpoints are of seed 0. `{dataset}` in `learnt_from` is the dataset of the probe: `pretraining_{dataset}`.
Images are read one batch after the other; only their features are in memory (4 bytes each, 8 for `lbfgs`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _logistic, _sgd_head

TASKS = ("classification", "text_classification")
SOLVERS = ("lbfgs", "sgd")
Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
Head = tuple[npt.NDArray[Any], npt.NDArray[Any]]


LearntFrom = Annotated[str, Field(description="data set that the checkpoint to start from was trained on")]
Start = Annotated[str, Field(description="trainer of the checkpoint to start from")]
SameSeed = Annotated[
    bool, Field(description="start from the checkpoint of this training's seed; false: from that of seed 0")
]


class Options(declare.Options):
    learnt_from: LearntFrom = "imagenet"
    start: Start = "pretrained"
    same_seed: SameSeed = False
    solver: Literal["lbfgs", "sgd"] = Field(
        "lbfgs", description="solved to convergence with a penalty from `c`, or `epochs` of SGD"
    )
    c: _logistic.Grid = Field([0.0001, 0.001, 0.01, 0.1, 1.0])
    epochs: int = Field(20, ge=1, description="passes over the training samples under `solver: sgd`")
    lr: float = Field(0.1, ge=0, description="highest learning rate under `solver: sgd`")
    batch: int = Field(128, ge=1, description="samples of a batch under `solver: sgd`")
    batch_size: int = Field(64, ge=1, description="samples whose features are computed at once")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The pretrained weights, and the train and val shards."""
    return [start_of(params), *(refs.shards(params["dataset"], split) for split in ("train", "val"))]


def start_of(params: Mapping[str, Any]) -> Ref:
    """The weights that are probed."""
    seed = params["seed"] if params["same_seed"] else 0
    learnt_from = str(params["learnt_from"]).format(dataset=params["dataset"])
    return refs.checkpoint(learnt_from, params["model"], params["start"], seed)


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The pretrained state dict with a new head (a black box: the head alone)."""
    if job.params["solver"] not in SOLVERS:
        raise ParamsError(f"linear_probe: solver is {job.params['solver']!r}; {suggest(job.params['solver'], SOLVERS)}")
    if not job.params["c"]:
        raise ParamsError("linear_probe's `c` is empty; expected a list of numbers above 0")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    before = nets.classes_of(start)
    predictor = nets.load_predictor(job.plugin, start, job.model_params, before, job.device, inputs=job.inputs)
    known, held = features(job, predictor, "train"), features(job, predictor, "val")
    weight, bias = (_descended if job.params["solver"] == "sgd" else _solved)(job, known, held)
    answers = held[0] @ weight.T + bias
    job.log(0, "val_nll", _logistic.nll(answers.astype(np.float64), held[1]))
    job.log(0, "val_accuracy", float((answers.argmax(1) == held[1]).mean()))
    state = nets.read_state(start) if hasattr(job.plugin, "build") else {}
    return nets.with_head(job.plugin, state, torch.from_numpy(weight), torch.from_numpy(bias))


def _solved(job: TrainJob, known: Rows, held: Rows) -> Head:
    grid = job.params["c"]
    exact = known[0].astype(np.float64), known[1]
    val = held[0].astype(np.float64), held[1]
    weight, bias, c = _logistic.choose(exact, val, len(job.classes), grid, job.threads)
    job.log(0, "c", c)
    return weight, bias


def _descended(job: TrainJob, known: Rows, _held: Rows) -> Head:
    """The head after the last epoch; val is looked at by nobody."""
    params = job.params
    words = (job.seed, job.trainer, job.dataset)
    return _sgd_head.fit(
        *known, len(job.classes), words,
        epochs=params["epochs"], batch=params["batch"], lr=params["lr"], device=job.device,
    )  # fmt: skip


def features(job: TrainJob, predictor: nets.Predictor, split: str) -> Rows:
    """Features (n, d) and labels (n,) of a split; its images are read a batch at a time."""
    parts: list[Any] = []
    labels: list[int] = []
    samples = shards.read(job.folder(split)) if job.folder else job.samples(split)
    for batch in batching.batches(samples, job.params["batch_size"]):
        parts.append(predictor(batch).get("features"))
        labels += [int(sample.fields["label"]) for sample in batch]
    if not parts:
        raise ModelError(f"{job.dataset}/{split} is empty; linear_probe needs train and val samples")
    if parts[0] is None:
        raise ModelError(f"model {job.model!r} gives no features; it cannot be probed")
    return np.concatenate(parts), np.array(labels)
