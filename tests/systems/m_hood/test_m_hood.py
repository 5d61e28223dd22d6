"""m-hood: detectors trained on images without a box, scenes of strangers, morphs and guests, and YOLO's layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers import miniature_scenes
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.plugins.datasets import yolo_boxes
from shiftbench.plugins.models import centre_points, faster_rcnn
from shiftbench.plugins.models._boxes import Truth
from shiftbench.plugins.tasks import detection
from shiftbench.systems.m_hood.datasets import stranger_scenes
from shiftbench.workflow.plan import cards

# --- training on background -------------------------------------------------------------------------

FAMILIES = {
    "centre": lambda: centre_points.build({**defaults(centre_points), "size": 64, "width": 4}, 3),
    "fcos": lambda: centre_points.build({**defaults(centre_points), "size": 64, "width": 4, "head": "fcos"}, 3),
    "faster_rcnn": lambda: faster_rcnn.build({**defaults(faster_rcnn), "size": 64}, 3),
    "small_rcnn": lambda: faster_rcnn.build({**defaults(faster_rcnn), "size": 64, "backbone": "small"}, 3),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_without_a_box_trains(family: str) -> None:
    torch.manual_seed(0)
    net: Any = FAMILIES[family]().train()
    nothing = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    one = Truth(torch.tensor([[4.0, 4.0, 40.0, 40.0]]), torch.tensor([1]))
    update = torch.optim.SGD(net.parameters(), lr=1e-3)
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    for truths in ([nothing, nothing], [one, nothing]):
        loss = net.loss(images, truths)
        update.zero_grad()
        loss.backward()
        update.step()
        assert torch.isfinite(loss)
    assert all(torch.isfinite(part).all() for part in net.state_dict().values())
    net.eval()
    with torch.inference_mode():
        assert torch.isfinite(net.loss(images, [nothing, one]))
        assert all(len(found.features) == len(found.boxes) for found in net.detect(images))
        assert not net.training
        for found in net.detect(images):
            count = len(found.boxes)
            assert len(found.scores) == len(found.logits) == len(found.features) == count
            assert found.logits.shape[1] == 3


def test_a_faster_rcnn_that_is_none_is_refused() -> None:
    for wrong, message in (({"backbone": "resnet5"}, "mean resnet50"), ({"size": 8}, "size 8")):
        with pytest.raises(ParamsError, match=message):
            faster_rcnn.build({**defaults(faster_rcnn), **wrong}, 2)


# --- scenes -----------------------------------------------------------------------------------------


def test_morphs_are_made_of_items_and_are_none() -> None:
    from shiftbench.plugins.datasets._scenes import Items

    pixels = np.random.default_rng(0).integers(1, 255, (40, 28, 28)).astype(np.uint8)
    known = Items(pixels, np.arange(40) % 5)
    made = stranger_scenes.make_morphs(known, "train")
    assert (made.labels == -1).all()
    assert len(np.unique(made.pixels.reshape(len(made.pixels), -1), axis=0)) > 400
    own = {item.tobytes() for item in pixels}
    assert not own & {item.tobytes() for item in made.pixels}


@pytest.mark.network
def test_guests_are_added_to_scenes_that_stay_and_images_of_a_series_are_paired(tmp_path: Path) -> None:
    from shiftbench.base.errors import FetchError
    from shiftbench.workflow.stages.fetch import fetch

    sources = {}
    for source in stranger_scenes.SOURCES:
        sources[source] = tmp_path / source
        try:
            fetch(source, sources[source], [], offline=False)
        except FetchError as error:
            pytest.skip(f"originals are not at hand: {error}".splitlines()[0])
    base = {**defaults(stranger_scenes), "test": 40, "pasted": ["sneaker"], "side": 64}
    base |= {"names": ["t_shirt", "coat"], "sizes": [20, 28], "series": "near", "objects": [1, 2]}
    sets = {
        share: list(stranger_scenes.samples("test", sources, {**base, "guests": share, "name": name}))
        for share, name in ((0.0, "near"), (0.25, "near_25"), (1.0, "near_all"))
    }
    for clean, some, every in zip(*sets.values(), strict=True):
        assert clean.fields["boxes"] == []
        assert clean.fields["meta"] == some.fields["meta"] == every.fields["meta"]
        same = np.array_equal(clean.fields["image"], some.fields["image"])
        assert same == (not some.fields["boxes"])
        changed = (clean.fields["image"] != every.fields["image"]).any(axis=2)
        for box in every.fields["boxes"]:
            x, y, w, h = map(int, box["box"])
            changed[y : y + h, x : x + w] = False
        assert not changed.any()
    count = sum(bool(sample.fields["boxes"]) for sample in sets[0.25])
    assert 3 <= count <= 18
    with pytest.raises(ParamsError, match="guests is 2"):
        list(stranger_scenes.samples("test", sources, {**base, "guests": 2.0, "name": "x"}))


@pytest.mark.parametrize("scale", ["embedded", "smoke"])
def test_proximal_and_near_sets_share_no_category_and_calibration_is_not_tested(scale: str) -> None:
    params = cards.load("m-hood").params[scale]
    sets = params["datasets"]
    groups = [sets["clothes"]["names"], sets["strangers"]["pasted"], sets["near"]["pasted"]]
    assert len({name for group in groups for name in group}) == sum(map(len, groups)) == 10
    assert sets["near_13"] == {**sets["near"], "guests": 0.13}
    held = params["methods"]["filtered"]["calibration"]
    tested = {shift["dataset"] for shift in params["shifts"].values()}
    assert held not in tested | {benchmark["dataset"] for benchmark in params["benchmarks"].values()}


def test_pools_are_the_shares_that_the_paper_has() -> None:
    """5, 10, 15 and 20%, of 1277 images there (63 to 255) and of 300 here."""
    for scale, whole in (("embedded", 300), ("full", 1277)):
        trainers = cards.load("m-hood").params[scale]["trainers"]
        for share in (5, 10, 15, 20):
            few = trainers[f"few_{share:02d}"]
            assert few["extra_subset"] == whole * share // 100
            same = trainers["proximal" if scale == "embedded" else "proximal_bdd"]
            assert {**few, "extra_subset": 0} == {**same, "extra_subset": 0}


# --- YOLO's layout ----------------------------------------------------------------------------------


def test_yolo_s_layout_is_read(tmp_path: Path) -> None:
    _, given = miniature_scenes.yolo_boxes(tmp_path)
    params = {**defaults(yolo_boxes), **given, "name": "bdd"}
    assert yolo_boxes.classes(params, {}) == ("car", "bus")
    train = list(yolo_boxes.samples("train", {}, params))
    test = list(yolo_boxes.samples("test", {}, params))
    counts = [len(sample.fields["boxes"]) for sample in train]  # of 0, 1, 10, 11, 12, ...
    assert counts[:5] == [1, 2, 2, 0, 1]
    first = train[0]
    assert first.key == "bdd/train/day/0"
    assert first.fields["boxes"][0] == {"box": [10.0, 9.0, 20.0, 18.0], "label": 0}
    for sample in (*train, *test):
        detection.check(sample, ["car", "bus"])
    background = {**params, "like": params["path"], "unlabelled": True}
    assert not any(s.fields["boxes"] for s in yolo_boxes.samples("train", {}, background))
    assert len(yolo_boxes.wants("test", params)) == 2


def test_what_is_wrong_with_yolo_s_layout_is_said(tmp_path: Path) -> None:
    _, given = miniature_scenes.yolo_boxes(tmp_path)
    params = {**defaults(yolo_boxes), **given, "name": "bdd"}
    with pytest.raises(ParamsError, match="path is missing"):
        yolo_boxes.classes(dict(defaults(yolo_boxes)), {})
    with pytest.raises(DataError, match="does not exist"):
        yolo_boxes.classes({**params, "path": str(tmp_path / "no.yaml")}, {})
    with pytest.raises(DataError, match="has no folder `test:`"):
        list(yolo_boxes.samples("test", {}, {**params, "test_split": "test"}))
    lines = tmp_path / "x.txt"
    for text, message in (
        ("0 0.5 0.5", "line 1: '0 0.5 0.5'; expected `class cx cy w h`"),
        ("0 a 1 1 1", "expected `class cx cy w h`"),
        ("\n2 0.5 0.5 0.1 0.1", r"line 2: class 2; there are 2 \(0 to 1\)"),
        ("1 5 0.5 0.1 0.1", "expected shares of width and height"),
    ):
        lines.write_text(text)
        with pytest.raises(DataError, match=message):
            yolo_boxes.boxes(lines, (10, 10, 3), 2)
    with pytest.raises(DataError, match="no folder of its path is called images"):
        yolo_boxes.labels_of(Path("/a/b.jpg"))
    label = tmp_path / "yolo/labels/train/day/0.txt"
    label.write_text("9 0.5 0.5 0.1 0.1")
    (first, *_) = yolo_boxes.samples("train", {}, params)
    assert isinstance(first, DataError)
    names = tmp_path / "odd.yaml"
    for text, message in (
        ("names: {1: car}", "numbered"),
        ("train: x", "names no classes"),
        ("- x", "no mapping"),
        ("a: [", "not valid YAML"),
    ):
        names.write_text(text)
        with pytest.raises(DataError, match=message):
            yolo_boxes.classes({**params, "path": str(names)}, {})
