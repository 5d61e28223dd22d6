"""Logistic regression on sentence vectors, classes weighted by the inverse of their frequency; for the model `minilm`.

Source: Reimers and Gurevych 2019, arXiv:1908.10084, section 5 (SentEval: a logistic regression on the vectors). The
penalty is chosen on val by the negative log-likelihood. The solution depends on no training seed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _sentences, minilm, tfidf
from shiftbench.plugins.trainers import _logistic

TITLE = "logistic regression"
READS_SOURCES = True
TASKS = ("text_classification",)


class Options(declare.Options):
    c: _logistic.Grid = Field([0.1, 1.0, 10.0])
    most: int | None = Field(
        None, ge=1, description="largest number of samples of train and of val, the first by key; null: all"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards; the encoder is the model's need, and added by the plan."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`head.weight` float32 (classes, 384) and `head.bias`."""
    source = refs.sources(_sentences.SOURCE)
    if source not in job.inputs:
        raise ModelError(f"sentence_probe trains the model `minilm`, not {job.model!r}")
    if not job.params["c"]:
        raise ParamsError("sentence_probe's `c` is empty; expected a list of numbers above 0")
    encoder = minilm.encoder(job.inputs[source].parent)
    known, held = (
        (
            encoder(tfidf.texts(samples)).astype(np.float64),
            np.array([int(sample.fields["label"]) for sample in samples]),
        )
        for samples in (job.samples(split)[: job.params["most"]] for split in ("train", "val"))
    )
    losses = {}
    for c in sorted(job.params["c"]):
        head = _logistic.fit(*known, len(job.classes), c, balanced=True, threads=job.threads)
        losses[_logistic.nll(held[0] @ head[0].T + head[1], held[1])] = (c, head)
    loss, (c, (weight, bias)) = min(losses.items(), key=lambda item: item[0])
    job.log(0, "c", c)
    job.log(0, "val_nll", loss)
    arrays = {"head.weight": weight, "head.bias": bias}
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
