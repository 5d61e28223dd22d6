"""Logistic regression of shares on a few places, by Newton's method, for all resamples at once.

    p_i = 1 / (1 + exp(-x_i b)),   maximise sum_i n_i (y_i log p_i + (1 - y_i) log(1 - p_i))

Source: McCullagh and Nelder 1989, section 4.4 (iteratively reweighted least squares); equal to scikit-learn's
unpenalised fit, tested. A resample whose weights separate the places has no maximum and is NaN: a model that is correct
up to some complexity without an exception has no slope. Half an answer, `added` to the correct and to the wrong answers
at each place, is the correction of Haldane 1956 and Anscombe 1956 ("On estimating binomial response relations",
Biometrika 43). With it there is always a maximum, a little nearer to 0.
"""

import numpy as np

from shiftbench.statistics.rows import Floats

ROUNDS = 60
ENOUGH = 1e-9
HALVINGS = 30
LARGEST = 50.0
"""A larger coefficient diverges."""


def fit(x: Floats, shares: Floats, counts: Floats, added: float = 0.0) -> Floats:
    """Coefficients, intercept first, float64 (1 + features, k); NaN if there is no maximum.

    Args:
        x: (p, features), the places.
        shares: (p, k), of correct answers at each place in each resample.
        counts: (p,), numbers of answers.
        added: to correct and to wrong answers at each place.
    """
    places = np.column_stack([np.ones(len(x)), x])
    coefficients: Floats = np.zeros((places.shape[1], shares.shape[1]))
    kept = counts[:, None] * np.clip(shares, 0, 1) + added
    counts = counts + 2 * added
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(ROUNDS):
            step = _step(places, coefficients, kept, counts)
            coefficients = coefficients + step
            if np.nanmax(np.abs(step), initial=0.0) < ENOUGH:
                break
        done = np.abs(_step(places, coefficients, kept, counts)).max(axis=0) < 1e-6
        finite = done & (np.abs(coefficients).max(axis=0) < LARGEST)
    return np.where(finite, coefficients, np.nan)


def predicted(x: Floats, coefficients: Floats) -> Floats:
    """Shares (p, k) at places (p, features)."""
    return _sigmoid(np.column_stack([np.ones(len(x)), x]) @ coefficients)


def _step(places: Floats, coefficients: Floats, kept: Floats, counts: Floats) -> Floats:
    """Newton's step of each resample, at most 1 in size; NaN if the curvature is singular."""
    p = _sigmoid(places @ coefficients)
    gradient = places.T @ (kept - counts[:, None] * p)
    weights = counts[:, None] * p * (1 - p)
    curvature = np.einsum("pi,pk,pj->kij", places, weights, places)
    singular = ~(np.abs(np.linalg.det(curvature)) > 0)
    curvature[singular] = np.eye(len(coefficients))
    step: Floats = np.linalg.solve(curvature, gradient.T[..., None])[..., 0].T
    size = np.maximum(np.abs(step).max(axis=0), 1.0)
    return np.where(singular, np.nan, step / size)


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))
