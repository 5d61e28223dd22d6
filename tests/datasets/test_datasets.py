"""Datasets of the user's own and bad input: each error says which sample or file, and what to do."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import shutil
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from makers import miniature_originals
from shiftbench import plugins, refs
from shiftbench.data import shards, splits
from shiftbench.datasets import _arrays, _pictures, _twelve, _vader
from shiftbench.errors import ChecksumError, DataError, DuplicateKeyError, ParamsError, RangeError
from shiftbench.sample import Sample
from shiftbench.tools import preview


def read(module: ModuleType, split: str, made: miniature_originals.Made) -> list[Any]:
    sources, params = made
    return list(module.samples(split, sources, {**module.PARAMS, "name": "mine", **params}))


def good(samples: list[Any]) -> list[Sample]:
    assert all(isinstance(sample, Sample) for sample in samples), samples
    return samples


# --- image_folder --------------------------------------------------------------------------------


def test_image_folder_flat_and_in_parts(tmp_path: Path) -> None:
    module = plugins.find("datasets", "image_folder")
    made = miniature_originals.image_folder(tmp_path)
    train, test = good(read(module, "train", made)), good(read(module, "test", made))
    assert {s.key for s in train} | {s.key for s in test} == {
        f"mine/all/{('cat', 'dog')[n % 2]}/v1_{n}" for n in range(40)
    }
    assert len(train) + len(test) == 40
    assert all((s.key.split("/")[2] == "dog") == s.fields["label"] for s in train + test)
    for part in ("train", "val"):
        home = tmp_path / "parts" / part / "cat"
        home.mkdir(parents=True)
        miniature_originals.picture(1).save(home / "a.png")
    parts = ({}, {"path": str(tmp_path / "parts")})
    assert [s.key for s in good(read(module, "test", parts))] == ["mine/test/cat/a"]
    (tmp_path / "parts/val/dog").mkdir()
    (tmp_path / "parts/train/dog").mkdir()
    assert module.classes(parts[1], {}) == ("cat",)  # empty in both parts
    (tmp_path / "parts/train/dog").rmdir()
    miniature_originals.picture(1).save(tmp_path / "parts/val/dog/a.png")
    with pytest.raises(DataError, match="val holds class 'dog', which .*train has not"):
        read(module, "test", parts)


def test_truncated_picture_is_yielded_as_its_error(tmp_path: Path) -> None:
    module = plugins.find("datasets", "image_folder")
    made = miniature_originals.image_folder(tmp_path)
    broken = tmp_path / "mine/cat/v1.0.png"
    broken.write_bytes(broken.read_bytes()[:100])
    found = read(module, "train", made) + read(module, "test", made)
    errors = [sample for sample in found if isinstance(sample, DataError)]
    assert str(errors[0]).startswith(f"mine/all/cat/v1_0: the image ({broken}) cannot be read: ")
    assert len(found) >= 40


def test_image_folder_bad_input(tmp_path: Path) -> None:
    module = plugins.find("datasets", "image_folder")
    with pytest.raises(ParamsError, match="image_folder: option path is missing"):
        read(module, "train", ({}, {}))
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read(module, "train", ({}, {"path": str(tmp_path / "nowhere")}))
    with pytest.raises(
        DataError, match="holds no folders; expected one folder of images per class"
    ):
        read(module, "train", ({}, {"path": str(tmp_path)}))
    (tmp_path / "cat").mkdir()
    for name in ("a.png", "a.jpg"):
        miniature_originals.picture(0).save(tmp_path / "cat" / name)
    with pytest.raises(DuplicateKeyError, match=r"mine/all/cat/a: both .*a\.jpg and .*a\.png"):
        read(module, "train", ({}, {"path": str(tmp_path)}))


def test_image_folder_ignores_what_is_no_sample_and_tells_it(tmp_path: Path) -> None:
    """Wherever thirty files lie that an archive of a Mac, a file manager or a hurry leaves."""
    module, rng = plugins.find("datasets", "image_folder"), np.random.default_rng(0)
    _, params = miniature_originals.image_folder(tmp_path)
    expected = [sample.key for sample in good(read(module, "train", ({}, params)))]
    assert module.ignored(params) == ""
    home, image = tmp_path / "mine", miniature_originals.encoded(miniature_originals.picture(0))
    (home / "zebra/deep").mkdir(parents=True)
    kinds = {
        "hidden or __MACOSX": 0,
        "no picture by its name": 0,
        "in no class folder": 0,
        "a link to nothing": 0,
    }
    strays = [
        ".DS_Store",
        "._1.jpg",
        ".cache/a.png",
        "__MACOSX/cat/1.png",
        "notes.txt",
        "picture",
        "a.jpg.crdownload",
    ]
    for number in range(30):
        folder = home / str(rng.choice(["cat", "dog", "cat/deep", "zebra"])) / f"{number}"
        file = folder / str(rng.choice(strays))
        file.parent.mkdir(parents=True)
        file.write_bytes(image)
        kinds[
            "hidden or __MACOSX"
            if file.name[0] == "." or file.parent != folder
            else "no picture by its name"
        ] += 1
    (home / "stray.png").write_bytes(image)
    (home / "dog/gone.png").symlink_to(tmp_path / "nowhere.png")
    kinds |= {"in no class folder": 1, "a link to nothing": 1, "without a picture": 1}
    assert [sample.key for sample in good(read(module, "train", ({}, params)))] == expected
    assert module.classes(params, {}) == ("cat", "dog")
    told = dict(
        part.split(" (")[0].split(" ", 1)[::-1] for part in module.ignored(params).split(", ")
    )
    assert told == {kind: str(count) for kind, count in kinds.items()}
    shutil.rmtree(home / "cat")
    shutil.rmtree(home / "dog")
    with pytest.raises(DataError, match="no folder in .*mine holds a picture"):
        module.classes(params, {})


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_pictures_of_yours_are_turned_as_their_exif_says(tmp_path: Path, suffix: str) -> None:
    """As Pillow's own function turns them; without the tag, or with a damaged one, pixels are what they were."""
    rng = np.random.default_rng(0)
    for orientation in range(10):
        picture = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = tmp_path / f"{orientation}.{suffix}"
        picture.save(file, **({"exif": exif} if orientation else {}))
        with Image.open(file) as opened:
            expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        assert np.array_equal(_pictures.read_upright(file, "key"), expected)
        if suffix != "tif":  # which Pillow itself turns when it is opened
            assert _pictures.read_array(file, "key").shape == (5, 7, 3)
        data = bytearray(file.read_bytes())
        at = data.find(b"\x12\x01\x03\x00")
        for _ in range(20 if at >= 0 and suffix != "tif" else 0):
            data[at - 10 : at + 12] = rng.bytes(22)
            with contextlib.suppress(DataError):
                assert sorted(_pictures.read_upright(io.BytesIO(data), "key").shape) == [3, 5, 7]


