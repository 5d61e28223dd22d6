"""Costs and results of a therapy, sample by sample: calls, predictions kept early, candidates, errors that V tells.

For each of the methods `told`, clean and under each of `shifts`:

    calls_per_sample    calls to the verifier
    early_share         whether the prediction was kept without asking about another class
    candidate_recall    whether the true class is among the candidates, asked about or not

and, for each wrong prediction of the vision model, the share of its right ones that are doubted less, half of those
that are doubted as much; its mean is the AUROC of error detection, and what is resampled are the wrong predictions:

    error_auroc         doubt is 1 - V(prediction), under the name of the method; and 1 - its own confidence, under
                        `plain`

The samples' rows themselves are the features next to the method's records (`machine_vision_therapy.columns`).

Source: Huang et al. 2024, arXiv:2312.02546, section 4 (detecting prediction errors).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import schema
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

Floats = NDArray[np.float64]


class Options(declare.Options):
    told: list[str] = Field(["machine_vision_therapy"], description="methods of the benchmark that are a therapy")
    shifts: dict[str, list[float]] = Field(
        {}, description="shifts, each with its severities; the clean set always counts"
    )
    trainers: list[str] = Field(["erm"], description="trainers of the models that are analysed")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Records and features of the therapies, and the vision model's own records."""
    records = []
    for model in _models(params):
        for place in _places(params):
            records.append(_record(params, model, "plain", place))
            for method in params["told"]:
                record = _record(params, model, method, place)
                records += [record, refs.features(record)]
    return list(dict.fromkeys(records))


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of all weights, methods and places."""
    for model in _models(job.params):
        for place in _places(job.params):
            yield from _at(job, model, place)


def _at(job: Measurement, model: str, place: tuple[str, float]) -> Iterator[Observation]:
    params, (shift, severity) = job.params, place
    condition = {
        "model": model, "dataset": params["dataset"], "split": params["split"],
        "shift": shift, "severity": severity,
    }  # fmt: skip
    plain = schema.read(job.inputs[_record(params, model, "plain", place)])
    keys, labels = plain.column("key").to_pylist(), plain.column("label").to_numpy()
    correct = plain.column("prediction").to_numpy() == labels
    unsure = 1 - plain.column("confidence_e9").to_numpy() / 1e9
    for key, share in shares_below(keys, unsure, correct):
        yield Observation("error_auroc", key, share, **condition)
    for method in params["told"]:
        rows = np.load(job.inputs[refs.features(_record(params, model, method, place))])
        top = (rows.shape[1] - 2) // 2
        recall = (rows[:, :top] == labels[:, None]).any(axis=1)
        columns = {"calls_per_sample": rows[:, -1], "early_share": rows[:, -2], "candidate_recall": recall}
        for metric, values in columns.items():
            for key, value in zip(keys, values.tolist(), strict=True):
                yield Observation(metric, key, float(value), method=method, **condition)
        for key, share in shares_below(keys, 1 - rows[:, top].astype(np.float64), correct):
            yield Observation("error_auroc", key, share, method=method, **condition)


def shares_below(keys: Sequence[str], doubts: Floats, correct: NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    """Yield each wrong prediction's key and the share of right ones that are doubted less, half of equal ones.

    Example:
        >>> list(shares_below(["a", "b", "c"], np.array([0.5, 0.5, 0.1]), np.array([False, True, True])))
        [('a', 0.75)]
    """
    right_doubts = np.sort(doubts[correct])
    if not len(right_doubts):
        return
    for key, doubt in zip(np.asarray(keys)[~correct].tolist(), doubts[~correct], strict=True):
        lower = np.searchsorted(right_doubts, doubt, side="left")
        equal = np.searchsorted(right_doubts, doubt, side="right") - lower
        yield key, float((lower + equal / 2) / len(right_doubts))


def _models(params: Mapping[str, Any]) -> list[str]:
    """Checkpoints of the models that therapies wrap: those of `trainers`."""
    return [name for name in params["checkpoints"] if name.rpartition("/")[2].split("-")[1] in params["trainers"]]


def _places(params: Mapping[str, Any]) -> list[tuple[str, float]]:
    shifts = [(name, float(level)) for name, levels in params["shifts"].items() for level in levels]
    return [("identity", 0.0), *shifts]


def _record(params: Mapping[str, Any], model: str, method: str, place: tuple[str, float]) -> Ref:
    shift, severity = place
    stream = f"{params['dataset']}/{params['split']}/{shift}"
    return refs.records(Ref("checkpoints", model), method, stream, refs.number(severity))
