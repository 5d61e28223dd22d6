"""OpenMax: score = probability of the unknown class, by Weibull tails of distances to class means in logit space.

Source: Bendale and Boult 2016, "Towards open set deep networks", algorithms 1 (tails) and 2 (revised activations,
class 0); OpenOOD v1.5 (`openmax`), whose defaults these are (Euclidean distance, alpha 3, tail 20, no search); libMR
(Vastlab/libMR), by which OpenOOD fits. Per class c, over training samples of c that are classified correctly: mu_c is
the mean of their logits (the activation vector), and a Weibull distribution is fitted by maximum likelihood to
`translate` + what the `tail` largest distances to mu_c exceed the smallest of these by. W_c(f) is its distribution
function at the distance of logits f. For the class of rank r = 1 .. alpha among the logits, w = (alpha + 1 - r) /
alpha * W_c(f), its logit becomes f_c (1 - w), and f_0 gains f_c w. The score is softmax's share of f_0.

Differs from the paper: distance and alpha are OpenOOD's (its released code has alpha 10 and Euclidean / 200 +
cosine). `translate` is 1 in libMR since 0.1.3 (2017), and so in OpenOOD; before it was 10,000, as it still is in
pytorch-ood's `OpenMax`, where the fit nears a Gumbel distribution. The likelihood equation is solved to rounding;
pytorch-ood minimises with a simplex (1e-4). pytorch-ood also takes all samples that it is given (pass correct ones),
has alpha 10 and tail 25, and takes distance 0 to a class that is the prediction for no sample of the batch, so that
its scores depend on the batch. As in OpenOOD a class with fewer samples than `tail` uses all it has; as in
pytorch-ood alpha is at most C. A negative logit lowers f_0, as it does in all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from scipy.optimize import brentq
from scipy.special import expit, logsumexp, softmax

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("logits",)
FIT = ("train",)
FIT_PARAMS = ("tail", "translate")

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


class Options(declare.Options):
    alpha: int = Field(3, ge=1, description="number of the largest logits that are revised")
    tail: int = Field(20, ge=2, description="number of the largest distances of a class in its tail")
    translate: float = Field(1.0, gt=0, description="distance that is added to those of the tail")


@dataclass(frozen=True)
class Tails:
    """Class means and the distributions of the distances to them.

    Attributes:
        means: float64 (C, C), a row per class.
        least: smallest distance of each tail, float64 (C,).
        shape: of the Weibull distributions, float64 (C,), above 0.
        log_scale: logarithm of their scale, in units of `translate`, float64 (C,).
        translate: what is added to a distance minus `least`.
    """

    means: Floats
    least: Floats
    shape: Floats
    log_scale: Floats
    translate: float

    def outlying(self, logits: Floats, classes: Classes) -> Floats:
        """W_c of rows of logits (m, C) for one class c each (m,): float64 (m,) in [0, 1]."""
        distances = np.linalg.norm(logits - self.means[classes], axis=1)
        beyond = _log(distances - self.least[classes], self.translate)
        # exp(50) is as good as infinity: exp(-exp(50)) is 0.
        power = np.minimum(self.shape[classes] * (beyond - self.log_scale[classes]), 50)
        outlying: Floats = -np.expm1(-np.exp(power))
        return outlying


def _log(excess: Floats, translate: float) -> Floats:
    """Log(1 + excess / translate); what lies below the support is next to its end, where W is 0."""
    return np.log1p(np.maximum(excess / translate, np.nextafter(-1, 0)))


def fit(known: Known, params: dict[str, Any]) -> Tails:
    """Class means and tails of the training split, in two passes."""
    tail = int(params["tail"])
    if tail < 2:
        raise ParamsError(f"tail: expected two distances or more, found {params['tail']}")
    translate = _blocks.checked(params["translate"], "translate")
    means = _means(known.train)
    tails = _tails(known.train, means, tail)
    fits = [
        _weibull(_log(distances - distances[0], translate), f"{known.train.name}: class {c}")
        for c, distances in enumerate(tails)
    ]
    shape, log_scale = np.array(fits).T
    return Tails(means, np.array([distances[0] for distances in tails]), shape, log_scale, translate)


def _correct(rows: Rows) -> Iterator[tuple[Floats, Classes]]:
    """Yield logits and classes of the correctly classified samples, by blocks."""
    for block in rows.blocks():
        logits = _blocks.logits(block)
        right = logits.argmax(axis=1) == block.labels
        yield logits[right], block.labels[right].astype(np.int64)


def _means(rows: Rows) -> Floats:
    width = rows.logits.shape[1]
    sums, counts = np.zeros((width, width)), np.zeros(width)
    for logits, classes in _correct(rows):
        ones = np.ones(len(classes))
        sums += sparse.csr_array((ones, (classes, np.arange(len(classes)))), (width, len(classes))) @ logits
        counts += np.bincount(classes, minlength=width)
    if not counts.all():
        raise DataError(
            f"{rows.name}: OpenMax needs a correctly classified training sample of every class, and class "
            f"{int(np.argmin(counts))} has none; train longer, or choose another detector"
        )
    means: Floats = sums / counts[:, None]
    return means


def _tails(rows: Rows, means: Floats, tail: int) -> list[Floats]:
    """The largest distances to each class's mean, ascending, `tail` of them where there are as many."""
    pairs = [(np.linalg.norm(logits - means[classes], axis=1), classes) for logits, classes in _correct(rows)]
    distances, classes = (np.concatenate(part) for part in zip(*pairs, strict=True))
    ordered = distances[np.lexsort((distances, classes))]
    ends = np.cumsum(np.bincount(classes, minlength=len(means)))
    return [own[-tail:] for own in np.split(ordered, ends[:-1])]


def _weibull(logs: Floats, where: str) -> tuple[float, float]:
    """Shape and log(scale) of greatest likelihood for samples exp(logs)."""
    room = logs.max() - logs.mean()
    if not room > 0:
        raise DataError(
            f"{where}: its {len(logs)} most distant training samples are equally far from the mean of their logits, "
            "and a Weibull distribution needs two distances or more; add training samples, or choose another detector"
        )

    def slope(shape: float) -> float:
        return float(softmax(shape * logs) @ logs - logs.mean() - 1 / shape)

    # The slope rises with the shape: it is 0 or less where 1 / shape = room, and above 0 in the end.
    low = high = 1 / room
    while slope(high) <= 0:
        low, high = high, 2 * high
    shape = brentq(slope, low, high) if low < high else low
    return shape, (logsumexp(shape * logs) - np.log(len(logs))) / shape


def score(rows: Rows, state: Tails, params: dict[str, Any]) -> Floats:
    """The probability of the unknown class, float64 (n,) in [0, 1]; higher = more OOD."""
    alpha = min(int(_blocks.checked(params["alpha"], "alpha")), len(state.means))
    return _blocks.scores(rows, lambda block: _unknown(_blocks.logits(block), state, alpha))


def _unknown(logits: Floats, tails: Tails, alpha: int) -> Floats:
    every = np.arange(len(logits))
    left, revised, unknown = logits.copy(), logits.copy(), np.zeros(len(logits))
    for rank in range(alpha):
        classes = left.argmax(axis=1)
        left[every, classes] = -np.inf
        weights = (alpha - rank) / alpha * tails.outlying(logits, classes)
        moved = weights * logits[every, classes]
        revised[every, classes] -= moved
        unknown += moved
    probability: Floats = expit(unknown - logsumexp(revised, axis=1))
    return probability