def test_what_is_wrong_with_a_picture_is_said_alike_in_every_process() -> None:
    """And tells how a run goes on."""
    with pytest.raises(DataError) as caught:
        _pictures.open_picture(io.BytesIO(b"<html>"), "mine/all/1")
    assert str(caught.value) == "mine/all/1: the image cannot be read: cannot identify image file"


# --- webdataset ----------------------------------------------------------------------------------


def shard(tmp_path: Path, members: dict[str, bytes]) -> miniature_originals.Made:
    path = miniature_originals.tar(tmp_path / "one.tar", members)
    return {}, {"path": str(path), "classes": ["cat", "dog"]}


def test_webdataset_reads_foreign_shards(tmp_path: Path) -> None:
    module = plugins.find("datasets", "webdataset")
    found = good(read(module, "all", miniature_originals.webdataset(tmp_path)))
    assert [s.key for s in found[:2]] == ["mine/all/000000", "mine/all/000001"]
    assert [s.fields["label"] for s in found] == [0, 1] * 20


def test_webdataset_runs_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a path says; a file may have the name of a command."""
    monkeypatch.chdir(tmp_path)
    module = plugins.find("datasets", "webdataset")
    for path in ("pipe:touch X", "y::pipe:touch X", "{pipe:touch X,y}", "-", "./pipe:touch X"):
        with pytest.raises((ParamsError, DataError)):
            read(module, "all", ({}, {"path": path, "classes": ["a"]}))
    assert not list(tmp_path.iterdir())


def test_webdataset_bad_samples_are_yielded_as_errors(tmp_path: Path) -> None:
    module = plugins.find("datasets", "webdataset")
    image = miniature_originals.encoded(miniature_originals.picture(0))
    members = {"a.png": image, "a.cls": b"2", "b.png": image[:90], "b.cls": b"0", "c.cls": b"0"}
    errors = read(module, "all", shard(tmp_path, members))
    assert [type(error) for error in errors] == [RangeError, DataError, DataError]
    for error, text in zip(
        errors,
        (
            "mine/all/a: label b'2' is no number below 2",
            "mine/all/b: the image cannot be read",
            "mine/all/c: no member with extension jpg;jpeg;png;webp",
        ),
        strict=True,
    ):
        assert str(error).startswith(text)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "webdataset: option classes is missing"),
        ({"classes": ["a"]}, "webdataset: option path is missing"),
        ({"classes": ["a"], "path": "x::pipe:cat x"}, "path = 'pipe:cat x' is a shell command"),
    ],
)
def test_webdataset_wrong_options(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        read(plugins.find("datasets", "webdataset"), "all", ({}, params))


def test_webdataset_damaged_shards(tmp_path: Path) -> None:
    module = plugins.find("datasets", "webdataset")
    with pytest.raises(DataError, match=r"shard .*gone\.tar cannot be read"):
        read(module, "all", ({}, {"path": str(tmp_path / "gone.tar"), "classes": ["a"]}))
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(DataError, match=r"shard .*bad\.tar cannot be read"):
        read(module, "all", ({}, {"path": str(tmp_path / "bad.tar"), "classes": ["a"]}))


# --- imagenet, cifar -----------------------------------------------------------------------------


def test_imagenet_is_cut_as_imagenet_c_was_made(tmp_path: Path) -> None:
    """The middle square of what torchvision's Resize makes."""
    from torchvision.transforms import CenterCrop, Resize

    module = plugins.find("datasets", "imagenet")
    sources, options = miniature_originals.imagenet(tmp_path)
    asked = {**module.PARAMS, **options, "shorter": 32, "side": 24}
    cut = next(iter(module.samples("test", sources, asked)))
    file = next(iter(sorted((tmp_path / "imagenet/val/n01440764").iterdir())))
    with Image.open(file) as picture:
        expected = np.asarray(CenterCrop(24)(Resize(32)(picture.convert("RGB"))))
    assert np.array_equal(cut.fields["image"], expected)
    with pytest.raises(ParamsError, match="side 64 cannot be cut from images of 32"):
        list(module.samples("test", sources, {**asked, "side": 64}))


