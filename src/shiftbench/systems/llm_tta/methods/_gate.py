"""Entropy-based selective augmentation (ESA): the expensive method only where the prediction is uncertain.

Source: O'Brien et al. 2024, arXiv:2402.08225, section 3. Differs: probabilities are clipped, since 0 log 0 is NaN in
the released formula; the threshold is searched on a validation split, where they search on the ID test set.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Floats = NDArray[np.float64]
SMALLEST = 1e-12
STEP, STEPS = 1e-4, 12_000
BETA = 1 / 500


def entropy(logits: NDArray[np.floating]) -> Floats:
    """The entropy of each prediction in nats, float64 (n,), of logits (n, C).

    Example:
        >>> entropy(np.array([[0.0, 0.0], [0.0, 1e4]])).round(6).tolist()
        [0.693147, 0.0]
    """
    shares = softmax(logits.astype(np.float64), axis=1)
    entropies: Floats = -(shares * np.log(np.maximum(shares, SMALLEST))).sum(axis=1)
    return np.maximum(entropies, 0.0)


def unsure(logits: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Mask of the samples that are augmented because their entropy is at least the threshold, bool (n,)."""
    return np.asarray(entropy(logits) >= threshold)


def search(entropies: Floats, plain: NDArray[np.bool_], augmented: NDArray[np.bool_], beta: float = BETA) -> float:
    """The threshold that is best on validation samples.

    For each t in 0, 0.0001, ..., 1.1999: a(t) is the accuracy of the gated prediction and q(t) the share that is
    augmented; what is largest is F = (1 + b^2) a (1 - q) / (b^2 a + 1 - q), the first of equal ones.

    Args:
        entropies: of the predictions without augmentation, (n,), n of at least 1.
        plain: whether these are right.
        augmented: whether the augmented ones are right.
        beta: b; a small one makes the share matter in ties and near 1 alone.

    Example:
        >>> search(np.array([0.1, 0.6]), np.array([True, False]), np.array([False, True]))
        0.1001
    """
    thresholds = np.arange(STEPS) * STEP
    order = np.argsort(entropies, kind="stable")
    plain_counts = np.searchsorted(entropies[order], thresholds, side="left")  # these stay as they are
    plain_right = np.concatenate([[0], np.cumsum(plain[order])])
    augmented_right = np.concatenate([[0], np.cumsum(augmented[order])])
    count = len(entropies)
    accuracy = (plain_right[plain_counts] + augmented_right[-1] - augmented_right[plain_counts]) / count
    plain_share = plain_counts / count
    denominator = beta**2 * accuracy + plain_share
    with np.errstate(invalid="ignore"):
        f = np.where(denominator > 0, (1 + beta**2) * accuracy * plain_share / denominator, 0.0)
    return float(np.round(thresholds[int(f.argmax())], 4))
