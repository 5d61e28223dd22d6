"""Released backbones under the names of their releases, in miniature: with a head, without one, beside projections."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.errors import ModelError
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.workflow.stages.train import train_weights

RESNET = {"name": "resnet18", "size": 64}
VIT = {"name": "vit_tiny_patch16_224"}
ONE = torch.ones(2)


def vit_names(depth: int = 12) -> set[str]:
    """The tensors of DINO's, MAE's and iBOT's ViT, as their repositories name them."""
    parts = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    layers = ["patch_embed.proj", "norm", *(f"blocks.{n}.{part}" for n in range(depth) for part in parts)]
    return {"cls_token", "pos_embed", *(f"{name}.{kind}" for name in layers for kind in ("weight", "bias"))}


def body(state: nets.State, head: str) -> nets.State:
    return {name: tensor for name, tensor in state.items() if not name.startswith(head)}


def loaded(tmp_path: Path, content: Any, net: str, options: Any, **more: Any) -> nets.State:
    """Return the weights that the trainer `pretrained` makes of a file."""
    torch.save(content, tmp_path / "released.pth")
    params = {"path": str(tmp_path / "released.pth"), "net": net, "options": options, **more}
    state, _ = train_weights(training_jobs.job("checkpoint", "pretrained", model_params=params))
    return state


def resnet() -> nets.State:
    from torchvision.models import resnet18

    torch.manual_seed(1)
    state: nets.State = resnet18(num_classes=4).state_dict()
    return state


RESNETS = {
    "with its head": (lambda s: s, {}),
    "DINO": (lambda s: {"state_dict": body(s, "fc.")}, {}),
    "SwAV": (
        lambda s: {
            **{f"module.{name}": tensor for name, tensor in body(s, "fc.").items()},
            **{f"module.projection_head.{n}.weight": ONE for n in (0, 1, 3)},
            "module.prototypes.weight": ONE,
        },
        {"module.": "", "module.projection_head.": None, "module.prototypes.": None},
    ),
    "MoCo v3": (
        lambda s: {
            "epoch": 300,
            "arch": "resnet50",
            "state_dict": {
                **{f"module.base_encoder.{name}": t for name, t in body(s, "fc.").items()},
                **{f"module.momentum_encoder.{name}": -t for name, t in body(s, "fc.").items()},
                "module.base_encoder.fc.0.weight": ONE,
                "module.predictor.0.weight": ONE,
            },
        },
        {"module.base_encoder.": "", "module.base_encoder.fc.": None, "module.": None},
    ),
    "COOkeD": (
        lambda s: {name if name.startswith("fc.") else f"backbone.{name}": t for name, t in s.items()},
        {"backbone.": ""},
    ),
}


@pytest.mark.parametrize("release", RESNETS)
def test_a_resnet_is_loaded_from_each_release(release: str, tmp_path: Path) -> None:
    written, rename = RESNETS[release]
    whole = resnet()
    state = loaded(tmp_path, written(whole), "torchvision", RESNET, rename=rename)
    assert all(torch.equal(state[f"body.{name}"], t) for name, t in body(whole, "fc.").items())
    has_head = release in ("with its head", "COOkeD")
    assert torch.equal(state["head.weight"], whole["fc.weight"] * has_head)
    assert torch.equal(state["head.bias"], whole["fc.bias"] * has_head)


def test_a_vision_transformer_of_cooked_has_its_head_beside_the_backbone(tmp_path: Path) -> None:
    from torchvision.models import VisionTransformer

    small = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8, "num_classes": 4}
    whole = VisionTransformer(image_size=32, patch_size=16, **small).state_dict()
    written = {
        f"fc.{name.rpartition('.')[2]}" if "heads" in name else f"backbone.{name}": t for name, t in whole.items()
    }
    renamed = registry.find("models", "checkpoint").renamed(written, {"backbone.": "", "fc.": "heads.head."})
    assert {name: id(t) for name, t in renamed.items()} == {n: id(t) for n, t in whole.items()}


