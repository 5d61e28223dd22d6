"""A query is run and, while it fails, repaired: the loop of all models that answer by queries."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from shiftbench.base.sample import Sample
from shiftbench.data.tables import Column
from shiftbench.evaluation import nets
from shiftbench.evaluation.sandbox import pandas_queries
from shiftbench.evaluation.sandbox.pandas_queries import Answer

Said = bool | list[str]
Repair = Callable[[str, str], str | None]
"""Takes a query and its error, gives another query; None: there is none. It sees no label."""


class Verdict(NamedTuple):
    """Verdict on a claim: the answer (None: none), the last query, its status, and the number of repairs."""

    answer: Said | None
    query: str | None
    status: str | None
    rounds: int | None


def executed(
    query: str, columns: Sequence[Column], repair: Repair, read: Callable[[Answer], Said | None] = pandas_queries.truth
) -> Verdict:
    """The verdict of a query that is repaired until it runs, or `repair` gives no other.

    Args:
        query: the first.
        columns: of the table.
        repair: what writes the next.
        read: what an answer means; `type` is the status of one that means nothing.

    Raises:
        SandboxError: nothing can be run here.
    """
    rounds = 0
    while True:
        (answer,) = pandas_queries.run([(query, columns)])
        better = None if answer.status == "ok" else repair(query, answer.error)
        if better is None:
            break
        query, rounds = better, rounds + 1
    truth = read(answer)
    if answer.status != "ok":
        return Verdict(None, query, answer.error.partition(":")[0] or answer.status, rounds)
    return Verdict(truth, query, "ok" if truth is not None else "type", rounds)


def is_claim(sample: Sample) -> bool:
    """Whether a sample is a claim, true or false, and not a question."""
    return isinstance(sample.fields["meta"]["answer"], bool)


def reader(sample: Sample) -> Callable[[Answer], Said | None]:
    """Reader of a query's result: a truth value for a claim, texts for a question."""
    return pandas_queries.truth if is_claim(sample) else pandas_queries.texts


def outputs(verdicts: Sequence[Verdict]) -> nets.Outputs:
    """Outputs of a predictor for verdicts."""
    names = {"answers": "answer", "queries": "query", "status": "status", "rounds": "rounds"}
    return {name: _object_array([getattr(verdict, field) for verdict in verdicts]) for name, field in names.items()}


def _object_array(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = value
    return array
