"""Logistic regression of true and false claims on TF-IDF and overlaps; for the model `table_direct`.

Source: as `models/table_direct.py`; scikit-learn's logistic regression, see `trainers/_logistic.py`.
"""

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import DataError, ModelError
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _tfidf
from shiftbench.plugins.trainers import _logistic
from shiftbench.systems.repanda.models import table_direct

TASKS = ("table_question",)


class Options(declare.Options):
    c: float = Field(1.0, gt=0, description="inverse strength of the penalty")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`idf` float64 (columns,), `head.weight` (2, columns + overlaps) and `head.bias` float64.

    Raises:
        ModelError: the model is not `table_direct`.
        DataError: a sample is a question.
    """
    if "columns" not in job.model_params:
        raise ModelError(f"table_logreg trains the model `table_direct`, not {job.model!r}")
    samples = job.samples("train")
    truths = [sample.fields["meta"]["answer"] for sample in samples]
    question_index = next((index for index, truth in enumerate(truths) if not isinstance(truth, bool)), None)
    if question_index is not None:
        raise DataError(f"{samples[question_index].key}: table_logreg learns from claims, not from questions")
    idf = _tfidf.idf(table_direct.word_counts(samples, job.model_params))
    rows = table_direct.features(samples, idf, job.model_params)
    labels = np.array(truths, np.int64)
    weight, bias = _logistic.fit(rows, labels, 2, job.params["c"], balanced=False, threads=job.threads)
    val_samples = job.samples("val")
    if val_samples:
        predictions = (table_direct.features(val_samples, idf, job.model_params) @ weight.T + bias).argmax(1)
        right = [
            truth is bool(prediction)
            for truth, prediction in zip((s.fields["meta"]["answer"] for s in val_samples), predictions, strict=True)
        ]
        job.log(0, "val_accuracy", float(np.mean(right)))
    arrays = {"idf": idf, "head.weight": weight, "head.bias": bias}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
