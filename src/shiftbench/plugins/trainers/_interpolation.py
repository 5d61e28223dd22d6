"""Between two networks of one architecture, in weights: the line, one layer's part of it, Fisher weights, sparse ends.

    theta_a = (1 - a) theta_0 + a theta_1

A state dict is taken whole, head and normalisation included; at a = 0 and 1 it is the end itself, bit by bit. Tensors
of integers (counters of batches) are those of theta_1, but at a = 0. Where a network has batch normalisation the
running statistics of a mixture are those of no network: `recomputed` estimates them again.

Source: Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022, arXiv:2109.01903, equation 1;
the Fisher weights are those of its code, `src/wise_ft.py` and `src/models/fisher.py` of mlfoundations/wise-ft. Nets of
several tasks are merged by the trainers of RegMean++; a network that follows another in training is `_ema.py`.
"""

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation.nets import State

UNITS = ("block", "matrix")
FLOOR = 1e-8
"""Least Fisher information, as released."""
_NUMBERED = re.compile(r"^(?:.*?\.)??\d+(?=\.|$)")
_AT_ONCE = 32
"""Samples whose gradients are computed together."""


def named(who: str, params: Mapping[str, Any]) -> Ref:
    """Weights by `TRAINER`, of the same dataset and model, or `DATASET/MODEL-TRAINER`; of the same seed.

    A name that ends in `-sN` is of that seed.
    """
    dataset, _, instance = refs.without_seed(who)[0].rpartition("/")
    model, _, trainer = instance.rpartition("-")
    seed = refs.without_seed(who)[1]
    return refs.checkpoint(
        dataset or params["dataset"], model or params["model"], trainer, params["seed"] if seed is None else seed
    )


def check(first: State, second: State, where: str) -> None:
    """Refuse two networks that are not of one architecture.

    Raises:
        ModelError: names the first tensors that only one has, or that differ in shape.
    """
    apart = sorted(set(first) ^ set(second))
    apart += sorted(n for n in set(first) & set(second) if first[n].shape != second[n].shape)
    if apart:
        raise ModelError(
            f"{where}: the two nets differ in {', '.join(apart[:4])}; weights are interpolated between nets of one "
            "architecture, one fine-tuned from the other"
        )


def mixed(
    first: State, second: State, a: float, only: Collection[str] | None = None, elsewhere: State | None = None
) -> State:
    """(1 - a) first + a second.

    Args:
        first: at a = 0.
        second: at a = 1.
        a: any number.
        only: names of the tensors that are mixed; None: all.
        elsewhere: gives the others; None: the second.
    """
    rest = second if elsewhere is None else elsewhere
    made = {}
    for name, tensor in first.items():
        if only is not None and name not in only:
            made[name] = rest[name]
        elif tensor.is_floating_point():
            made[name] = (1 - a) * tensor + a * second[name]
        else:
            made[name] = tensor if a == 0 else second[name]
    return made


def layers(state: State, names: Iterable[str], unit: str = "block") -> dict[str, tuple[str, ...]]:
    """The layers of a network, in its order: name -> names of its tensors.

    Args:
        state: of the network.
        names: of the tensors that belong to a layer: the parameters.
        unit: `block`: what stands below one numbered module, `blocks.3`, or else below one module, `head`; `matrix`:
            each tensor of two axes or more alone.

    Raises:
        ParamsError: another unit.

    Example:
        >>> state = dict.fromkeys(("body.0.1.weight", "body.1.bias", "head.bias"), torch.zeros(2))
        >>> list(layers(state, list(state)))
        ['body.0', 'body.1', 'head']
    """
    if unit not in UNITS:
        raise ParamsError(f"unit of layers is {unit!r}; {suggest(unit, UNITS)}")
    names_by_layer: dict[str, list[str]] = {}
    for name in names:
        if unit == "matrix":
            if state[name].ndim > 1:
                names_by_layer[name] = [name]
            continue
        numbered = _NUMBERED.match(name)
        layer = numbered.group() if numbered else name.rpartition(".")[0] or name
        names_by_layer.setdefault(layer, []).append(name)
    return {layer: tuple(own) for layer, own in names_by_layer.items()}


def sparse(
    state: State, names: Iterable[str], share: float, words: RandomStream, towards: State | None = None
) -> State:
    """A network of which some weights, drawn one by one, are set to zero, or to those of another network.

    Args:
        state: of the network.
        names: of the tensors that lose weights.
        share: probability of each weight.
        words: random words, one for each weight, in the order of names.
        towards: where lost weights come from; None: they are zero.

    Raises:
        ParamsError: `share` is no share.
    """
    if not 0 <= share <= 1:
        raise ParamsError(f"the share of weights that are lost is {share:g}; expected 0 to 1")
    made = dict(state)
    for name in names:
        tensor = state[name]
        lost = torch.from_numpy(words.uniform(tuple(tensor.shape)) < share).to(tensor.device)
        other = torch.zeros_like(tensor) if towards is None else towards[name]
        made[name] = torch.where(lost, other, tensor)
    return made


def fisher_weighted(first: State, second: State, a: float, fishers: tuple[State, State], floor: float = FLOOR) -> State:
    """(c_0 first + c_1 second) / (c_0 + c_1), c_0 = (1 - a) F_0, c_1 = a F_1; without information F is 1.

    Args:
        first: at a = 0.
        second: at a = 1.
        a: 0 to 1.
        fishers: diagonal Fisher information of both, for the parameters.
        floor: least information of a weight.
    """
    made = mixed(first, second, a)
    for name in fishers[0]:
        c_0 = (1 - a) * fishers[0][name].clamp(min=floor)
        c_1 = a * fishers[1][name].clamp(min=floor)
        made[name] = (c_0 * first[name] + c_1 * second[name]) / (c_0 + c_1)
    return made


def fisher(network: nn.Module, state: State, inputs: torch.Tensor, words: RandomStream) -> State:
    """The diagonal Fisher information of a network's parameters: squared gradients of log p(y), y drawn from p.

    Args:
        network: the architecture, in evaluation mode.
        state: its weights.
        inputs: prepared samples (n, ...), on the network's device.
        words: random words, one for each sample.
    """
    trained = {name: state[name] for name, _ in network.named_parameters()}
    total = {name: torch.zeros_like(value) for name, value in trained.items()}

    def value(parameters: State, one: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        logits = functional_call(network, {**state, **parameters}, (one[None],))
        return torch.log_softmax(logits, 1)[0].gather(0, label[None]).sum()

    each = vmap(grad(value), in_dims=(None, 0, 0))
    for part in inputs.split(_AT_ONCE):
        with torch.no_grad():
            shares = functional_call(network, state, (part,)).softmax(1).cumsum(1)
        drawn = torch.from_numpy(words.uniform((len(part), 1))).to(shares)
        labels = (shares < drawn).sum(1).clamp(max=shares.shape[1] - 1)
        for name, gradient in each(trained, part.float(), labels).items():
            total[name] += gradient.square().sum(0)
    return {name: value / len(inputs) for name, value in total.items()}


def normalised(network: nn.Module) -> bool:
    """Whether a network has batch normalisation."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())


@torch.no_grad()
def recomputed(network: nn.Module, state: State, inputs: torch.Tensor, batch: int = 64) -> State:
    """A state whose running statistics are means over batches of `inputs` (n, ...), by its own weights."""
    own = copy.deepcopy(network)
    own.load_state_dict(state)
    own.eval()
    for part in own.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.reset_running_stats()
            part.momentum = None
            part.train()
    for some in inputs.split(batch):
        own(some)
    return {name: tensor.clone() for name, tensor in own.state_dict().items()}
