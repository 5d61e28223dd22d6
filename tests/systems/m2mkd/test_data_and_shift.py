"""Tiny-ImageNet's files in both layouts, renditions by synset; the edge drawing in floats; loads; equal compute."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.utils.flop_counter import FlopCounterMode

from makers import m2mkd_miniature
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.m2mkd.analyses import expert_load
from shiftbench.systems.m2mkd.datasets import tiny_imagenet
from shiftbench.systems.m2mkd.models import modular_vit
from shiftbench.systems.m2mkd.shifts import edge_drawing
from shiftbench.workflow.plan import cards


def labels(split: str, params: dict[str, Any]) -> dict[str, int]:
    options = defaults(tiny_imagenet) | params
    found = list(tiny_imagenet.samples(split, {}, options))
    return {s.key: s.fields["label"] for s in found if isinstance(s, Sample)}


def test_labels_go_by_synset_not_by_the_order_of_lines(tmp_path: Path) -> None:
    _, params = m2mkd_miniature.tiny_imagenet(tmp_path)
    root, synsets = Path(params["root"]), m2mkd_miniature.SYNSETS
    assert tiny_imagenet.classes(defaults(tiny_imagenet) | params, {}) == synsets
    train = labels("train", params)
    assert len(train) == 40
    assert all(synsets[label] == key.split("/")[2] for key, label in train.items())
    tested = labels("test", params)
    assert tested["tiny_imagenet/test/val_1"] == synsets.index(m2mkd_miniature.UNSORTED[10]) == 11
    (root / "val" / "val_annotations.txt").unlink()
    for at, synset in enumerate(m2mkd_miniature.UNSORTED[::10]):
        (root / "val" / synset).mkdir()
        shutil.move(root / "val" / "images" / f"val_{at}.JPEG", root / "val" / synset)
    assert sorted(labels("test", params).values()) == sorted(tested.values())


def test_renditions_share_classes_by_name(tmp_path: Path) -> None:
    params = defaults(tiny_imagenet) | m2mkd_miniature.renditions(tmp_path)
    names = tiny_imagenet.classes(params, {})
    assert set(names) < set(m2mkd_miniature.SYNSETS)
    assert len(names) == len(labels("test", params)) == 62
    assert not labels("train", params)
    assert [*tiny_imagenet.wants("test", params)] == [params["root"]]
    m2mkd_miniature.picture(Path(params["root"]) / "n9" / "x.png", 1)
    with pytest.raises(DataError, match="has 63 synsets"):
        tiny_imagenet.classes(params, {})
    with pytest.raises(ParamsError, match="root is missing"):
        labels("train", {})


def test_edges_are_those_of_floats() -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    smooth = ndimage.gaussian_filter(image.astype(float), 1.5)
    image = np.clip(3 * (smooth - smooth.mean()) + 128, 0, 255).astype(np.uint8)
    size = np.hypot(*(ndimage.sobel(image.astype(float), axis, mode="nearest") for axis in (0, 1)))
    for severity in (1.5, 3.0, 5.0):
        wanted = (1 - severity / 5) * image + severity / 5 * 255 * size / size.max()
        ours = edge_drawing.apply(image, severity, RandomStream(0, "s", "d", "k"))
        assert np.abs(ours - wanted).max() <= 2, severity
    colour = edge_drawing.apply(np.stack([image] * 3, -1), 3.0, RandomStream(0, "s", "d", "k"))
    assert (
        np.abs(colour[..., 1].astype(int) - edge_drawing.apply(image, 3.0, RandomStream(0, "s", "d", "k"))).max() <= 1
    )
    flat = np.full((8, 8), 90, np.uint8)
    assert not edge_drawing.apply(flat, 5.0, RandomStream(0, "s", "d", "k")).any()


def embedded(model: str) -> Any:
    models = cards.load("m2mkd").params["embedded"]["models"]
    torch.manual_seed(0)
    return modular_vit.build(defaults(modular_vit) | {k: v for k, v in models[model].items() if k != "use"}, 10)


def operations(step: Any) -> int:
    with FlopCounterMode(display=False) as counted:
        step().logsumexp(1).mean().backward()
    return counted.get_total_flops()


def test_the_longer_baseline_has_the_operations_of_both_phases() -> None:
    """As the method needs them, every epoch anew: the memo of frozen outputs only saves time."""
    meta, teacher, student, stitched = map(embedded, ("meta", "teacher", "vmoe", "vmoe_stitched"))
    for net in (meta, teacher):
        net.requires_grad_(False)
    images = torch.randint(0, 256, (32, 1, 28, 28))

    def pair(at: int) -> torch.Tensor:
        tail = (lambda x: meta.run(x, at + 1, 3)) if at < 2 else lambda x: x
        with torch.no_grad():
            tokens = meta.run(images, 0, at) if at else images
            tail(teacher.run(tokens, at, at + 1))
        return tail(stitched.run(tokens, at, at + 1))

    whole = operations(lambda: student(images))
    pairs = sum(operations(lambda at=at: pair(at)) for at in range(3))
    trainers = cards.load("m2mkd").params["embedded"]["trainers"]
    wanted = trainers["e2e"]["epochs"] + trainers["pairs"]["epochs"] * pairs / whole
    assert abs(trainers["e2e_matched"]["epochs"] - wanted) < 0.5
    assert trainers["e2e"]["epochs"] == trainers["m2mkd"]["epochs"] == trainers["m2mkd_shuffled"]["epochs"]


def test_loads_of_experts() -> None:
    net = embedded("vmoe").eval()
    inputs = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8)
    even = expert_load.loads(net, inputs)
    assert len(even) == 3
    assert all(0.3 < load <= 1 for load in even)
    net.blocks[1].moe.gate.weight.data.zero_()
    net.blocks[1].moe.gate.bias.data = torch.tensor([2.0, 1.0, 0.0, -1.0])
    assert expert_load.loads(net, inputs)[1] == pytest.approx(0.5)  # two of four see all
    assert expert_load.loads(embedded("meta"), inputs) == []
