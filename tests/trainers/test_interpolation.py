"""Weights between two nets: ends, middles, layers, the released Fisher weights, sparse ends, statistics made anew."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.evaluation.nets import State
from shiftbench.plugins.trainers import _interpolation
from shiftbench.workflow.stages.train import train_weights

START, TUNED = "tiny/convnet-erm-s0", "tiny/convnet-tuned-s0"


def states(norm: str = "batch") -> tuple[nn.Module, State, State]:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 2, 3, bias=False),
            nn.BatchNorm2d(2) if norm == "batch" else nn.Identity(),
            nn.Flatten(),
            nn.Linear(2 * 36, 4),
        ).eval()
        found.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    return net, found[0], found[1]


def test_ends_are_the_nets_and_the_middle_is_their_mean() -> None:
    _, first, second = states()
    second["1.num_batches_tracked"] += 3
    for a, end in ((0, first), (1, second)):
        assert all(torch.equal(t, end[n]) for n, t in _interpolation.mixed(first, second, a).items())
    middle = _interpolation.mixed(first, second, 0.5)
    assert torch.equal(middle["3.weight"], (first["3.weight"] + second["3.weight"]) / 2)
    one = _interpolation.mixed(first, second, 0.25, only=("3.bias",))
    assert torch.equal(one["3.bias"], 0.75 * first["3.bias"] + 0.25 * second["3.bias"])
    assert torch.equal(one["0.weight"], second["0.weight"])
    other = _interpolation.mixed(first, second, 0.25, only=("3.bias",), elsewhere=first)
    assert torch.equal(other["0.weight"], first["0.weight"])


def test_layers_are_blocks_or_matrices() -> None:
    names = ["stem.weight", "body.0.0.weight", "body.0.1.bias", "body.1.bias", "token", "head.weight"]
    state = {name: torch.zeros(*([2, 2] if name.endswith("weight") else [2])) for name in names}
    blocks = _interpolation.layers(state, names)
    assert list(blocks) == ["stem", "body.0", "body.1", "token", "head"]
    assert blocks["body.0"] == ("body.0.0.weight", "body.0.1.bias")
    assert [n for own in blocks.values() for n in own] == names
    assert list(_interpolation.layers(state, names, "matrix")) == [names[0], names[1], names[5]]
    with pytest.raises(ParamsError, match="unit of layers is 'blok'"):
        _interpolation.layers(state, names, "blok")


def released(alpha: float, theta_0: State, theta_1: State, fishers: tuple[State, State], floor: float) -> State:
    """Return the mixture by the rule of wise_ft.py, one tensor after the other."""
    made = {}
    for key in theta_0:
        ones = torch.ones_like(theta_0[key])
        f_0, f_1 = (torch.maximum(one.get(key, ones), floor * ones) for one in fishers)
        c_0, c_1 = (1 - alpha) * f_0, alpha * f_1
        made[key] = (c_0 * theta_0[key] + c_1 * theta_1[key]) / (c_0 + c_1)
    return made


def test_fisher_model_are_the_released_ones() -> None:
    _, first, second = states("none")
    random = torch.Generator().manual_seed(0)
    fishers = tuple(
        {n: torch.rand(t.shape, generator=random) ** 8 for n, t in end.items() if n != "3.bias"}
        for end in (first, second)
    )
    for a in (0.0, 0.3, 1.0):
        found = _interpolation.fisher_weighted(first, second, a, fishers, 1e-3)
        told = released(a, first, second, fishers, 1e-3)
        assert all(torch.allclose(found[n], told[n]) for n in told)
    assert not torch.allclose(found["3.weight"], _interpolation.mixed(first, second, 0.3)["3.weight"])


def test_fisher_information_is_the_mean_square_of_single_gradients() -> None:
    net, state, _ = states("none")
    inputs, words = torch.rand(5, 1, 8, 8), RandomStream(0, "fisher", "", "")
    found = _interpolation.fisher(net, state, inputs, words)
    drawn = RandomStream(0, "fisher", "", "").uniform((5, 1))[:, 0]
    net.load_state_dict(state)
    total = torch.zeros_like(net[3].weight)
    for one, word in zip(inputs, drawn, strict=True):
        logits = net(one[None])[0]
        label = int((logits.softmax(0).cumsum(0) < float(word)).sum())
        (gradient,) = torch.autograd.grad(logits.log_softmax(0)[label], net[3].weight)
        total += gradient**2 / 5
    assert torch.allclose(found["3.weight"], total, atol=1e-7)


def test_sparse_ends_lose_the_share_that_is_asked_for_and_nothing_else() -> None:
    _, first, second = states()
    words = lambda: RandomStream(0, "sparse", "", "")  # noqa: E731
    zero = _interpolation.sparse(second, ["3.weight"], 0.3, words())
    back = _interpolation.sparse(second, ["3.weight"], 0.3, words(), towards=first)
    lost = zero["3.weight"] == 0
    assert 0.2 < lost.float().mean() < 0.4
    assert torch.equal(back["3.weight"], torch.where(lost, first["3.weight"], second["3.weight"]))
    assert all(torch.equal(zero[n], second[n]) for n in second if n != "3.weight")
    with pytest.raises(ParamsError, match="1.5"):
        _interpolation.sparse(second, ["3.weight"], 1.5, words())


def test_recomputed_statistics_are_those_of_the_inputs() -> None:
    net, state, _ = states()
    inputs = torch.rand(12, 1, 8, 8)
    made = _interpolation.recomputed(net, state, inputs, batch=12)
    seen = functional_call(net[0], {"weight": state["0.weight"]}, (inputs,))
    assert torch.allclose(made["1.running_mean"], seen.mean((0, 2, 3)), atol=1e-6)
    assert torch.equal(made["3.weight"], state["3.weight"])
    assert _interpolation.normalised(net)


def test_wise_ft_is_the_mixture_and_refuses_what_cannot_be_mixed(tmp_path: Path) -> None:
    options = {"norm": "group"}
    ends = {}
    for name, seed in ((START, 0), (TUNED, 1)):
        torch.manual_seed(seed)
        job = training_jobs.job("convnet", "erm", epochs=1, seed=seed, model_params=options)
        ends[name] = train_weights(job)[0]
    files = {
        Ref("checkpoints", name): training_jobs.write(tmp_path / f"{at}.safetensors", state)
        for at, (name, state) in enumerate(ends.items())
    }
    asked = {"start": "erm", "tuned": "tiny/convnet-tuned", "a": 0.25}
    job = training_jobs.job("convnet", "wise_ft", inputs=files, model_params=options, **asked)
    made, _ = train_weights(job)
    for name, tensor in made.items():
        assert np.allclose(tensor, 0.75 * ends[START][name] + 0.25 * ends[TUNED][name], atol=1e-6)
    with pytest.raises(ModelError, match="differ in"):
        _interpolation.check(ends[START], {}, "here")
