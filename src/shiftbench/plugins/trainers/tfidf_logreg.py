"""Logistic regression on TF-IDF, classes weighted by the inverse of their frequency; for the model `tfidf`.

Source: as `models/tfidf.py`; C = 5 without a search, since val sets of texts are small.
"""

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _tfidf, tfidf
from shiftbench.plugins.trainers import _logistic

TITLE = "logistic regression"
TASKS = ("text_classification",)


class Options(declare.Options):
    c: float = Field(5.0, gt=0, description="inverse of the penalty's strength")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`idf` float64 (columns,), `head.weight` (classes, columns) and `head.bias` float64."""
    if "columns" not in job.model_params:
        raise ModelError(f"tfidf_logreg trains the model `tfidf`, not {job.model!r}")
    columns, ngrams = job.model_params["columns"], job.model_params["ngrams"]
    samples = job.samples("train")
    counted = _tfidf.counts(tfidf.texts(samples), columns, ngrams)
    idf = _tfidf.idf(counted)
    labels = np.array([int(sample.fields["label"]) for sample in samples])
    weight, bias = _logistic.fit(
        _tfidf.weigh(counted, idf), labels, len(job.classes), job.params["c"], balanced=True, threads=job.threads
    )
    job.log(0, "val_accuracy", _accuracy(job, idf, weight, bias))
    arrays = {"idf": idf, "head.weight": weight, "head.bias": bias}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _accuracy(job: TrainJob, idf: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    samples = job.samples("val")
    if not samples:
        return float("nan")
    counted = _tfidf.counts(tfidf.texts(samples), job.model_params["columns"], job.model_params["ngrams"])
    predicted = (_tfidf.weigh(counted, idf) @ weight.T + bias).argmax(1)
    return float((predicted == [int(sample.fields["label"]) for sample in samples]).mean())