def test_imagenet_labels_follow_the_synset_not_the_position(tmp_path: Path) -> None:
    module = plugins.find("datasets", "imagenet")
    with pytest.raises(ParamsError, match="imagenet: option root is missing"):
        read(module, "train", ({}, {}))
    for synset in ("n15075141", "n01443537"):
        (tmp_path / "val" / synset).mkdir(parents=True)
        miniature_originals.picture(int(synset[-3:])).save(tmp_path / "val" / synset / "a.JPEG")
    made = ({}, {"root": str(tmp_path), "complete": False})
    found = good(read(module, "test", made))
    assert {s.key: s.fields["label"] for s in found} == {
        "mine/test/n01443537/a": 1,
        "mine/test/n15075141/a": 999,
    }
    assert module.classes({}, {})[1] == "goldfish"
    with pytest.raises(DataError, match="lacks 998 of 1000 synsets, first n01440764"):
        read(module, "test", ({}, {"root": str(tmp_path)}))
    (tmp_path / "val/cats").mkdir()
    with pytest.raises(DataError, match="holds the folder 'cats', which is no synset"):
        read(module, "test", made)


def test_cifar_is_decoded_as_published_and_duplicates_are_dropped(tmp_path: Path) -> None:
    module = plugins.find("datasets", "cifar10")
    planes = np.stack([np.full((32, 32), value, np.uint8) for value in (10, 20, 30)])
    same = {b"data": planes.reshape(1, 3072), b"labels": [3]}
    members = {name: pickle.dumps(same) for part in module.MEMBERS.values() for name in part}
    miniature_originals.tar(tmp_path / "cifar-10-python.tar.gz", members, "w:gz")
    made = ({"cifar10": tmp_path}, {})
    test = good(read(module, "test", made))
    assert test[0].key == "cifar10/test/000000"
    assert test[0].fields["label"] == 3
    assert test[0].fields["image"][5, 7].tolist() == [10, 20, 30]
    assert read(module, "train", made) == []
    miniature_originals.tar(tmp_path / "cifar-10-python.tar.gz", {"x": b""}, "w:gz")
    with pytest.raises(DataError, match="holds no cifar-10-batches-py/test_batch"):
        read(module, "test", made)


