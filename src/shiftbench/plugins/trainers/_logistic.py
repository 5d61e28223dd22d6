"""Multinomial logistic regression with L2 on fixed features, solved to convergence in float64.

Source: scikit-learn's LogisticRegression (L-BFGS); BLAS runs on the job's number of threads, on which the
last bits depend.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import logsumexp

Grid = Annotated[
    list[Annotated[float, Field(gt=0)]],
    Field(description="inverse strengths of the penalty; the best on val is chosen"),
]
Floats = npt.NDArray[np.float64]
NEVER = -100.0
"""Bias of a class without training samples: it is not predicted."""


def fit(
    features: Any, labels: npt.NDArray[np.int64], classes: int, c: float, *, balanced: bool, threads: int
) -> tuple[Floats, Floats]:
    """Weight (classes, d) and bias (classes,).

    Args:
        features: float (n, d), dense or sparse.
        labels: int (n,), 0 to classes - 1, of at least two classes.
        classes: number of rows wanted.
        c: inverse strength of the L2 penalty, above 0.
        balanced: weigh each class by the inverse of its frequency.
        threads: BLAS threads.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    weighting = "balanced" if balanced else None
    model = LogisticRegression(C=c, class_weight=weighting, max_iter=10_000, tol=1e-5)
    with threadpool_limits(threads):
        model.fit(features, labels)
    rows, biases = model.coef_, model.intercept_
    if len(rows) == 1:  # two classes: one row, the log odds of the second
        rows, biases = np.concatenate([-rows, rows]) / 2, np.concatenate([-biases, biases]) / 2
    weight, bias = np.zeros((classes, rows.shape[1])), np.full(classes, NEVER)
    weight[model.classes_], bias[model.classes_] = rows, biases
    return weight, bias


def choose(
    train: tuple[Floats, npt.NDArray[np.int64]],
    val: tuple[Floats, npt.NDArray[np.int64]],
    classes: int,
    grid: Sequence[float],
    threads: int,
) -> tuple[Floats, Floats, float]:
    """Weight, bias and the penalty of `grid` with the least negative log-likelihood on `val`.

    Features are standardised by the training set; the result takes them as they are.
    """
    mean, std = train[0].mean(0), np.maximum(train[0].std(0), 1e-6)
    best: tuple[float, Floats, Floats, float] | None = None
    for c in sorted(grid):
        inside = (train[0] - mean) / std
        weight, bias = fit(inside, train[1], classes, c, balanced=False, threads=threads)
        weight, bias = weight / std, bias - (weight / std) @ mean
        loss = nll(val[0] @ weight.T + bias, val[1])
        if best is None or loss < best[0]:
            best = (loss, weight, bias, c)
    assert best is not None, "the grid is checked by the trainer"  # noqa: S101
    return best[1:]


def nll(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """The mean negative log-likelihood, in nats."""
    own = logits[np.arange(len(labels)), labels]
    return float((logsumexp(logits, axis=1) - own).mean())
