"""Units of a model: what its layers give, channel by channel, and measures of them.

A unit is a channel of a layer; layers are named in options, `{conv1: body.2}`, name -> path of a module whose output is
(n, c, h, w). Pictures are read a batch at a time, so that no split is held.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.evaluation.nets import TorchPredictor
from shiftbench.plugins.contracts import Measurement

Floats = NDArray[np.float64]
Layers = Annotated[
    dict[str, str], Field(description="name of a layer -> path of its module, whose output is (n, c, h, w)")
]
Samples = Annotated[int, Field(ge=1, description="first pictures of a set that are read")]
Only = Annotated[list[str], Field(description="measured models, MODEL-TRAINER; []: all of the benchmark")]
BATCH = 250


def place(shift: str, params: Mapping[str, Any]) -> Ref:
    """The tested shards under a shift, `gaussian_noise/1.5`, or the clean ones, `identity/0`.

    Raises:
        ParamsError: a name without a severity.
    """
    name, _, severity = shift.partition("/")
    try:
        return refs.shards(params["dataset"], params["split"], name, float(severity))
    except ValueError:
        raise ParamsError(f"{shift!r} is no shift with its severity, as gaussian_noise/1.5") from None


def measured(params: Mapping[str, Any]) -> list[str]:
    """The names of the benchmark's checkpoints, of the arms in `only` if it lists some, as `convnet-erm`."""
    arms = params["only"]
    return [name for name in params["checkpoints"] if not arms or arm(name) in arms]


def arm(weights: str) -> str:
    """Model and trainer of a checkpoint, `convnet-erm`."""
    name = CheckpointName.of(Ref("checkpoints", weights))
    return f"{name.model}-{name.trainer}"


def partner(weights: str, other_arm: str) -> str:
    """The checkpoint of another arm, `convnet-erm`, with the same dataset and seed."""
    name = CheckpointName.of(Ref("checkpoints", weights))
    model, _, trainer = other_arm.partition("-")
    return refs.checkpoint(name.dataset, model, trainer, name.seed).name


def batches(job: Measurement, shards_ref: Ref) -> Iterator[list[Sample]]:
    """Yield the first `samples` pictures of some shards in lists."""
    yield from batching.batches(islice(shards.read(job.folder(shards_ref)), job.params["samples"]), BATCH)


def layer(model: nn.Module, path: str) -> nn.Module:
    """The module of a path.

    Raises:
        ParamsError: the model has none.
    """
    try:
        return model.get_submodule(path)
    except AttributeError:
        paths = ", ".join(name for name, _ in model.named_modules() if name)
        raise ParamsError(f"the net has no layer {path!r}; it has {paths}") from None


@contextmanager
def tapped(model: nn.Module, paths: Mapping[str, str]) -> Iterator[dict[str, torch.Tensor]]:
    """Fill a dict, name -> (n, c, h, w), with what the layers give whenever the model runs."""
    outputs: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        for name, path in paths.items():
            handle = layer(model, path).register_forward_hook(
                lambda _, __, output, name=name: outputs.__setitem__(name, output)
            )
            stack.callback(handle.remove)
        yield outputs


@contextmanager
def without(module: nn.Module, unit: int) -> Iterator[None]:
    """Set one channel of a module's output to zero."""

    def zeroed(_: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[:, unit] = 0
        return changed

    handle = module.register_forward_hook(zeroed)
    try:
        yield
    finally:
        handle.remove()


def activations(predictor: TorchPredictor, paths: Mapping[str, str], batch: list[Sample]) -> dict[str, torch.Tensor]:
    """Outputs of the layers for pictures, name -> (n, c, h, w)."""
    with tapped(predictor.net, paths) as outputs, torch.inference_mode():
        nets.both(predictor.net, nets.to_inputs(predictor.prepare(batch), predictor.device))
        return dict(outputs)


def total_variation(maps: torch.Tensor) -> torch.Tensor:
    """Sums of absolute differences to the next row and to the next column; (..., h, w) -> float64 (...)."""
    values = maps.double()
    rows, columns = values.diff(dim=-2).abs(), values.diff(dim=-1).abs()
    return rows.sum(dim=(-2, -1)) + columns.sum(dim=(-2, -1))


def mean_variations(job: Measurement, predictor: TorchPredictor, shards_ref: Ref) -> dict[str, Floats]:
    """Mean total variation of each channel's maps over pictures, for each layer, float64 (c,)."""
    sums: dict[str, torch.Tensor] = {}
    count = 0
    for batch in batches(job, shards_ref):
        count += len(batch)
        for name, maps in activations(predictor, job.params["layers"], batch).items():
            sums[name] = sums.get(name, torch.zeros(())) + total_variation(maps).sum(0).cpu()
    return {name: (total / count).numpy() for name, total in sums.items()}


def first_convolution(model: nn.Module) -> nn.Conv2d:
    """The first convolution of a model, in the order of its modules.

    Raises:
        ParamsError: it has none.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            return part
    raise ParamsError(f"{type(model).__name__} has no convolution, so no kernels to measure")
