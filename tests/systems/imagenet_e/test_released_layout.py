"""ImageNet-E as released is read, paired and refused where it is not whole."""

from pathlib import Path
from typing import Any

import pytest

from makers import miniature_originals
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.workflow.plan import cards

RELEASED = registry.find("datasets", "imagenet_e")


def released(folder: Path, **options: Any) -> list[Sample]:
    given = {**defaults(RELEASED), "root": str(folder), **options}
    return list(RELEASED.samples("test", {}, given))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return a miniature of the release: originals and a crop as JPEG, two edits as PNG."""
    kinds = {"ori": "JPEG", "full": "JPEG", "busier_20": "png", "size_0.05": "png"}
    miniature_originals.edited(tmp_path, kinds)
    (tmp_path / "eval.py").write_text("")
    return tmp_path


def test_release_is_read_and_edits_are_paired(release: Path) -> None:
    folders = ("ori", "full", "busier_20", "size_0.05")
    found = {e: released(release, edit=e, severity=20.0) for e in folders}
    keys = [[s.key for s in part] for part in found.values()]
    assert keys == [keys[0]] * 4
    assert keys[0][0] == "imagenet_e/test/ILSVRC2012_val_00000007"
    for edit, part in found.items():
        assert [s.fields["label"] for s in part] == [0, 200, 400, 600, 800]
        kind = "png" if edit[0] in "bs" else "jpeg"
        assert {tuple(s.fields["meta"].values()) for s in part} == {(edit, "20", kind)}
    cut = released(release, edit="busier_20", shorter=8, side=6)
    assert {s.fields["image"].shape for s in cut} == {(6, 6, 3)}
    assert set(RELEASED.wants("test", {**defaults(RELEASED), "root": "/r"})) == {"/r/ori", "/r/labels.txt"}


@pytest.mark.usefixtures("in_pristine")
def test_nets_of_the_full_scale_exist_and_their_preprocessing_is_their_own() -> None:
    timm = pytest.importorskip("timm")
    from torchvision import models

    for of in cards.load("imagenet-e").params["full"]["models"].values():
        if of["use"] == "torchvision":
            given = {**defaults(registry.find("models", "torchvision")), **of}
            own = models.get_model_weights(of["name"])[given["weights"]].transforms()
            found = (int(given["size"] / given["crop"]), given["size"], given["interpolation"])
            assert found == (*own.resize_size, *own.crop_size, own.interpolation.value)
        elif of["use"] == "timm":
            own = timm.get_pretrained_cfg(of["name"])
            given = {**defaults(registry.find("models", "timm")), **of}
            assert own.num_classes == 1000
            found = (given["size"], given["crop"], given["interpolation"], *given["mean"])
            assert found == (own.input_size[1], own.crop_pct, own.interpolation, *own.mean)


def test_release_that_is_not_whole_is_told(release: Path) -> None:
    with pytest.raises(DataError, match="no edit 'buiser_20' .did you mean busier_20.*full, ori, size_0.05"):
        released(release, edit="buiser_20")
    with pytest.raises(ParamsError, match="root is missing"):
        list(RELEASED.samples("test", {}, defaults(RELEASED)))
    with pytest.raises(DataError, match="nowhere is not a folder"):
        released(release / "nowhere")
    lines = (release / "labels.txt").read_text()
    for wrong, why in (
        (lines.split("\n", 1)[1], "has no label for ILSVRC2012_val_00000007"),
        (lines + "x.JPEG 5\n", "line 6: 'x.JPEG 5' is no file name, tab"),
        (lines + "x.JPEG\t1000\n", "index of 0 to 999"),
    ):
        (release / "labels.txt").write_text(wrong)
        with pytest.raises(DataError, match=why):
            released(release)
    (release / "labels.txt").write_text(lines)
    gone = release / "size_0.05/ILSVRC2012_val_00000009.png"
    gone.unlink()
    with pytest.raises(DataError, match="size_0.05 holds 4 images, .*ori 5; 1 are in one of them only"):
        released(release)
    gone.write_bytes(b"no image")
    (bad,) = [s for s in released(release, edit="size_0.05") if isinstance(s, DataError)]
    assert "ILSVRC2012_val_00000009" in str(bad)
