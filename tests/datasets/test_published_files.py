"""Data sets in the files of their publishers: ImageNet, CIFAR, idx, VADER's texts, twelve classes of pictures."""

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from makers import miniature_originals, small_files
from makers.read_samples import good, read
from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins.datasets import _arrays, _twelve, _vader


def test_imagenet_is_cut_as_imagenet_c_was_made(tmp_path: Path) -> None:
    """The middle square of what torchvision's Resize makes."""
    from torchvision.transforms import CenterCrop, Resize

    module = registry.find("datasets", "imagenet")
    sources, options = miniature_originals.imagenet(tmp_path)
    asked = {**defaults(module), **options, "shorter": 32, "side": 24}
    cut = next(iter(module.samples("test", sources, asked)))
    file = next(iter(sorted((tmp_path / "imagenet/val/n01440764").iterdir())))
    with Image.open(file) as picture:
        expected = np.asarray(CenterCrop(24)(Resize(32)(picture.convert("RGB"))))
    assert np.array_equal(cut.fields["image"], expected)
    with pytest.raises(ParamsError, match="side 64 cannot be cut from images of 32"):
        list(module.samples("test", sources, {**asked, "side": 64}))


def test_imagenet_labels_follow_the_synset_not_the_position(tmp_path: Path) -> None:
    module = registry.find("datasets", "imagenet")
    with pytest.raises(ParamsError, match="imagenet: option root is missing"):
        read(module, "train", ({}, {}))
    for synset in ("n15075141", "n01443537"):
        (tmp_path / "val" / synset).mkdir(parents=True)
        small_files.picture(int(synset[-3:])).save(tmp_path / "val" / synset / "a.JPEG")
    made = ({}, {"root": str(tmp_path), "complete": False})
    found = good(read(module, "test", made))
    assert {s.key: s.fields["label"] for s in found} == {"mine/test/n01443537/a": 1, "mine/test/n15075141/a": 999}
    assert module.classes({}, {})[1] == "goldfish"
    with pytest.raises(DataError, match="lacks 998 of 1000 synsets, first n01440764"):
        read(module, "test", ({}, {"root": str(tmp_path)}))
    (tmp_path / "val/cats").mkdir()
    with pytest.raises(DataError, match="holds the folder 'cats', which is no synset"):
        read(module, "test", made)


def test_cifar_is_decoded_as_published_and_duplicates_are_dropped(tmp_path: Path) -> None:
    module = registry.find("datasets", "cifar10")
    planes = np.stack([np.full((32, 32), value, np.uint8) for value in (10, 20, 30)])
    same = {b"data": planes.reshape(1, 3072), b"labels": [3]}
    members = {name: pickle.dumps(same) for part in module.MEMBERS.values() for name in part}
    small_files.tar(tmp_path / "cifar-10-python.tar.gz", members, "w:gz")
    made = ({"cifar10": tmp_path}, {})
    test = good(read(module, "test", made))
    assert test[0].key == "cifar10/test/000000"
    assert test[0].fields["label"] == 3
    assert test[0].fields["image"][5, 7].tolist() == [10, 20, 30]
    assert read(module, "train", made) == []
    small_files.tar(tmp_path / "cifar-10-python.tar.gz", {"x": b""}, "w:gz")
    with pytest.raises(DataError, match="holds no cifar-10-batches-py/test_batch"):
        read(module, "test", made)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("code ran",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_may_hold_arrays_only(protocol: int) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    kept = _arrays.unpickle(io.BytesIO(pickle.dumps({"a": [array]}, 4)), "toy")
    assert (kept["a"][0] == array).all()
    with pytest.raises(DataError, match=r"toy: not a pickle of arrays: .*print is not allowed"):
        _arrays.unpickle(io.BytesIO(pickle.dumps(Evil(), protocol)), "toy")
    with pytest.raises(DataError, match="toy: not a pickle of arrays"):
        _arrays.unpickle(io.BytesIO(b""), "toy")


def test_idx_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "t10k-labels"
    path.write_bytes(b"\0\0\x08\x01\0\0\0\x03abc")
    assert _arrays.read_idx(path).tolist() == [97, 98, 99]
    for raw in (b"", b"\0\0\x08\x01\0\0\0\x04abc", gzip.compress(b"x")):
        path.write_bytes(raw)
        with pytest.raises(DataError, match="t10k-labels: not an idx file of bytes"):
            _arrays.read_idx(path)


def test_files_of_installed_packages_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match="a is missing, expected 00; do this"):
        _arrays.check_file(tmp_path / "a", "00", "do this")
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ChecksumError, match="a has sha256 2d711642"):
        _arrays.check_file(tmp_path / "a", "00", "do this")


