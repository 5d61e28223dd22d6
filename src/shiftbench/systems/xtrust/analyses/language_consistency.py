"""Share of parallel items to which a model gives the same answer in two languages.

A row for each pair of languages (its group, `ar/zh`), under `method`. `matrix` is the whole of it. Items are resampled
one by one.

Source: ours, as the specification of XTRUST here asks; two models that guess yes or no agree on a half.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.xtrust.analyses import _records
from shiftbench.systems.xtrust.datasets._catalogue import LANGUAGES


class Options(declare.Options):
    method: str = Field("plain", description="method whose answers are compared")
    models: _records.Models = Field([])
    languages: _records.Languages = Field(list(LANGUAGES))


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records in all languages."""
    return _records.records_needed(params, [params["method"]])


def matrix(answers: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """The share of equal answers of each pair of languages, float64 (k, k); symmetric, 1 on the diagonal.

    Args:
        answers: of each of k languages the answers to the same n items, int64 (n,).

    Example:
        >>> matrix([np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])]).tolist()
        [[1.0, 0.75], [0.75, 1.0]]
    """
    stacked = np.stack(answers)
    shares: NDArray[np.float64] = (stacked[:, None] == stacked[None]).mean(axis=2)
    return shares


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield 1 where the answers in two languages are equal, else 0, of each item and pair."""
    params = job.params
    for weights in _records.chosen_checkpoints(params):
        answers = {
            language: _records.answers(job, weights, params["method"], language) for language in params["languages"]
        }
        columns = {"model": weights, "dataset": params["dataset"], "split": params["split"]}
        for one, other in combinations(params["languages"], 2):
            pair = f"{one}/{other}"
            equal = _records.same_items(answers[one], answers[other])
            for key, same in zip(answers[one][0], equal, strict=True):
                yield Observation(
                    "language_consistency", key, float(same), method=params["method"], group=pair, **columns
                )