# --- helpers -------------------------------------------------------------------------------------


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


def test_pictures_become_uint8_whatever_their_mode(tmp_path: Path) -> None:
    deep = Image.fromarray(np.array([[0, 256, 65535]], np.uint16))
    assert _pictures.to_array(deep).tolist() == [[0, 1, 255]]
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert _pictures.to_array(clear).tolist() == [[[255, 255, 255]]]
    assert _pictures.to_array(Image.new("CMYK", (2, 1))).shape == (1, 2, 3)
    turned = miniature_originals.picture(0)
    exif = turned.getexif()
    exif[0x0112] = 6  # "rotate by 90 degrees", which is ignored
    turned.save(tmp_path / "a.png", exif=exif)
    assert _pictures.read_array(tmp_path / "a.png", "a").shape == (9, 12, 3)


def test_huge_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pictures, "MAX_PIXELS", 100)
    miniature_originals.picture(0).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="k: 12 x 9 pixels; at most 100 are read"):
        _pictures.read_array(tmp_path / "a.png", "k")


def test_no_picture_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow calls Ghostscript for PostScript, whatever the file is called."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    miniature_originals.picture(0).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    for read in (partial(_pictures.read_array, key="k"), preview.own_image):
        with pytest.raises(DataError, match="cannot"):
            read(tmp_path / "a.jpg")
    assert not (tmp_path / "ran").exists()
    with contextlib.suppress(OSError), Image.open(tmp_path / "a.jpg") as opened:
        opened.load()  # and so it would be
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", _pictures._FORMATS)
def test_every_format_of_the_suffixes_is_read(tmp_path: Path, kind: str) -> None:
    miniature_originals.picture(0).convert("L").save(tmp_path / "a", kind)
    assert _pictures.read_array(tmp_path / "a", "k").shape[:2] == (9, 12)