@pytest.mark.parametrize(("pool", "of"), [("", "token"), ("token", "token"), ("mean", "patches")])
def test_a_headless_vision_transformer_is_pooled_as_asked(pool: str, of: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(2)
    state = body(timm.create_model(VIT["name"], num_classes=4).state_dict(), "head.")
    assert state.keys() == vit_names()
    options = {**VIT, "pool": pool}
    found = loaded(tmp_path, {"model": state}, "timm", options)  # nested as MAE's file is
    assert not found["head.weight"].any()
    model = registry.find("models", "timm")
    params = {**defaults(model), **options}
    net: Any = model.build(params, 4)
    nets.load_into(net, found, "here")
    batch = torch.from_numpy(nets.prepare(model, training_jobs.pictures(2, size=40, colour=True), params))
    with torch.inference_mode():
        tokens = net.eval().body.forward_features(batch.float() * net.scale - net.mean)
        seen = net.features(batch)
    expected = tokens[:, 0] if of == "token" else tokens[:, 1:].mean(1)
    assert torch.allclose(seen, expected, atol=1e-5)


def test_what_a_net_lacks_or_does_not_know_is_told(tmp_path: Path) -> None:
    whole = resnet()
    for content, rename, message in (
        (body(whole, "conv1."), {}, r"body.conv1.weight is missing"),
        ({**body(whole, "fc."), "fc.weight": whole["fc.weight"]}, {}, "head.bias is missing"),
        ({**whole, "projection.weight": ONE}, {}, "body.projection.weight is unknown"),
        (whole, {"prototypes.": None}, "no tensor's name begins with 'prototypes.'"),
    ):
        with pytest.raises(ModelError, match=message):
            loaded(tmp_path, content, "torchvision", RESNET, rename=rename)
    pytest.importorskip("timm")
    timm = registry.find("models", "timm")
    for wrong, message in (
        ({**VIT, "pool": "men"}, "pool is 'men'; did you mean mean"),
        ({"name": "resnet18", "pool": "mean"}, "timm: resnet18 has no pool 'mean'"),
    ):
        with pytest.raises(ModelError, match=message):
            timm.build({**defaults(timm), **wrong}, 4)


# --- heads that were released alone --------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> tuple[nets.State, dict[Any, Path]]:
    state, _ = train_weights(training_jobs.job("convnet", "random_init"))
    needed = registry.find("trainers", "released_head").needs(
        {**defaults(registry.find("trainers", "released_head")), "dataset": "tiny", "model": "convnet", "seed": 0}
    )
    return state, {needed[0]: training_jobs.write(tmp_path / "start.safetensors", state)}


def test_a_released_head_stands_on_the_net_that_it_was_fitted_on(start: Any, tmp_path: Path) -> None:
    state, inputs = start
    probe = {"fc.weight": torch.randn(4, 96), "fc.bias": torch.randn(4)}
    file = tmp_path / "cifar100_none_224x224_e20_lr0.1_loss_cls_probe.ckpt"
    torch.save(probe, file)  # as COOkeD's are
    made, _ = train_weights(training_jobs.job("convnet", "released_head", inputs=inputs, path=str(file)))
    assert torch.equal(made["head.weight"], probe["fc.weight"])
    assert torch.equal(made["head.bias"], probe["fc.bias"])
    assert all(torch.equal(made[name], t) for name, t in body(state, "head.").items())
    for wrong, message in (
        ({"fc.weight": torch.zeros(5, 96), "fc.bias": torch.zeros(5)}, "5 classes, and tiny has 4"),
        ({"fc.weight": torch.zeros(4, 95), "fc.bias": torch.zeros(4)}, r"is \(4, 95\), expected"),
        ({**probe, "backbone.conv1.weight": ONE}, "holds backbone.conv1.weight, fc.bias, fc.w"),
    ):
        torch.save(wrong, file)
        with pytest.raises(ModelError, match=message):
            train_weights(training_jobs.job("convnet", "released_head", inputs=inputs, path=str(file)))


def test_a_probe_by_sgd_is_the_loop_written_out_and_holds_no_split(start: Any, tmp_path: Path) -> None:
    """Against plain numpy: softmax, momentum, a cosine; images are read from shards, never asked for as a list."""
    from shiftbench.base.rng import RandomStream
    from shiftbench.plugins.trainers import _sgd_head

    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 5)).astype(np.float32), random.integers(0, 3, 30)
    weight, bias = _sgd_head.fit(x, y, 3, (0, "t", "d"), epochs=2, batch=8, lr=0.1)
    w, v, step = np.zeros((3, 6)), np.zeros((3, 6)), 0
    ones = np.concatenate([x, np.ones((30, 1))], axis=1)
    for epoch in range(2):
        order = RandomStream(0, "t", "d", f"{epoch}/order").choice(30)
        for rows in np.array_split(order, 4):
            logits = ones[rows] @ w.T
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            gradient = (p - np.eye(3)[y[rows]]).T @ ones[rows] / len(rows)
            v = 0.9 * v + gradient
            w -= 0.1 * (1 + np.cos(np.pi * step / 8)) / 2 * v
            step += 1
    assert np.concatenate([weight, bias[:, None]], axis=1) == pytest.approx(w, abs=1e-5)

    _, inputs = start
    made = training_jobs.job("convnet", "linear_probe", inputs=inputs, solver="sgd", batch=16, batch_size=8, epochs=40)
    about = {"task": "classification", "classes": list(training_jobs.CLASSES), "dataset": "tiny"}
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        fields = registry.find("tasks", "classification").FIELDS
        kept = sorted(made.samples(split), key=lambda sample: sample.key)
        shards.write(kept, tmp_path / split, fields, {**about, "split": split}, 10**8)
    made = replace(made, samples=None, folder=tmp_path.joinpath)  # type: ignore[arg-type]
    state, log = train_weights(made)
    assert {name: value for _, name, value in log}["val_accuracy"] > 0.9
    assert state["head.weight"].shape == (4, 96)
