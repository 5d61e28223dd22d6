"""Nets that stand beside the one that learns, which of its modules learns, and nets put together from modules.

Weights are named `MODEL-TRAINER`, of the same dataset, or `DATASET/MODEL-TRAINER`; `seeds` pins the training seed of
some of them (default: that of the training), so that a meta network and a teacher may be trained once for all students.
`nets` has the options of models that differ from their file's defaults, by the model's name: `{meta: {use: modular_vit,
depths: [1, 1, 1]}}`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from shiftbench.base import refs, registry, rng
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.models import modular_vit

PARAMS: dict[str, object] = {"nets": {}, "seeds": {}}
_MODEL = "modular_vit"
Rows = tuple[torch.Tensor, ...]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models of the networks that have options, and the one of all others."""
    named = {str(given.get("use", _MODEL)) for given in params["nets"].values()}
    return [("models", name) for name in sorted({_MODEL, *named})]


def refs_of(params: Mapping[str, Any], *names: str) -> list[Ref]:
    """Checkpoints of these names, and the train and val shards."""
    found = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*found, *(_weights(params, params["dataset"], params["seed"], name) for name in names)]


def _weights(params: Mapping[str, Any], dataset: str, seed: int, name: str) -> Ref:
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
    given = dict(job.params["nets"].get(CheckpointName.of(ref).model, {}))
    module = registry.find("models", given.pop("use", _MODEL))
    net: nn.Module = module.build({**module.PARAMS, **given}, len(job.classes))
    nets.load_into(net, nets.read_state(path), path)
    nets.place(net, nets.pick_device(job.device))
    return net.eval().requires_grad_(requires_grad=False)


def aligned(*given: Any) -> int:
    """Number of modules that the networks have.

    Raises:
        ParamsError: one has more than another.
    """
    counts = {len(net.depths) for net in given}
    if len(counts) > 1:
        raise ParamsError(f"nets are cut into {sorted(counts)} modules; expected as many in each: mend `depths`")
    return counts.pop()


@contextmanager
def only(net: Any, module: int) -> Iterator[None]:
    """Let one module of a net learn, for as long as the context lasts."""
    before = {name: p.requires_grad for name, p in net.named_parameters()}
    for name, parameter in net.named_parameters():
        parameter.requires_grad = net.owner(name) == module
    try:
        yield
    finally:
        for name, parameter in net.named_parameters():
            parameter.requires_grad = before[name]


def chosen(job: TrainJob, modules: int) -> Sequence[int]:
    """Modules that the job trains: `only`, or all.

    Raises:
        ParamsError: there is no such module.
    """
    wanted = job.params["only"]
    if wanted is None:
        return range(modules)
    if not 0 <= wanted < modules:
        raise ParamsError(f"only is {wanted}; expected 0 to {modules - 1}, or null for all modules")
    return [wanted]


def fit(
    job: TrainJob, net: Any, module: int, loss: _loop.Loss, logits: Callable[[Any], torch.Tensor], **options: Any
) -> None:
    """Train one module of a net, on words of its own: what it becomes does not depend on which others are trained.

    Args:
        job: the options of `_loop.fit`; its log gets `train_loss/I` and `val_accuracy/I`.
        net: changed in place, in no other module.
        module: from 0.
        loss: of a batch.
        logits: of prepared images, for the accuracy on val.
        options: of `_loop.fit`.
    """
    own = replace(job, trainer=f"{job.trainer}/{module}", rows=[])
    torch.manual_seed(rng.derive(job.seed, job.model, "module", str(module)))
    held, labels = _loop.inputs(job, "val")

    def validate(learning: nn.Module) -> float:
        learning.eval()
        return accuracy(logits, learning, held, labels)

    with only(net, module):
        _loop.fit(own, net, loss, validate=validate, **options)
    for step, name, value in own.rows:
        job.log(step, f"{name}/{module}", value)


