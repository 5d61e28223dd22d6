"""What a ranker that learns nothing knows of its collections: the vectors of a bi-encoder, the size of a lexical index.

Made once, for all campaigns that ask for these weights; name the collection as their `dataset`. A model's file may say
what its index is (`index(collections, inputs, params) -> tensors`). Source: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.contracts import TrainJob
from shiftbench.models._rankers import Collections
from shiftbench.refs import Ref

TASKS = ("ranking",)
PARAMS: dict[str, object] = {}
READS_SOURCES = True  # the encoder's


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return nothing: the collections are what the model needs."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return `documents.COLLECTION`, their number, and the model's own tensors.

    Raises:
        ParamsError: the model names no collection.
    """
    known = Collections(job.inputs, job.model_params)
    sizes = {f"documents.{name}": torch.tensor([len(known[name].ids)]) for name in known.names()}
    if not hasattr(job.plugin, "index"):
        return sizes
    made: dict[str, torch.Tensor] = job.plugin.index(known, job.inputs, job.model_params)
    return {**sizes, **made}
