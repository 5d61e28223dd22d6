"""Your own images in folders of classes: keys, what is ignored and told, EXIF, and what is wrong."""

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from makers import miniature_originals, small_files
from makers.read_samples import good, read
from shiftbench.base import registry
from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError
from shiftbench.plugins.datasets import _pictures


def test_image_folder_flat_and_in_parts(tmp_path: Path) -> None:
    module = registry.find("datasets", "image_folder")
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
        small_files.picture(1).save(home / "a.png")
    parts = ({}, {"path": str(tmp_path / "parts")})
    assert [s.key for s in good(read(module, "test", parts))] == ["mine/test/cat/a"]
    (tmp_path / "parts/val/dog").mkdir()
    (tmp_path / "parts/train/dog").mkdir()
    assert module.classes(parts[1], {}) == ("cat",)  # empty in both parts
    (tmp_path / "parts/train/dog").rmdir()
    small_files.picture(1).save(tmp_path / "parts/val/dog/a.png")
    with pytest.raises(DataError, match="val holds class 'dog', which .*train has not"):
        read(module, "test", parts)


def test_truncated_picture_is_yielded_as_its_error(tmp_path: Path) -> None:
    module = registry.find("datasets", "image_folder")
    made = miniature_originals.image_folder(tmp_path)
    broken = tmp_path / "mine/cat/v1.0.png"
    broken.write_bytes(broken.read_bytes()[:100])
    found = read(module, "train", made) + read(module, "test", made)
    errors = [sample for sample in found if isinstance(sample, DataError)]
    assert str(errors[0]).startswith(f"mine/all/cat/v1_0: the image ({broken}) cannot be read: ")
    assert len(found) >= 40


def test_image_folder_bad_input(tmp_path: Path) -> None:
    module = registry.find("datasets", "image_folder")
    with pytest.raises(ParamsError, match="image_folder: option path is missing"):
        read(module, "train", ({}, {}))
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read(module, "train", ({}, {"path": str(tmp_path / "nowhere")}))
    with pytest.raises(DataError, match="holds no folders; expected one folder of images per class"):
        read(module, "train", ({}, {"path": str(tmp_path)}))
    (tmp_path / "cat").mkdir()
    for name in ("a.png", "a.jpg"):
        small_files.picture(0).save(tmp_path / "cat" / name)
    with pytest.raises(DuplicateKeyError, match=r"mine/all/cat/a: both .*a\.jpg and .*a\.png"):
        read(module, "train", ({}, {"path": str(tmp_path)}))


def test_image_folder_ignores_what_is_no_sample_and_tells_it(tmp_path: Path) -> None:
    """Wherever thirty files lie that an archive of a Mac, a file manager or a hurry leaves."""
    module, rng = registry.find("datasets", "image_folder"), np.random.default_rng(0)
    _, params = miniature_originals.image_folder(tmp_path)
    expected = [sample.key for sample in good(read(module, "train", ({}, params)))]
    assert module.ignored(params) == ""
    home, image = tmp_path / "mine", small_files.encoded(small_files.picture(0))
    (home / "zebra/deep").mkdir(parents=True)
    kinds = {"hidden or __MACOSX": 0, "no picture by its name": 0, "in no class folder": 0, "a link to nothing": 0}
    strays = [".DS_Store", "._1.jpg", ".cache/a.png", "__MACOSX/cat/1.png", "notes.txt", "picture", "a.jpg.crdownload"]
    for number in range(30):
        folder = home / str(rng.choice(["cat", "dog", "cat/deep", "zebra"])) / f"{number}"
        file = folder / str(rng.choice(strays))
        file.parent.mkdir(parents=True)
        file.write_bytes(image)
        kinds["hidden or __MACOSX" if file.name[0] == "." or file.parent != folder else "no picture by its name"] += 1
    (home / "stray.png").write_bytes(image)
    (home / "dog/gone.png").symlink_to(tmp_path / "nowhere.png")
    kinds |= {"in no class folder": 1, "a link to nothing": 1, "without a picture": 1}
    assert [sample.key for sample in good(read(module, "train", ({}, params)))] == expected
    assert module.classes(params, {}) == ("cat", "dog")
    told = dict(part.split(" (")[0].split(" ", 1)[::-1] for part in module.ignored(params).split(", "))
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