class Memo:
    """What frozen nets make of images, computed once for each image that stays the same from epoch to epoch.

    Args:
        make: prepared images (n, ...) as a tensor -> tensors with n rows each.
        kept: whether images come again as they are; else nothing is kept.
    """

    def __init__(self, make: Callable[[torch.Tensor], Rows], *, kept: bool) -> None:
        self._make, self._kept = make, kept
        self._known: dict[bytes, Rows] = {}

    def __call__(self, batch: npt.NDArray[Any], images: torch.Tensor) -> Rows:
        """Prepared images.

        Args:
            batch: the images before they were mixed, by whose bytes they are known.
            images: the same as a tensor, mixed.
        """
        if not self._kept:
            return self._make(images)
        keys = [one.tobytes() for one in batch]
        if any(key not in self._known for key in keys):
            made = self._make(images)
            self._known |= {key: tuple(part[at] for part in made) for at, key in enumerate(keys)}
            return made
        return tuple(map(torch.stack, zip(*(self._known[key] for key in keys), strict=True)))


def accuracy(logits: Callable[[Any], torch.Tensor], net: nn.Module, held: Any, labels: torch.Tensor) -> float:
    """The share of rows whose largest logit is the label; NaN when there is no row."""
    if not len(labels):
        return float("nan")
    hits = 0
    with torch.inference_mode():
        for at in range(0, len(labels), 256):
            told = logits(_loop.tensor(held[at : at + 256], net)).argmax(1).cpu()
            hits += int((told == labels[at : at + 256]).sum())
    return hits / len(labels)


def held(job: TrainJob, most: int = 2**28) -> TrainJob:
    """A job that decodes its samples once, where they have at most so many pixels, however often it trains."""
    pixels = job.model_params.get("size", 224) ** 2
    if job.folder is not None and _loop.count(job, "train") * pixels > most:
        return job
    return replace(job, samples=cache(job.samples), folder=None)


def fresh(job: TrainJob) -> Any:
    """The job's net with fresh weights; one whose latents follow a prior has it."""
    net: Any = _loop.fresh_net(job)
    if hasattr(net, "settle"):
        net.settle(rng.derive(job.seed, job.model, "prior"))
    return net


def assembled(job: TrainJob, names: Sequence[str], *, rotate: int = 0, anew: Sequence[str] = ()) -> nn.Module:
    """The job's network with the modules of checkpoints: of one, or module i of the i-th.

    Stitches are dropped where the job's net has none. Blocks of module i become those of module i + rotate, modulo L;
    what is not in blocks stays. What belongs to no module (latents) and what `anew` names stays fresh.

    Args:
        job: of the net.
        names: MODEL-TRAINER, one or as many as modules.
        rotate: by how many modules blocks move on.
        anew: beginnings of names of tensors that are not taken over, such as a head of other classes.

    Raises:
        ModelError: what the net lacks is anything else, or what was left over is no stitch.
    """
    net = fresh(job)
    wanted = net.state_dict()
    kept = {k for k in wanted if net.owner(k) < 0 or k.startswith(tuple(anew))}
    found: nets.State = {}
    for at, name in enumerate(names):
        _, path = find(job, name)
        state = _turned(net, nets.read_state(path), rotate)
        own = range(len(net.depths)) if len(names) == 1 else (at,)
        found |= {k: v for k, v in state.items() if k not in kept and net.owner(k) in own}
    over = sorted(name for name in found if name not in wanted)
    wrong = [name for name in over if not modular_vit.is_stitch(name)]
    if wrong or (over and any(modular_vit.is_stitch(name) for name in wanted)):
        raise ModelError(
            f"{job.trainer}: {(wrong or over)[0]} of {', '.join(names)} is left over, and is no stitch that the "
            "net dropped; give both models the same options but for `stitch`"
        )
    taken = {k: v for k, v in found.items() if k in wanted}
    nets.load_into(net, {k: wanted[k] for k in kept} | taken, ", ".join(names))
    return net  # type: ignore[no-any-return]


def _turned(net: Any, state: nets.State, rotate: int) -> nets.State:
    if not rotate:
        return state
    depth = len(set(net.depths)) == 1 and net.depths[0]
    if not depth:
        raise ParamsError(f"rotate: modules have {list(net.depths)} blocks; expected as many in each")
    total, found = len(net.blocks), {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        at = (int(number) + rotate * depth) % total if first == "blocks" else 0
        found[f"blocks.{at}.{inner}" if first == "blocks" else name] = tensor
    return found
