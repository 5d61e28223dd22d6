"""Nets of the full scale: a checkpoint as solo-learn writes it, and a ViT for 64 px."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.evaluation import nets

RENAME = {"backbone.": "", "projector.": None, "momentum_backbone.": None, "classifier.": None}


def test_a_checkpoint_of_solo_learn_begins_a_resnet(tmp_path: Path) -> None:
    """`state_dict` of a Lightning file: `backbone.` is torchvision's net without `fc`, the rest is thrown away."""
    torch.manual_seed(1)
    inner = {n: t for n, t in models.resnet18().state_dict().items() if not n.startswith("fc.")}
    state = {f"backbone.{name}": tensor for name, tensor in inner.items()}
    state |= {f"momentum_{name}": tensor + 1 for name, tensor in state.items()}
    state |= {"projector.0.weight": torch.ones(4, 512), "classifier.weight": torch.ones(9, 512)}
    file = tmp_path / "simclr-ep=399.ckpt"
    torch.save({"state_dict": state, "epoch": 399}, file)
    checkpoint = registry.find("models", "checkpoint")
    params: dict[str, Any] = defaults(checkpoint) | {
        "path": str(file),
        "net": "torchvision",
        "options": {"name": "resnet18"},
        "rename": RENAME,
    }
    net = checkpoint.build(params, 9)
    nets.load_into(net, net.adopt(checkpoint.pretrained(params, {})), file)
    assert torch.equal(net.body.conv1.weight, inner["conv1.weight"])
    assert net.head.weight.abs().max() == 0


def test_a_vit_of_sixteen_patches_has_features_and_a_head() -> None:
    pytest.importorskip("timm")
    vit = registry.find("models", "vit_small_patches")
    net: Any = vit.build(defaults(vit) | {"name": "vit_tiny_patch16_224"}, 9)
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    with torch.no_grad():
        assert net.features(images).shape == (2, 192)
        assert net(images).shape == (2, 9)
    assert net.body.pos_embed.shape == (1, 17, 192)
    assert defaults(vit)["name"] == "vit_small_patch16_224"
