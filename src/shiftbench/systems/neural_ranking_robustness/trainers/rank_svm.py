"""RankSVM: a hinge on differences of features, C by nDCG@10 on the validation queries.

    min 1/2 |w|^2 + C sum max(0, 1 - w . (phi(q, d+) - phi(q, d-)))

Source: Joachims, KDD 2002. Differs: pairs of each query are drawn at random, so that a query with many relevant
documents does not count more, and features are standardised over the training candidates.
"""

import warnings

import numpy as np
import torch
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _rankers
from shiftbench.plugins.trainers import _logistic
from shiftbench.systems.neural_ranking_robustness.models import linear_ranker
from shiftbench.systems.neural_ranking_robustness.trainers import _ranking

TASKS = ("ranking",)
READS_SOURCES = True
needs = _ranking.needs


class Options(declare.Options):
    pairs: int = Field(40, ge=1, description="pairs of documents that are drawn from each query")
    c: _logistic.Grid = Field([0.0001, 0.001, 0.01, 0.1])


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`mean`, `scale` and `weight` of the features, float64 (13,)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    rows, grades = _ranking.features(_ranking.queries(job, "train"))
    features = np.concatenate(rows)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    random = np.random.default_rng(job.seed)
    differences = []
    for query_rows, grade in zip(rows, grades, strict=True):
        good, bad = _ranking.pairs(grade, job.params["pairs"], random)
        differences.append((query_rows[good] - query_rows[bad]) / scale)
    x = np.concatenate(differences)
    sign = np.where(np.arange(len(x)) % 2, 1, -1)  # a classifier without intercept wants two classes
    best, best_state = -1.0, None
    for c in job.params["c"]:
        svm = LinearSVC(C=c, loss="hinge", fit_intercept=False, random_state=0, max_iter=5000)
        with warnings.catch_warnings():  # one that has not converged is judged by validation, too
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm.fit(x * sign[:, None], sign)
        state = {
            "mean": torch.from_numpy(mean),
            "scale": torch.from_numpy(scale),
            "weight": torch.from_numpy(svm.coef_[0].astype(np.float64)),
        }
        predict = linear_ranker.of(state, job.inputs, job.model_params)
        validation_score = _rankers.validation(job.samples("val"), predict)
        job.log(0, f"val_ndcg10_c{c:g}", validation_score)
        if validation_score > best:
            best, best_state = validation_score, state
    assert best_state is not None  # noqa: S101 - some C was tried
    return best_state