def test_vader_rules(tmp_path: Path) -> None:
    lines = {
        "vader_amazon": b"1_1\t2.0\tGood  Thing\n1_2\t0.4\tso so\n2_1\t-1.5\tcaf\xe9 was bad\n",
        "vader_movie": b"1\t-3\tgood thing\n2\t0.6\tSo So\n3\t0.6\tfresh\n",
    }
    for name, raw in lines.items():
        (tmp_path / _vader.FILES[name]).write_bytes(raw)
    amazon = [(s.key, *s.fields.values()) for s in _vader.corpus("vader_amazon", tmp_path)]
    assert amazon == [("vader_amazon/all/1_1", "Good  Thing", 1), ("vader_amazon/all/2_1", "café was bad", 0)]
    assert [s.key for s in _vader.corpus("vader_movie", tmp_path)] == ["vader_movie/all/3"]
    (tmp_path / _vader.FILES["vader_amazon"]).write_bytes(b"1_1\tgood\n")
    with pytest.raises(DataError, match="GroundTruth.txt, line 1: expected id, sentiment and text"):
        list(_vader.corpus("vader_amazon", tmp_path))
    module = registry.find("datasets", "vader_amazon")
    groups = {module.group(Sample(key, {})) for key, *_ in amazon}
    assert groups == {"vader_amazon/all/1", "vader_amazon/all/2"}


def test_twelve_crops_fits_and_keeps_the_mask(tmp_path: Path) -> None:
    drawn = Image.new("RGBA", (300, 300))
    drawn.paste((255, 0, 0, 255), (100, 50, 160, 80))  # 60 x 30
    drawn.save(tmp_path / "a.b.png")
    row = _twelve.Row(0, "brick", "train", "a.b.png", "drawing")
    sample = good(list(_twelve.pictures("toy", [(row, tmp_path / "a.b.png")])))[0]
    assert sample.key == "toy/train/a_b"
    mask = sample.fields["mask"] > 0
    assert (np.flatnonzero(mask.any(0)) == np.arange(4, 124)).all()
    assert (np.flatnonzero(mask.any(1)) == np.arange(34, 94)).all()
    assert (sample.fields["image"][~mask] == 255).all()
    assert sample.fields["image"][64, 64].tolist() == [255, 0, 0]
    assert _twelve.group(sample) == "brick"
    (tmp_path / "a.b.png").write_bytes(b"")
    error = next(_twelve.pictures("toy", [(row, tmp_path / "a.b.png")]))
    assert isinstance(error, DataError)


def test_twelve_csv_gives_a_reason_for_whatever_is_left_out() -> None:
    import csv

    with (miniature_originals.DATASETS / "twelve.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["domain"] for line in lines} == {"photo", "clipart", "emoji", "emoji_flat"}
    for line in lines:
        unavailable_sources = line["class"] == "-"
        assert bool(line["object"]) == bool(line["split"]) == (not unavailable_sources), line
        assert line["split"] in (*splits.SPLITS, ""), line
        assert not unavailable_sources or line["note"], line
        assert line["kind"] in ("photo", "drawing"), line


def test_twelve_photo_refuses_an_unknown_kind() -> None:
    module = registry.find("datasets", "twelve_photo")
    with pytest.raises(ParamsError, match="kind is 'painting'; allowed: all, photo, drawing"):
        read(module, "train", ({}, {"look": "photo", "kind": "painting"}))


def test_fetched_emoji_must_be_complete(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image of .*; fetch the source again"):
        _twelve.emoji("twelve_emoji_google", "test", tmp_path)