def test_vader_rules(tmp_path: Path) -> None:
    lines = {
        "vader_amazon": b"1_1\t2.0\tGood  Thing\n1_2\t0.4\tso so\n2_1\t-1.5\tcaf\xe9 was bad\n",
        "vader_movie": b"1\t-3\tgood thing\n2\t0.6\tSo So\n3\t0.6\tfresh\n",
    }
    for name, raw in lines.items():
        (tmp_path / _vader.FILES[name]).write_bytes(raw)
    amazon = [(s.key, *s.fields.values()) for s in _vader.corpus("vader_amazon", tmp_path)]
    assert amazon == [
        ("vader_amazon/all/1_1", "Good  Thing", 1),
        ("vader_amazon/all/2_1", "café was bad", 0),
    ]
    assert [s.key for s in _vader.corpus("vader_movie", tmp_path)] == ["vader_movie/all/3"]
    (tmp_path / _vader.FILES["vader_amazon"]).write_bytes(b"1_1\tgood\n")
    with pytest.raises(DataError, match="GroundTruth.txt, line 1: expected id, sentiment and text"):
        list(_vader.corpus("vader_amazon", tmp_path))
    module = plugins.find("datasets", "vader_amazon")
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
    module = plugins.find("datasets", "twelve_photo")
    with pytest.raises(ParamsError, match="kind is 'painting'; allowed: all, photo, drawing"):
        read(module, "train", ({}, {"look": "photo", "kind": "painting"}))


def test_fetched_emoji_must_be_complete(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image of .*; fetch the source again"):
        _twelve.emoji("twelve_emoji_google", "test", tmp_path)


# --- datasets made from others ---------------------------------------------------------------------


def stored(folder: Path, name: str, classes: list[str], count: int = 6) -> Path:
    """Write shards of little images and return their manifest."""
    (folder / name).mkdir()
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    samples = [
        Sample(f"{name}/test/{i}", {"image": image + i, "label": i % len(classes)})
        for i in range(count)
    ]
    fields = plugins.find("tasks", "classification").FIELDS
    shards.write(samples, folder / name, fields, {"classes": classes}, 10**6)
    return folder / name / "manifest.json"


def test_transformed_pictures_are_turned_then_flipped_then_inverted(tmp_path: Path) -> None:
    inputs = {refs.shards("a", "test"): stored(tmp_path, "a", ["x", "y"])}
    module = plugins.find("datasets", "transformed")
    params = {**module.PARAMS, "of": "a", "turn": 1, "flip": "up_down", "invert": True}
    params |= {"prefix": "turned ", "name": "b"}
    first, *_ = module.samples("test", {}, params, inputs)
    assert first.key == "b/a/test/0"
    assert first.fields["image"].tolist() == [[255, 252], [254, 251], [253, 250]]
    assert module.classes(params, {}, inputs) == ("turned x", "turned y")
    assert module.needs({**params, "split": "val"}) == [refs.shards("a", "val")]
    with pytest.raises(ParamsError, match="did you mean up_down"):
        list(module.samples("test", {}, {**params, "flip": "up_dwn"}, inputs))


def test_united_datasets_lie_side_by_side(tmp_path: Path) -> None:
    files = {"a": stored(tmp_path, "a", ["x", "y"]), "b": stored(tmp_path, "b", ["z", "w", "v"])}
    inputs = {refs.shards(name, "test"): file for name, file in files.items()}
    module = plugins.find("datasets", "united")
    params = {**module.PARAMS, "of": ["b", "a"], "name": "both"}
    assert module.classes(params, {}, inputs) == ("z", "w", "v", "x", "y")
    found = list(module.samples("test", {}, params, inputs))
    assert [s.fields["label"] for s in found] == [0, 1, 2, 0, 1, 2, 3, 4, 3, 4, 3, 4]
    assert found[6].key == "both/a/test/0"
    assert found[6].fields["meta"] == {"group": "a", "head": "3:5"}
    few, more = (
        {s.key for s in module.samples("test", {}, {**params, "each": n}, inputs)} for n in (2, 4)
    )
    assert (len(few), len(more)) == (4, 8)
    assert few < more
    inputs[refs.shards("b", "test")] = stored(tmp_path, "c", ["x"])
    with pytest.raises(ParamsError, match="class 'x' is in two of b, a"):
        module.classes(params, {}, inputs)
