"""What a therapy cost and found, sample by sample: calls, predictions kept early, candidates, errors that V tells.

For each of `told`, the benchmark's methods that are a therapy, under each of `shifts` (shift -> severities):

    calls_per_sample    calls to the verifier
    early_share         whether the prediction was kept without asking about another class
    candidate_recall    whether the true class is among the candidates, asked about or not

and, for each wrong prediction of the vision model, the share of its right ones that are doubted less, half of those
that are doubted as much; its mean is the AUROC of error detection, and what is resampled are the wrong predictions:

    error_auroc         doubt is 1 - V(prediction), under the name of the method; and 1 - its own confidence, under
                        `plain`

The samples' rows themselves are the features beside the method's records (`machine_vision_therapy.columns`).

Source: Huang et al. 2024, arXiv:2312.02546, section 4 (detecting prediction errors).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import schema
from shiftbench.plugins.contracts import Measurement, Observation

PARAMS: dict[str, object] = {"told": ["machine_vision_therapy"], "shifts": {}, "trainers": ["erm"]}
Floats = NDArray[np.float64]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Records and features of the therapies, and the vision model's own records."""
    found = []
    for weights in _weights(params):
        for place in _places(params):
            found.append(_record(params, weights, "plain", place))
            for method in params["told"]:
                record = _record(params, weights, method, place)
                found += [record, refs.features(record)]
    return list(dict.fromkeys(found))


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of all weights, methods and places."""
    for weights in _weights(job.params):
        for place in _places(job.params):
            yield from _at(job, weights, place)


def _at(job: Measurement, weights: str, place: tuple[str, float]) -> Iterator[Observation]:
    params, (shift, severity) = job.params, place
    where = {
        "model": weights, "dataset": params["dataset"], "split": params["split"],
        "shift": shift, "severity": severity,
    }  # fmt: skip
    plain = schema.read(job.inputs[_record(params, weights, "plain", place)])
    keys, labels = plain.column("key").to_pylist(), plain.column("label").to_numpy()
    right = plain.column("prediction").to_numpy() == labels
    unsure = 1 - plain.column("confidence_e9").to_numpy() / 1e9
    for key, share in below(keys, unsure, right):
        yield Observation("error_auroc", key, share, **where)
    for method in params["told"]:
        rows = np.load(job.inputs[refs.features(_record(params, weights, method, place))])
        top = (rows.shape[1] - 2) // 2
        recall = (rows[:, :top] == labels[:, None]).any(axis=1)
        told = {"calls_per_sample": rows[:, -1], "early_share": rows[:, -2], "candidate_recall": recall}
        for metric, values in told.items():
            for key, value in zip(keys, values.tolist(), strict=True):
                yield Observation(metric, key, float(value), method=method, **where)
        for key, share in below(keys, 1 - rows[:, top].astype(np.float64), right):
            yield Observation("error_auroc", key, share, method=method, **where)


def below(keys: Sequence[str], doubts: Floats, right: NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    """Yield each wrong prediction's key and the share of right ones that are doubted less, half of equal ones.

    Example:
        >>> list(below(["a", "b", "c"], np.array([0.5, 0.5, 0.1]), np.array([False, True, True])))
        [('a', 0.75)]
    """
    known = np.sort(doubts[right])
    if not len(known):
        return
    for key, doubt in zip(np.asarray(keys)[~right].tolist(), doubts[~right], strict=True):
        lower = np.searchsorted(known, doubt, side="left")
        equal = np.searchsorted(known, doubt, side="right") - lower
        yield key, float((lower + equal / 2) / len(known))


def _weights(params: Mapping[str, Any]) -> list[str]:
    """Checkpoints of the models that therapies wrap: those of `trainers`."""
    return [name for name in params["checkpoints"] if name.rpartition("/")[2].split("-")[1] in params["trainers"]]


def _places(params: Mapping[str, Any]) -> list[tuple[str, float]]:
    shifted = [(name, float(level)) for name, levels in params["shifts"].items() for level in levels]
    return [("identity", 0.0), *shifted]


def _record(params: Mapping[str, Any], weights: str, method: str, place: tuple[str, float]) -> Ref:
    shift, severity = place
    stream = f"{params['dataset']}/{params['split']}/{shift}"
    return refs.records(Ref("checkpoints", weights), method, stream, refs.number(severity))
