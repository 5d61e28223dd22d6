"""Answers out of records: of some weights under a method, in each language."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.plugins.contracts import Measurement

PREFIX = "language_"
Models = Annotated[list[str], Field(description="models whose answers are compared; []: all of the benchmark")]
Languages = Annotated[list[str], Field(description="languages whose answers are compared")]
Answers = tuple[list[str], NDArray[np.int64]]
"""Keys of the items, sorted, and the class of each one's answer, int64 (n,)."""


def chosen_checkpoints(params: Mapping[str, Any]) -> list[str]:
    """The checkpoints of an analysis: those whose model is among its `models`; default: all."""
    models = params["models"]
    names = [name for name in params["checkpoints"] if not models or _model(name) in models]
    if not names:
        raise ParamsError(f"no weights of the benchmark are of {', '.join(models)}")
    return names


def _model(weights: str) -> str:
    return refs.CheckpointName.of(Ref("checkpoints", weights)).model


def record(params: Mapping[str, Any], weights: str, method: str, language: str) -> Ref:
    """The records of a checkpoint under a method in a language."""
    condition = f"{params['dataset']}/{params['split']}/{PREFIX}{language}"
    return refs.records(Ref("checkpoints", weights), method, condition, "1")


def records_needed(params: Mapping[str, Any], methods: Sequence[str]) -> list[Ref]:
    """The records of all chosen checkpoints under methods, in all languages.

    Raises:
        ParamsError: a method is not one of the benchmark's.
    """
    for method in methods:
        if method not in params["methods"]:
            raise ParamsError(f"{method!r} is no method of the benchmark; {suggest(method, params['methods'])}")
    return [
        record(params, weights, method, language)
        for weights in chosen_checkpoints(params)
        for method in methods
        for language in params["languages"]
    ]


def answers(job: Measurement, weights: str, method: str, language: str) -> Answers:
    """Answers to the items."""
    table = job.records(record(job.params, weights, method, language))
    keys: list[str] = table.column("key").to_pylist()
    return keys, table.column("prediction").to_numpy().astype(np.int64)


def same_items(one: Answers, other: Answers) -> list[bool]:
    """Whether two answers are equal, for each item.

    Raises:
        DataError: they are not of the same items.
    """
    if one[0] != other[0]:
        raise DataError("two records are not of the same items, so that answers cannot be compared")
    is_equal: list[bool] = (one[1] == other[1]).tolist()
    return is_equal
