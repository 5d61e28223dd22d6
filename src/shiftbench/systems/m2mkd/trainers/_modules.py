"""Networks next to the one that learns, which of its modules learns, and networks put together from modules.

Checkpoints are named `MODEL-TRAINER`, of the same data set, or `DATASET/MODEL-TRAINER`. With `seeds` a meta network and
a teacher may be trained once for all students. `nets` has options that differ from the file's defaults, for example
`{meta: {use: modular_vit, depths: [1, 1, 1]}}`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs, registry, rng
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.models import modular_vit

_MODEL = "modular_vit"
Rows = tuple[torch.Tensor, ...]


class Options(declare.Options):
    nets: dict[str, dict[str, Any]] = Field(
        {}, description="file (`use`) and options of other networks, by the model's name"
    )
    seeds: dict[str, int] = Field({}, description="training seed of a checkpoint, by MODEL-TRAINER; none: the own seed")


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models of the networks that have options, and the one of all others."""
    names = {str(options.get("use", _MODEL)) for options in params["nets"].values()}
    return [("models", name) for name in sorted({_MODEL, *names})]


def refs_of(params: Mapping[str, Any], *names: str) -> list[Ref]:
    """Checkpoints of these names, and the train and val shards."""
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*shards, *(_checkpoint(params, params["dataset"], params["seed"], name) for name in names)]


def _checkpoint(params: Mapping[str, Any], dataset: str, seed: int, name: str) -> Ref:
    other, _, short = name.rpartition("/")
    model, _, trainer = short.rpartition("-")
    return refs.checkpoint(other or dataset, model, trainer, params["seeds"].get(name, seed))


def find(job: TrainJob, name: str) -> tuple[Ref, Any]:
    """The checkpoint of a name among the job's inputs, and its path.

    Raises:
        ParamsError: there are none.
    """
    _, _, short = name.rpartition("/")
    for ref, path in job.inputs.items():
        if ref.kind == "checkpoints":
            at = CheckpointName.of(ref)
            if f"{at.model}-{at.trainer}" == short:
                return ref, path
    raise ParamsError(f"{job.trainer}: no weights {name!r} among what it needs; expected MODEL-TRAINER")


def frozen(job: TrainJob, name: str) -> Any:
    """The network of a checkpoint, frozen, in evaluation mode, on the job's device."""
    ref, path = find(job, name)
    options = dict(job.params["nets"].get(CheckpointName.of(ref).model, {}))
    module = registry.find("models", options.pop("use", _MODEL))
    network: nn.Module = module.build({**registry.defaults(module), **options}, len(job.classes))
    nets.load_into(network, nets.read_state(path), path)
    nets.place(network, nets.pick_device(job.device))
    return network.eval().requires_grad_(requires_grad=False)


def module_count(*networks: Any) -> int:
    """Number of modules that the networks have.

    Raises:
        ParamsError: one has more than another.
    """
    counts = {len(network.depths) for network in networks}
    if len(counts) > 1:
        raise ParamsError(f"nets are cut into {sorted(counts)} modules; expected as many in each: mend `depths`")
    return counts.pop()


@contextmanager
def only(network: Any, module: int) -> Iterator[None]:
    """Let one module of a network learn, for as long as the context lasts."""
    flags = {name: p.requires_grad for name, p in network.named_parameters()}
    for name, parameter in network.named_parameters():
        parameter.requires_grad = network.owner(name) == module
    try:
        yield
    finally:
        for name, parameter in network.named_parameters():
            parameter.requires_grad = flags[name]


def chosen(job: TrainJob, modules: int) -> Sequence[int]:
    """Modules that the job trains: `only`, or all.

    Raises:
        ParamsError: there is no such module.
    """
    module = job.params["only"]
    if module is None:
        return range(modules)
    if not 0 <= module < modules:
        raise ParamsError(f"only is {module}; expected 0 to {modules - 1}, or null for all modules")
    return [module]


def fit(
    job: TrainJob, network: Any, module: int, loss: _loop.Loss, logits: Callable[[Any], torch.Tensor], **options: Any
) -> None:
    """Train one module of a network, on words of its own: what it becomes does not depend on which others are trained.

    Args:
        job: the options of `_loop.fit`; its log gets `train_loss/I` and `val_accuracy/I`.
        network: changed in place, in no other module.
        module: from 0.
        loss: of a batch.
        logits: of prepared images, for the accuracy on val.
        options: of `_loop.fit`.
    """
    own = replace(job, trainer=f"{job.trainer}/{module}", rows=[])
    torch.manual_seed(rng.derive(job.seed, job.model, "module", str(module)))
    inputs, labels = _loop.inputs(job, "val")

    def validate(learning: nn.Module) -> float:
        learning.eval()
        return accuracy(logits, learning, inputs, labels)

    with only(network, module):
        _loop.fit(own, network, loss, validate=validate, **options)
    for step, name, value in own.rows:
        job.log(step, f"{name}/{module}", value)


