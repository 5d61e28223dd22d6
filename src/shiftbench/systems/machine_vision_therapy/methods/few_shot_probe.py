"""Few-shot linear probe: logistic regression on frozen features of the support set, which the therapy sees, too.

Features are standardised by the support set; the penalty is that of the least negative log-likelihood in
cross-validation over parts of the support set, each with the classes in nearly equal numbers: no query is looked at.

Source: Radford et al., ICML 2021 (CLIP), section 3.1.5 and appendix A.3 (few-shot logistic regression); a baseline of
ours for the therapy, with the same labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.plugins.trainers import _logistic
from shiftbench.systems.machine_vision_therapy.methods import _support

Floats = NDArray[np.float64]
SEES = "sample"
TASKS = ("classification",)
OF = ("vision", "verifier")


class Options(_support.Options):
    of: Literal["vision", "verifier"] = Field("vision", description="model whose features are used")
    c: list[Annotated[float, Field(gt=0)]] = Field(
        [0.001, 0.01, 0.1, 1.0], description="inverse strengths of the penalty; the best in cross-validation is chosen"
    )
    folds: int = Field(5, ge=2, description="parts of the support set in the cross-validation")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """`_support.needs`, and the features that the probe is fitted on.

    Raises:
        ParamsError: `of` is neither.
    """
    if params["of"] not in OF:
        raise ParamsError(f"of is {params['of']!r}; {suggest(params['of'], OF)}")
    if params["of"] == "verifier":
        return _support.needs(params)
    return _support.needs({**params, "retrieval": "similarity"}, images=True)


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Probe:
    """The probe; the predictor is not called."""
    return Probe(params)


class Probe:
    """A linear head that is fitted at each condition.

    Args:
        params: see Options.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a condition: read features, draw the support set, fit.

        Raises:
            ParamsError: the model gives no features.
        """
        ward = _support.ward(self._params, inputs)
        on_vision = self._params["of"] == "vision"
        support, queries = (
            (ward.vision_features, ward.queries) if on_vision else (ward.verifier_features, ward.verifier)
        )
        if support is None or queries is None or queries.features is None:
            raise ParamsError(f"few_shot_probe: the {self._params['of']} model gives no features")
        self._queries, self._ward = queries, ward
        c = chosen(support, ward.labels, self._params["c"], self._params["folds"])
        self._weight, self._bias = fit_head(support, ward.labels, c, len(ward.allowed))

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[np.float32]]:
        """`logits` (n, C)."""
        ward, queries = self._ward, self._queries
        assert queries.features is not None  # noqa: S101 - `at` has asked
        own = queries.features[queries.rows(samples)] @ self._weight.T + self._bias
        logits = np.full((len(samples), ward.queries.logits.shape[1]), _logistic.NEVER, dtype=np.float32)
        logits[:, ward.allowed] = own
        return {"logits": logits}


def fit_head(x: Floats, labels: NDArray[np.int64], c: float, classes: int) -> tuple[Floats, Floats]:
    """Weight (classes, d) and bias (classes,) for features as they are."""
    mean, std = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    weight, bias = _logistic.fit((x - mean) / std, labels, classes, c, balanced=False, threads=1)
    weight = weight / std
    return weight, bias - weight @ mean


def chosen(x: Floats, labels: NDArray[np.int64], grid: Sequence[float], folds: int) -> float:
    """The penalty of `grid` with the least cross-validated negative log-likelihood, the strongest of equals.

    Args:
        x: features (n, d).
        labels: (n,); the i-th image of a class is in the fold i modulo `folds`.
        grid: inverse penalties.
        folds: at least 2.
    """
    turn = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        turn[own] = np.arange(len(own)) % folds
    losses = {c: _loss(x, labels, c, turn) for c in sorted(grid)}
    return min(losses, key=losses.__getitem__)


def _loss(x: Floats, labels: NDArray[np.int64], c: float, turn: NDArray[np.int64]) -> float:
    classes, total = int(labels.max()) + 1, 0.0
    for fold in np.unique(turn):
        is_held_out = turn == fold
        if len(np.unique(labels[~is_held_out])) < 2:
            continue
        weight, bias = fit_head(x[~is_held_out], labels[~is_held_out], c, classes)
        total += _logistic.nll(x[is_held_out] @ weight.T + bias, labels[is_held_out]) * int(is_held_out.sum())
    return total
