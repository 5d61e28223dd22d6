"""Distance between the modalities' predictions, from the records of each modality's own head.

    analyses:
      modality_disagreement: {heads: [rgb_head, shape_head], ood: [held, mnist]}

Logits are those of the evaluation's records. Two metrics, means over all pairs of modalities, one unit per sample:

- `modality_hellinger`, of ID samples: the Hellinger distance of the softmaxes without the true class, 0 to 1;
- `modality_l1`, of ID samples and of the OOD sets, over all classes: the sum of absolute differences, 0 to 2.

Source: Dong et al. 2024, arXiv:2405.17419: sections 3 (the discrepancy, which is larger out of distribution) and 4.2
(A2D, which enlarges it on ID). Computed in float64.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

LEAST = 1e-6
"""Probabilities are no smaller, as in the loss."""
Floats = NDArray[np.float64]


class Options(declare.Options):
    heads: list[str] = Field(
        ["rgb_head", "shape_head"], description="methods of the benchmark (`modality_head`), two or more"
    )
    ood: list[str] = Field([], description="OOD sets that are measured, too")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records of all heads, of the benchmark's dataset and of the OOD sets.

    Raises:
        ParamsError: fewer than two heads.
    """
    if len(params["heads"]) < 2:
        raise ParamsError(f"modality_disagreement: heads is {params['heads']}; expected two methods or more")
    return [
        _records(params, model, head, dataset)
        for model in params["checkpoints"]
        for head in params["heads"]
        for dataset in (params["dataset"], *params["ood"])
    ]


def _records(params: Mapping[str, Any], model: str, head: str, dataset: str) -> Ref:
    return refs.records(Ref("checkpoints", model), head, f"{dataset}/{params['split']}/identity", refs.number(0))


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield both metrics of all weights and sets.

    Raises:
        DataError: records hold the largest logits only, or heads saw different samples.
    """
    params = job.params
    for model in params["checkpoints"]:
        for dataset in (params["dataset"], *params["ood"]):
            tables = [job.records(_records(params, model, head, dataset)) for head in params["heads"]]
            keys = _keys(tables, f"{model} on {dataset}")
            logits = [_logits(table, model) for table in tables]
            metrics = {"modality_l1": l1(logits)}
            if dataset == params["dataset"]:
                metrics["modality_hellinger"] = hellinger(logits, tables[0]["label"].to_numpy())
            for metric, values in metrics.items():
                for key, value in zip(keys, values.tolist(), strict=True):
                    yield Observation(metric, key, value, model, dataset, params["split"])


def l1(logits: list[Floats]) -> Floats:
    """The mean over pairs of the summed differences of softmaxes, (n,); `logits` are (n, C) each."""
    return _over_pairs([softmax(each, axis=1) for each in logits], lambda p, q: np.abs(p - q).sum(1))


def hellinger(logits: list[Floats], labels: NDArray[np.integer[Any]]) -> Floats:
    """The mean over pairs of the Hellinger distance without the labels' classes, (n,)."""
    count, classes = logits[0].shape
    others = np.arange(classes) != labels[:, None]
    rest = [each[others].reshape(count, classes - 1) for each in logits]
    roots = [np.sqrt(np.maximum(softmax(each, axis=1), LEAST)) for each in rest]
    return _over_pairs(roots, lambda p, q: np.linalg.norm(p - q, axis=1) / np.sqrt(2))


def _over_pairs(each: list[Floats], distance: Any) -> Floats:
    mean: Floats = np.mean([distance(p, q) for p, q in itertools.combinations(each, 2)], axis=0)
    return mean


def _keys(tables: list[pa.Table], place: str) -> list[str]:
    keys: list[list[str]] = [table["key"].to_pylist() for table in tables]
    if any(other != keys[0] for other in keys[1:]):
        raise DataError(f"{place}: the modalities' records hold different samples; evaluate again")
    return keys[0]


def _logits(table: pa.Table, model: str) -> Floats:
    if "logits" not in table.column_names:
        raise DataError(f"{model}: records hold the 20 largest logits; expected all: evaluate.outputs: full")
    flat = table["logits"].combine_chunks().flatten().to_numpy()
    logits: Floats = flat.reshape(len(table), -1).astype(np.float64)
    return logits