class Memo:
    """Outputs of frozen networks for images, computed once for each image that stays the same from epoch to epoch.

    Args:
        make: prepared images (n, ...) as a tensor -> tensors with n rows each.
        reuse: whether images come again as they are; else nothing is kept.
    """

    def __init__(self, make: Callable[[torch.Tensor], Rows], *, reuse: bool) -> None:
        self._make, self._reuse = make, reuse
        self._rows: dict[bytes, Rows] = {}

    def __call__(self, batch: npt.NDArray[Any], images: torch.Tensor) -> Rows:
        """Prepared images.

        Args:
            batch: the images before they were mixed, by whose bytes they are known.
            images: the same as a tensor, mixed.
        """
        if not self._reuse:
            return self._make(images)
        keys = [one.tobytes() for one in batch]
        if any(key not in self._rows for key in keys):
            rows = self._make(images)
            self._rows |= {key: tuple(part[at] for part in rows) for at, key in enumerate(keys)}
            return rows
        return tuple(map(torch.stack, zip(*(self._rows[key] for key in keys), strict=True)))


def accuracy(logits: Callable[[Any], torch.Tensor], network: nn.Module, inputs: Any, labels: torch.Tensor) -> float:
    """The share of rows whose largest logit is the label; NaN when there is no row."""
    if not len(labels):
        return float("nan")
    hits = 0
    with torch.inference_mode():
        for at in range(0, len(labels), 256):
            predictions = logits(_loop.tensor(inputs[at : at + 256], network)).argmax(1).cpu()
            hits += int((predictions == labels[at : at + 256]).sum())
    return hits / len(labels)


def decode_once(job: TrainJob, most: int = 2**28) -> TrainJob:
    """A job that decodes its samples once, where they have at most so many pixels, however often it trains."""
    pixels = job.model_params.get("size", 224) ** 2
    if job.folder is not None and _loop.count(job, "train") * pixels > most:
        return job
    return replace(job, samples=cache(job.samples), folder=None)


def fresh(job: TrainJob) -> Any:
    """The job's network with fresh weights; one whose latents follow a prior has it."""
    network: Any = _loop.fresh_net(job)
    if hasattr(network, "settle"):
        network.settle(rng.derive(job.seed, job.model, "prior"))
    return network


def assemble(job: TrainJob, names: Sequence[str], *, rotate: int = 0, anew: Sequence[str] = ()) -> nn.Module:
    """The job's network with the modules of checkpoints: of one, or module i of the i-th.

    Stitches are dropped where the job's network has none. Blocks of module i become those of module i + rotate, modulo
    L; what is not in blocks stays. What belongs to no module (latents) and what `anew` names stays fresh.

    Args:
        job: of the network.
        names: MODEL-TRAINER, one or as many as modules.
        rotate: by how many modules blocks move on.
        anew: beginnings of names of tensors that are not taken over, such as a head of other classes.

    Raises:
        ModelError: what the network lacks is anything else, or what was left over is no stitch.
    """
    network = fresh(job)
    own_state = network.state_dict()
    fresh_names = {k for k in own_state if network.owner(k) < 0 or k.startswith(tuple(anew))}
    tensors: nets.State = {}
    for at, name in enumerate(names):
        _, path = find(job, name)
        state = _rotate_blocks(network, nets.read_state(path), rotate)
        own = range(len(network.depths)) if len(names) == 1 else (at,)
        tensors |= {k: v for k, v in state.items() if k not in fresh_names and network.owner(k) in own}
    leftover = sorted(name for name in tensors if name not in own_state)
    wrong = [name for name in leftover if not modular_vit.is_stitch(name)]
    if wrong or (leftover and any(modular_vit.is_stitch(name) for name in own_state)):
        raise ModelError(
            f"{job.trainer}: {(wrong or leftover)[0]} of {', '.join(names)} is left over, and is no stitch that the "
            "net dropped; give both models the same options but for `stitch`"
        )
    used = {k: v for k, v in tensors.items() if k in own_state}
    nets.load_into(network, {k: own_state[k] for k in fresh_names} | used, ", ".join(names))
    return network  # type: ignore[no-any-return]


def _rotate_blocks(network: Any, state: nets.State, rotate: int) -> nets.State:
    if not rotate:
        return state
    depth = len(set(network.depths)) == 1 and network.depths[0]
    if not depth:
        raise ParamsError(f"rotate: modules have {list(network.depths)} blocks; expected as many in each")
    total, tensors = len(network.blocks), {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        at = (int(number) + rotate * depth) % total if first == "blocks" else 0
        tensors[f"blocks.{at}.{inner}" if first == "blocks" else name] = tensor
    return tensors
