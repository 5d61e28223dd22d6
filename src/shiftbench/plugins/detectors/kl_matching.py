"""KL matching: score = min over classes of KL(p || d_c); d_c is the mean softmax of validation samples predicted as c.

Source: Hendrycks et al. 2022, "Scaling out-of-distribution detection for real-world settings" (KL matching: posterior
templates d_k from the validation set, without its labels); OpenOOD v1.5 (`klm`); pytorch-ood `KLMatching`.

A class that no validation sample is predicted as has no template and is left out, as in pytorch-ood. OpenOOD gives it
a one-hot template, from which the divergence is infinite unless p is that vector exactly: the same minimum otherwise.
The logarithm of a template is the log-sum-exp of log-softmaxes, which never underflows; OpenOOD divides by float32
templates and gets an infinite divergence where one is 0, pytorch-ood replaces log 0 by the lowest float.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from shiftbench.base.errors import DataError
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)
FIT = ("val",)


def fit(known: Known, params: dict[str, Any]) -> NDArray[np.float64]:
    """The logarithms of the templates, float64 (K, C), of the K classes that are predicted at all."""
    rows = known.val
    if not len(rows):
        raise DataError(
            f"{rows.name}: KL matching needs validation samples, found none; score on a dataset with a val split"
        )
    log_p = log_softmax(_blocks.logits(rows), axis=1)
    predicted = log_p.argmax(axis=1)
    own = [log_p[predicted == c] for c in np.unique(predicted)]
    return np.stack([logsumexp(p, axis=0) - np.log(len(p)) for p in own])


def score(rows: Rows, state: NDArray[np.float64], params: dict[str, Any]) -> NDArray[np.float64]:
    """The least divergence, float64 (n,) in nats, 0 or more up to rounding; higher = more OOD."""
    return _blocks.scores(rows, lambda block: _divergence(_blocks.logits(block), state))


def _divergence(logits: NDArray[np.float64], templates: NDArray[np.float64]) -> NDArray[np.float64]:
    log_p = log_softmax(logits, axis=1)
    p = np.exp(log_p)
    divergence: NDArray[np.float64] = np.sum(p * log_p, axis=1) + (p @ -templates.T).min(axis=1)
    return divergence
