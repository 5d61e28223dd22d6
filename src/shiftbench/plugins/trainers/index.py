"""What a ranker that learns nothing knows of its collections: the vectors of a bi-encoder, the size of a lexical index.

Made once, for all benchmarks that ask for these weights; name the collection as their `dataset`. A model's file may say
what its index is (`index(collections, inputs, params) -> tensors`). Source: none.
"""

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.base.refs import Ref
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models._rankers import Collections

TASKS = ("ranking",)
READS_SOURCES = True  # the encoder's


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Nothing: the collections are what the model needs."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`documents.COLLECTION`, their number, and the model's own tensors."""
    known = Collections(job.inputs, job.model_params)
    sizes = {f"documents.{name}": torch.tensor([len(known[name].ids)]) for name in known.names()}
    if not hasattr(job.plugin, "index"):
        return sizes
    made: dict[str, torch.Tensor] = job.plugin.index(known, job.inputs, job.model_params)
    return {**sizes, **made}
