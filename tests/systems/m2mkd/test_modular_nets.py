"""Modular nets: experts as fastmoe has them, modules make up the net, released files, shapes of the paper's nets."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax

from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.systems.m2mkd.models import modular_vit
from shiftbench.systems.m2mkd.models._blocks import Mixture

SMALL: dict[str, Any] = {"width": 8, "heads": 2, "pool": "mean", "spread": 0.2}


def net(classes: int = 4, **options: Any) -> Any:
    torch.manual_seed(0)
    return modular_vit.build(defaults(modular_vit) | SMALL | options, classes).eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8)


def released_mixture(mixture: Mixture, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`NaiveGate`, `FMoE.forward` and `_Expert` of fastmoe, token by token in float64."""
    of = {name: p.detach().double().numpy() for name, p in mixture.named_parameters()}
    told = np.zeros_like(x)
    for at, token in enumerate(x):
        gate = of["gate.weight"] @ token + of["gate.bias"]
        chosen = np.argsort(-gate)[: mixture.top_k]
        for expert, share in zip(chosen, softmax(gate[chosen]), strict=True):
            inner = of["htoh4.weight"][expert] @ token + of["htoh4.bias"][expert]
            active = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
            told[at] += share * (of["h4toh.weight"][expert] @ active + of["h4toh.bias"][expert])
    return told


def test_experts_are_mixed_as_released_and_begin_so() -> None:
    torch.manual_seed(1)
    mixture = Mixture(6, 12, 4, 2)
    for part in (mixture.htoh4, mixture.h4toh):
        part.bias.data.normal_()
        assert part.weight.abs().max() <= 1 / np.sqrt(72) < 1.05 * part.weight.abs().max()
    tokens = torch.randn(2, 5, 6)
    ours = mixture(tokens).detach().numpy().reshape(10, 6)
    assert np.abs(ours - released_mixture(mixture, tokens.double().numpy().reshape(10, 6))).max() < 1e-6
    with pytest.raises(ParamsError, match="top_k is 5"):
        Mixture(6, 12, 4, 5)


def test_modules_make_up_the_net_and_own_its_tensors() -> None:
    whole, x = net(depths=[2, 1, 3]), images()
    tokens = whole.run(whole.run(x, 0, 1), 1, 2)
    assert torch.equal(whole.run(tokens, 2, 3), whole(x))
    assert torch.equal(whole.head(whole.features(x)), whole(x))
    assert torch.equal(whole.through(whole.run(x, 0, 1), 1, 1), tokens)
    owners = {name: whole.owner(name) for name in whole.state_dict()}
    assert {owners[n] for n in ("pos_embed", "patch_embed.proj.weight", "blocks.1.norm1.bias")} == {0}
    assert owners["blocks.2.attn.qkv.weight"] == 1
    assert {owners[n] for n in ("blocks.3.mlp.fc1.weight", "norm.weight", "head.bias")} == {2}
    assert "cls_token" in net(pool="class").state_dict()


def test_stitches_stand_between_modules_alone() -> None:
    names = [name for name in net(depths=[2, 2, 2], stitch=16).state_dict() if modular_vit.is_stitch(name)]
    places = sorted({".".join(name.split(".")[:3]) for name in names})
    assert places == [f"blocks.{at}" for at in ("1.post_stitch", "2.pre_stitch", "3.post_stitch", "4.pre_stitch")]
    assert net(stitch=16).run(torch.zeros(1, 16, 16), 1, 2).shape == (1, 16, 16)


def test_dropped_paths_grow_the_rest() -> None:
    drop = net(drop_path=0.5).train().blocks[2].drop_path
    seen = drop(torch.ones(2000, 3, 2))
    assert set(seen.unique().tolist()) == {0.0, 2.0}
    assert abs(seen.mean() - 1) < 0.1


def test_released_files_load() -> None:
    """`save_model` keeps every tensor twice, and fastmoe each expert under a name of its own."""
    ours = net(experts=2, pool="class")
    state = ours.state_dict()
    released: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        kind = name.split(".")[3] if ".moe." in name else ""
        if kind in ("htoh4", "h4toh"):
            for expert in range(2):
                own = name.replace(".moe.", f".moe.experts.{expert}.")
                released[own] = tensor[expert : expert + 1]
        else:
            released[name.replace(".moe.gate.", ".moe.gate.gate.")] = tensor
    doubled = {f"module.{k}": v for k, v in released.items()} | {"stages.0.cls_token": state["cls_token"]}
    found = ours.adopt(doubled)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def count(tensors: Any) -> int:
    return sum(tensor.numel() for tensor in tensors)


def test_nets_of_the_paper_have_its_shapes() -> None:
    """Facts of `vmoe.py`, `TRAIN-MOE.md` and `TRAIN-NAC.md`, on the meta device."""
    full = defaults(modular_vit) | {
        "size": 224, "channels": 3, "patch": 16, "mean": [0.5] * 3, "std": [0.5] * 3, "mlp": 4,
    }  # fmt: skip
    base = {**full, "width": 768, "depths": [3, 3, 3, 3], "heads": 12, "experts": 8}
    large = {**full, "width": 1024, "depths": [6, 6, 6, 6], "heads": 16}
    huge = {**full, "patch": 14, "width": 1280, "heads": 16, "qkv_bias": False, "depths": [4, *[3] * 8, 4]}
    with torch.device("meta"):
        student, deit_large, deit_huge = (modular_vit.build(one, 1000).state_dict() for one in (base, large, huge))
    assert count(student.values()) == 86_567_656 + 12 * (768 * 8 + 8 + 7 * (2 * 768 * 3072 + 3840))
    assert student["blocks.11.moe.htoh4.weight"].shape == (8, 3072, 768)
    assert count(deit_large.values()) == 304_326_632  # timm's vit_large_patch16_224
    assert count(deit_huge.values()) == 632_045_800 - 32 * 3 * 1280  # vit_huge_patch14_224 without biases of qkv
    assert deit_huge["pos_embed"].shape == (1, 257, 1280)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ParamsError, match="pool is"):
        net(pool="max")
    with pytest.raises(ParamsError, match="no multiple of patch"):
        net(patch=8)
