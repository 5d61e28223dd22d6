"""A linear head on the frozen features of a pretrained net; the penalty is chosen on val.

Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016,
arXiv:1610.01644; the protocol (L-BFGS, L2 swept on validation data) is that of Radford et al., ICML
2021, appendix A.3. Differs: features are standardised first, so that one grid serves all nets.

`learnt_from` and `start` name the weights that are probed: of the same training seed, or (`same_seed: false`) of seed
0, as public ones are. `{dataset}` in `learnt_from` is the dataset of the probe: `pretraining_{dataset}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shiftbench import refs
from shiftbench.contracts import TrainJob
from shiftbench.errors import ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.refs import Ref
from shiftbench.trainers import _logistic

PARAMS: dict[str, object] = {
    "learnt_from": "imagenet",
    "start": "pretrained",
    "same_seed": False,
    "c": [0.0001, 0.001, 0.01, 0.1, 1.0],
    "batch_size": 64,
}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the pretrained weights, and the train and val shards."""
    seed = params["seed"] if params["same_seed"] else 0
    learnt_from = str(params["learnt_from"]).format(dataset=params["dataset"])
    start = refs.weights(learnt_from, params["model"], params["start"], seed)
    return [start, *(refs.shards(params["dataset"], split) for split in ("train", "val"))]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the pretrained state dict with a new head (a black box: the head alone).

    Raises:
        ModelError: the model gives no features, or a split is empty.
        ParamsError: the grid `c` is empty.
    """
    if not job.params["c"]:
        raise ParamsError("linear_probe's `c` is empty; expected a list of numbers above 0")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "weights"]
    before = nets.classes_of(start)
    predictor = nets.load_predictor(
        job.plugin, start, job.model_params, before, job.device, inputs=job.inputs
    )
    known, held = features(job, predictor, "train"), features(job, predictor, "val")
    weight, bias, c = _logistic.choose(known, held, len(job.classes), job.params["c"], job.threads)
    job.log(0, "c", c)
    job.log(0, "val_nll", _logistic.nll(held[0] @ weight.T + bias, held[1]))
    job.log(0, "val_accuracy", float(((held[0] @ weight.T + bias).argmax(1) == held[1]).mean()))
    state = nets.read_state(start) if hasattr(job.plugin, "build") else {}
    return nets.with_head(job.plugin, state, torch.from_numpy(weight), torch.from_numpy(bias))


def features(
    job: TrainJob, predictor: nets.Predictor, split: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return features (n, d) and labels (n,) of a split."""
    samples, size = job.samples(split), job.params["batch_size"]
    if not samples:
        raise ModelError(
            f"{job.dataset}/{split} is empty; linear_probe needs train and val samples"
        )
    parts = [predictor(samples[at : at + size]) for at in range(0, len(samples), size)]
    if "features" not in parts[0]:
        raise ModelError(f"model {job.model!r} gives no features; it cannot be probed")
    found = np.concatenate([part["features"] for part in parts]).astype(np.float64)
    return found, np.array([int(sample.fields["label"]) for sample in samples])
