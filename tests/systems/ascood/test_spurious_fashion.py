"""Garments on textures that go with their class as often as said."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.systems.ascood.datasets import spurious_fashion


def originals(folder: Path, count: int = 900) -> dict[str, Path]:
    """Write noise in the layout of MNIST, Fashion-MNIST and the photos; labels go round."""
    noise = np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        (folder / name).mkdir()
        for part in ("train", "t10k"):
            images = noise.integers(1, 256, (count, 28, 28), np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes()
                (folder / name / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    (folder / spurious_fashion.PHOTOS).mkdir()
    for name in (*spurious_fashion.TEXTURES, spurious_fashion.NEW):
        photo = Image.fromarray(noise.integers(0, 256, (512, 512), np.uint8))
        photo.save(folder / spurious_fashion.PHOTOS / f"{name}.png")
    return {name: folder / name for name in spurious_fashion.SOURCES}


def test_textures_go_with_classes_as_often_as_said_and_the_rest_stays(tmp_path: Path) -> None:
    sources = originals(tmp_path)
    own: dict[float, dict[str, bool]] = {}
    for correlation in (0.5, 0.7, 0.9):
        options = {**defaults(spurious_fashion), "correlation": correlation}
        found = list(spurious_fashion.samples("train", sources, options))
        where = ("pullover on brick", "bag on grass")
        own[correlation] = {s.key: s.fields["meta"]["group"] in where for s in found}
        assert np.mean(list(own[correlation].values())) == pytest.approx(correlation, abs=0.08)
        if correlation == 0.9:
            tested = [s.key for s in spurious_fashion.samples("test", sources, options)]
    assert len(own[0.5]) == len(tested) == 180
    for low, high in pairwise((0.5, 0.7, 0.9)):  # who stands on the own texture stays there
        assert all(own[high][key] for key, here in own[low].items() if here)
    for part, count in (("digits", 900), ("garment", 90), ("texture", 900), ("near", 90)):
        options = {**defaults(spurious_fashion), "part": part}
        found = list(spurious_fashion.samples("test", sources, options))
        assert len(found) == count
        assert not {sample.key for sample in found} & {*tested}
        groups = {sample.fields["meta"]["group"].partition(" on ")[2] for sample in found}
        assert groups == ({"gravel"} if part == "near" else {"brick", "grass"})


def test_a_garment_hides_its_texture_and_test_crops_are_of_other_rows() -> None:
    texture = np.full((28, 28), 100, np.uint8)
    image = np.zeros((28, 28), np.uint8)
    image[:, 7:14], image[:, 14:] = 16, 200
    pasted = spurious_fashion.paste(image, texture)
    assert set(pasted[:, :7].ravel()) == {100}
    assert set(pasted[:, 14:].ravel()) == {200}
    assert 16 < pasted[0, 7] < 100
    ends = [end for split in ("train", "test") for end in spurious_fashion.ROWS[split]]
    assert all(a < b for a, b in pairwise(ends))
    photos = np.arange(2 * 80 * 256).reshape(2, 80, 256).astype(np.uint8)
    crops = spurious_fashion.cut(photos, np.array([1, 0]), np.array([[0.999999, 0.0], [0.5, 0.25]]))
    assert np.array_equal(crops[0], photos[1, 52:, :28])
    assert np.array_equal(crops[1], photos[0, 26:54, 57:85])
    for name, value in (("part", "out"), ("other", "bag"), ("correlation", 1.5)):
        with pytest.raises(ParamsError, match="spurious_fashion"):
            next(spurious_fashion.samples("train", {}, {**defaults(spurious_fashion), name: value}))
