"""Wrong pictures and folders of the user's: read as every viewer shows them, or told; never a traceback."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from makers import planned_benchmark
from makers.small_files import encoded, picture
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.sample import Sample
from shiftbench.data import pins, shards, skipped
from shiftbench.workflow.plan import unavailable

NOISE = picture(1)  # 12 x 9


def png(number: int) -> bytes:
    return encoded(picture(number))


def as_file(kind: str, image: Image.Image = NOISE, **how: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def held(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "page.jpg": (b"<!DOCTYPE html><html>404</html>", "it is an HTML page, probably of a failed download"),
    "nothing.png": (b"", "it is empty (0 bytes)"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
    "text.png": (b"hello", "cannot identify image file"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot identify image file"),
    "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify image file"),
    "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(50), "cannot identify image file"),
    "archive.png": (b"PK\3\4", "cannot identify image file"),
    "error.jpg": (b'{"error": 1}', "cannot identify image file"),
    "cut.jpg": (as_file("JPEG")[:200], "cannot be read: "),
    "cut.png": (as_file("PNG")[:100], "image file is truncated"),
    "cut.gif": (as_file("GIF")[:100], "cannot be read: "),
    "cut.bmp": (as_file("BMP")[:60], "image file is truncated"),
    "cut.webp": (as_file("WEBP")[:40], "cannot be read: "),
    "cut.tiff": (as_file("TIFF")[:60], "cannot be read: "),
    "header.png": (flipped(as_file("PNG"), 20), "cannot identify image file"),
    "pixels.png": (flipped(as_file("PNG"), 60), "broken data stream"),
    "reals.tiff": (as_file("TIFF", Image.fromarray(np.full((9, 12), 0.5, np.float32))), "has values of 32 bits"),
    "whole.tif": (as_file("TIFF", Image.fromarray(np.full((9, 12), 70000, np.int32))), "has values of 32 bits"),
}
READABLE: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "moving.gif": (as_file("GIF", save_all=True, append_images=[picture(2)]), (9, 12, 3)),
    "moving.png": (as_file("PNG", save_all=True, append_images=[picture(2)]), (9, 12, 3)),
    "pages.tiff": (as_file("TIFF", save_all=True, append_images=[picture(2)]), (9, 12, 3)),
    "print.jpg": (as_file("JPEG", NOISE.convert("CMYK")), (9, 12, 3)),
    "lab.tiff": (as_file("TIFF", NOISE.convert("LAB")), (9, 12, 3)),
    "deep.png": (as_file("PNG", Image.fromarray(np.full((9, 12), 40000, np.uint16))), (9, 12)),
    "clear.png": (as_file("PNG", Image.new("RGBA", (4, 5))), (5, 4, 3)),
    "mask.png": (as_file("PNG", NOISE.convert("LA")), (9, 12, 3)),
    "dot.png": (as_file("PNG", Image.new("1", (1, 1))), (1, 1)),
    "turned.jpg": (as_file("JPEG", exif=held(6)), (12, 9, 3)),
    "nonsense.jpg": (as_file("JPEG", exif=held(99)), (9, 12, 3)),
    "torn.jpg": (as_file("JPEG", exif=b"Exif\0\0garbage"), (9, 12, 3)),
    "profile.png": (as_file("PNG", icc_profile=b"x" * 200), (9, 12, 3)),
    "LOUD.PNG": (png(3), (9, 12, 3)),
    "wrong.jpg": (png(4), (9, 12, 3)),
    "sp ace.png": (png(5), (9, 12, 3)),
    "{braces}*.png": (png(6), (9, 12, 3)),
    "two\nlines.png": (png(7), (9, 12, 3)),
}


def samples(split: str = "train", **params: Any) -> list[Sample | DataError]:
    module = registry.find("datasets", "image_folder")
    return list(module.samples(split, {}, registry.defaults(module) | {"path": "photos", "name": "own", **params}))


def lay(**folders: list[bytes]) -> None:
    """Write numbered pictures: `lay(train__cat=[...])`."""
    for name, files in folders.items():
        folder = Path("photos", *name.split("__"))
        folder.mkdir(parents=True)
        for number, data in enumerate(files):
            (folder / f"{number}.png").write_bytes(data)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_picture_is_told_with_its_file_and_key(name: str) -> None:
    data, words = UNREADABLE[name]
    lay(train__cat=[png(0)], test__cat=[png(1)])
    file = Path("photos/train/cat", name)
    file.write_bytes(data)
    good, bad = samples()
    assert isinstance(good, Sample)
    told = str(bad)
    assert told.startswith(f"own/train/cat/{file.stem}: the image ({file}) ")
    assert words in told
    assert " at 0x" not in told
    assert "`on_error: skip`" in getattr(bad, "__notes__", ["?"])[0]


@pytest.mark.parametrize("name", READABLE)
def test_an_odd_picture_is_read(name: str) -> None:
    data, shape = READABLE[name]
    lay(train__cat=[], test__cat=[png(1)])
    Path("photos/train/cat", name).write_bytes(data)
    (found,) = samples()
    assert isinstance(found, Sample)
    assert found.fields["image"].shape == shape
    assert found.fields["image"].dtype == np.uint8


def test_an_unreadable_picture_is_counted_once(tmp_path: Path) -> None:
    """In folders that are cut into splits it stood in each of them."""
    planned_benchmark.make(tmp_path)
    lay(cat=[png(n) for n in range(20)], dog=[png(n) for n in range(20, 40)])
    broken = [Path(f"photos/cat/{number}.png") for number in range(0, 20, 3)]
    for file in broken:
        file.write_bytes(file.read_bytes()[:60])
    pins.pin(["photos"])
    splits = ("train", "val", "test")
    planned_benchmark.run(
        tmp_path,
        *(f"shift/own/{split}/identity" for split in splits),
        datasets={"own": {"use": "image_folder", "path": "photos", "on_error": "skip"}},
        benchmarks={"small": {"dataset": "own", "models": planned_benchmark.PARAMS["benchmarks"]["small"]["models"]}},
    )
    manifests = [tmp_path / f"data/local/own/{split}/identity/0/manifest.json" for split in splits]
    lines = [line for one in skipped.find_skipped(manifests) for line in one.lines]
    assert sorted(lines) == sorted(set(lines))
    assert len(lines) == len(broken)
    assert sum(len(list(shards.read(file.parent))) for file in manifests) == 40 - len(broken)


FOLDERS: dict[str, tuple[Callable[[], object], str]] = {
    "not there": (lambda: None, "photos is not a folder; give the one that holds a folder of images per class"),
    "a file": (lambda: Path("photos").write_bytes(png(1)), "photos is not a folder"),
    "empty": (lambda: Path("photos").mkdir(), "photos holds no folders; expected one folder of images per class"),
    "pictures alone": (lambda: (Path("photos").mkdir(), Path("photos/1.png").write_bytes(png(1))), "holds no folders"),
    "empty classes": (lambda: lay(cat=[], dog=[]), "no folder in photos holds a picture (.bmp, "),
    "an unknown class": (lambda: lay(train__cat=[png(1)], test__dog=[png(2)]), "photos/test holds class 'dog', which"),
    "two of a name": (
        lambda: (lay(train__cat=[png(1)], test__cat=[]), Path("photos/train/cat/0.jpg").write_bytes(png(2))),
        "own/train/cat/0: both photos/train/cat/0.jpg and photos/train/cat/0.png; rename one",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_wrong_folder_is_told(case: str) -> None:
    make, words = FOLDERS[case]
    make()
    with pytest.raises(ShiftbenchError) as caught:
        [samples(split) for split in ("train", "test")]
    assert words in str(caught.value)


def test_what_cannot_be_learnt_from_is_told(tmp_path: Path) -> None:
    """Too few pictures for three splits."""
    planned_benchmark.make(tmp_path)
    lay(cat=[png(1)], dog=[png(2)])
    pins.pin(["photos"])
    small = planned_benchmark.PARAMS["benchmarks"]["small"] | {"dataset": "own", "shifts": []}
    jobs = (f"shift/own/{split}/identity" for split in ("train", "val", "test"))
    with pytest.raises(DataError, match=r"own/val/identity/0 has no samples; add samples, or select more"):
        planned_benchmark.run(
            tmp_path,
            *jobs,
            "train/own/perceptron-mixup-s0",
            datasets={"own": {"use": "image_folder", "path": "photos"}},
            benchmarks={"small": small},
        )


def test_faults_of_imagenet_are_told_before_a_run_all_at_once(tmp_path: Path) -> None:
    """A flat `val/`, as the archive unpacks, and a `train/` that lacks synsets."""
    planned_benchmark.make(tmp_path)
    (tmp_path / "inet/train/n01440764").mkdir(parents=True)
    (tmp_path / "inet/val").mkdir()
    (tmp_path / "inet/val/a.JPEG").touch()
    own = {"datasets__own": {"use": "imagenet", "root": str(tmp_path / "inet")}, "benchmarks__small__dataset": "own"}
    plan = planned_benchmark.plan(tmp_path, **own)
    with pytest.raises(DataError) as caught:
        unavailable.refuse(unavailable.user_files(plan))
    val, train = sorted(str(caught.value).splitlines())[::-1]
    assert val.endswith("inet/val holds no folders; expected one folder of images per class: move each image there")
    assert "inet/train lacks 999 of 1000 synsets, first n01443537" in train


def test_equal_bytes_and_odd_names_are_told(tmp_path: Path) -> None:
    planned_benchmark.make(tmp_path)
    lay(cat=[png(1), png(2), png(1)], dog=[png(2)])
    pins.pin(["photos"])
    own = {"datasets__own": {"use": "image_folder", "path": "photos"}, "benchmarks__small__dataset": "own"}
    (found,) = unavailable.user_files(planned_benchmark.plan(tmp_path, **own))
    assert found.duplicates == "2 (photos/cat/0.png and photos/cat/2.png)"
    Path(os.fsdecode(b"photos/cat/caf\xe9.png")).write_bytes(png(3))
    with pytest.raises(DataError, match=r"the name of 'photos/cat/caf\\udce9.png' is no UTF-8; rename"):
        pins.pin(["photos"])
