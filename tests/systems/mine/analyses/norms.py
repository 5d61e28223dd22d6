"""Norms of the rows of each matrix of a net.

Source: none, a test.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.plugins.contracts import Measurement, Observation

PARAMS: dict[str, object] = {"largest": 1000}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the weights of the benchmark."""
    return [Ref("checkpoints", name) for name in params["checkpoints"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield one norm per row of each matrix, and a number of all weights together, under a name that params lack."""
    yield Observation("counted", "all", len(job.params["checkpoints"]), "tiny/all-s0", "tiny")
    for name in job.params["checkpoints"]:
        net = job.predictor(Ref("checkpoints", name)).net
        for layer, tensor in net.named_parameters():
            if tensor.ndim > 1:
                for row, values in enumerate(tensor.detach().flatten(1)):
                    norm = float(values.norm())
                    yield Observation("norm", f"{layer}/{row}", norm, name, job.params["dataset"], group=layer)
