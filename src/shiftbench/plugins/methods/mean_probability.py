"""Ensemble: the plain mean of the members' probabilities; logits are its logarithm.

    p = 1/M * sum_m softmax(logits_m),  logits = log p

Source: COOkeD (2025, https://arxiv.org/abs/2507.22576), section 3; deep ensembles (Lakshminarayanan et al., NeurIPS
2017, section 2.4) with other members. Nothing is weighted or calibrated. Probabilities are averaged, not logits, whose
scales differ. In float64 and in logarithms: no probability is 0, so that p log p needs no exception.

The model that the method is applied to is no member unless it is in the list. The members' records under the same
condition are read, joined by key, and no network is run: another list of members evaluates no member again.
`evaluate.outputs` must be `full`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import log_softmax, logsumexp

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins import declare

SEES = "sample"
TASKS = ("classification", "text_classification")


class Options(declare.Options):
    members: list[str] = Field([], description="models, each as MODEL-TRAINER, of the same dataset and seed")
    method: str = Field("plain", description="method whose records of the members are read")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The members' records at the position."""
    if not params["members"]:
        raise ParamsError("mean_probability: members is empty; name weights as MODEL-TRAINER")
    records = []
    for member in params["members"]:
        model, _, trainer = str(member).partition("-")
        of = refs.checkpoint(params["dataset"], model, trainer, params["seed"])
        records.append(refs.records(of, params["method"], params["stream"], params["step"]))
    return records


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> MeanProbability:
    """The ensemble; the predictor is not called."""
    return MeanProbability()


class MeanProbability:
    """Looks samples up in the members' records at one position."""

    def __init__(self) -> None:
        self._rows: dict[str, NDArray[np.float32]] = {}

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a position: read its records.

        Raises:
            DataError: two members have not the same samples or not the same number of classes.
            ParamsError: records hold the largest logits only.
        """
        files = {ref.name: path for ref, path in inputs.items() if ref.kind == "records"}
        tables = {name: _logits(name, file) for name, file in files.items()}
        (first, (keys, logits)), *others = tables.items()
        for name, (other_keys, other) in others:
            if keys != other_keys or logits.shape != other.shape:
                raise DataError(f"{name} and {first} have not the same samples and classes")
        mean = log_mean([logits for _, logits in tables.values()])
        self._rows = dict(zip(keys, mean, strict=True))

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[np.float32]]:
        """`logits` float32 (n, C), the logarithm of the mean probability."""
        return {"logits": np.stack([self._rows[sample.key] for sample in samples])}


def log_mean(members: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    """The logarithm of the mean of the members' softmax, float32 (n, C).

    Example:
        >>> np.exp(log_mean([np.zeros((1, 2)), np.log([[0.9, 0.1]])])).astype(float).round(4).tolist()
        [[0.7, 0.3]]
    """
    logs = np.stack([log_softmax(logits.astype(np.float64), axis=1) for logits in members])
    mean: NDArray[np.float64] = logsumexp(logs, axis=0) - np.log(len(logs))
    return mean.astype(np.float32)


def _logits(name: str, file: Path) -> tuple[list[str], NDArray[np.float32]]:
    table = schema.read(file)
    if "logits" not in table.column_names:
        raise ParamsError(f"{name} holds the 20 largest logits only; set evaluate.outputs: full")
    flat: NDArray[np.float32] = table.column("logits").combine_chunks().flatten().to_numpy()
    keys: list[str] = table.column("key").to_pylist()
    return keys, flat.reshape(len(keys), -1)
