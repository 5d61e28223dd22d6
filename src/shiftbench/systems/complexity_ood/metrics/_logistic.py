"""Logistic regression of shares on a few places, by Newton's method, of all draws at once.

    p_i = 1 / (1 + exp(-x_i b)),   maximise sum_i n_i (y_i log p_i + (1 - y_i) log(1 - p_i))

Source: McCullagh and Nelder 1989, section 4.4 (iteratively reweighted least squares); equal to scikit-learn's
unpenalised fit, tested. A draw whose weights separate the places has no maximum, and is NaN: who is right up to some
complexity without an exception has no slope. `added` to right and to wrong answers at each place, a half of an answer
each, is the correction of Haldane 1956 and Anscombe 1956 ("On estimating binomial response relations", Biometrika 43);
with it there is always a maximum, a little nearer to 0.
"""

import numpy as np

from shiftbench.statistics.rows import Floats

ROUNDS = 60
ENOUGH = 1e-9
HALVINGS = 30
LARGEST = 50.0
"""A coefficient beyond this is on its way to infinity."""


def fit(x: Floats, shares: Floats, counts: Floats, added: float = 0.0) -> Floats:
    """Return the coefficients, intercept first, float64 (1 + features, k); NaN where there is no maximum.

    Args:
        x: (p, features), the places.
        shares: (p, k), of right answers at each place under each draw.
        counts: (p,), numbers of answers.
        added: to right and to wrong answers at each place.
    """
    places = np.column_stack([np.ones(len(x)), x])
    found: Floats = np.zeros((places.shape[1], shares.shape[1]))
    kept = counts[:, None] * np.clip(shares, 0, 1) + added
    counts = counts + 2 * added
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(ROUNDS):
            step = _step(places, found, kept, counts)
            found = found + step
            if np.nanmax(np.abs(step), initial=0.0) < ENOUGH:
                break
        done = np.abs(_step(places, found, kept, counts)).max(axis=0) < 1e-6
        fine = done & (np.abs(found).max(axis=0) < LARGEST)
    return np.where(fine, found, np.nan)


def predicted(x: Floats, coefficients: Floats) -> Floats:
    """Return shares (p, k) at places (p, features)."""
    return _sigmoid(np.column_stack([np.ones(len(x)), x]) @ coefficients)


def _step(places: Floats, found: Floats, kept: Floats, counts: Floats) -> Floats:
    """Return Newton's step of each draw, at most LARGEST in size; NaN where the curvature is singular."""
    p = _sigmoid(places @ found)
    gradient = places.T @ (kept - counts[:, None] * p)
    weights = counts[:, None] * p * (1 - p)
    curvature = np.einsum("pi,pk,pj->kij", places, weights, places)
    singular = ~(np.abs(np.linalg.det(curvature)) > 0)
    curvature[singular] = np.eye(len(found))
    step: Floats = np.linalg.solve(curvature, gradient.T[..., None])[..., 0].T
    size = np.maximum(np.abs(step).max(axis=0), 1.0)
    return np.where(singular, np.nan, step / size)


def _sigmoid(z: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-z))
    return found
