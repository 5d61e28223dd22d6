"""MedMNIST's files: a miniature of the official layout is read as it lies; another file or layout is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftbench import plugins
from shiftbench.errors import ChecksumError, DataError, ParamsError
from shiftbench.systems.ssl_medmnist.datasets import _medmnist

SETS = {
    "path": 9, "derma": 7, "oct": 4, "pneumonia": 2, "retina": 5, "breast": 2, "blood": 8, "tissue": 8,
    "organ_a": 11, "organ_c": 11, "organ_s": 11,
}  # fmt: skip
"""The eleven sets of the paper, and their classes (its README and medmnist 3.0.2)."""


def miniature(folder: Path, flag: str, **changed: Any) -> dict[str, Any]:
    """Write a file as MedMNIST's are, three splits; return the options that read it."""
    random, arrays = np.random.default_rng(0), {}
    shape = (64, 64, 3) if flag in ("pathmnist", "dermamnist") else (64, 64)
    for split, count in (("train", 6), ("val", 3), ("test", 4)):
        arrays[f"{split}_images"] = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count, dtype=np.uint8)[:, None] % 2
    file = folder / f"{flag}_64.npz"
    np.savez_compressed(file, **{**arrays, **changed})
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    return {**_medmnist.PARAMS, "flag": flag, "root": str(folder), "md5": md5}


@pytest.mark.parametrize("flag", ["breastmnist", "dermamnist"])
def test_a_split_is_read_row_by_row(tmp_path: Path, flag: str) -> None:
    options = miniature(tmp_path, flag) | {"name": "some"}
    with np.load(tmp_path / f"{flag}_64.npz") as arrays:
        for split in _medmnist.NATIVE:
            found = list(_medmnist.samples(split, {}, options))
            assert [s.key for s in found] == [f"some/{split}/{n:06d}" for n in range(len(found))]
            assert np.array_equal([s.fields["image"] for s in found], arrays[f"{split}_images"])
            assert [s.fields["label"] for s in found] == arrays[f"{split}_labels"][:, 0].tolist()


def test_another_file_is_refused_and_so_is_another_layout(tmp_path: Path) -> None:
    options = miniature(tmp_path, "breastmnist")
    with pytest.raises(ChecksumError, match="742edef2a1fd1524b2efff4bd7ba9364"):
        list(_medmnist.samples("test", {}, options | {"md5": ""}))
    with pytest.raises(DataError, match=r"breastmnist\.npz does not exist"):
        list(_medmnist.samples("test", {}, options | {"size": 28}))
    with pytest.raises(ParamsError, match="expected 28 or 64"):
        list(_medmnist.samples("test", {}, options | {"size": 128, "md5": ""}))
    for wrong, why in (
        ({"test_labels": np.zeros((4, 14), np.uint8)}, "one label a row"),
        ({"test_images": np.zeros((3, 64, 64), np.uint8)}, "with 4 labels"),
        ({"test_images": np.zeros((4, 64, 64))}, "expected uint8"),
    ):
        with pytest.raises(DataError, match=why):
            list(_medmnist.samples("test", {}, miniature(tmp_path, "breastmnist", **wrong)))


def test_the_eleven_sets_are_those_of_the_paper() -> None:
    for name, classes in SETS.items():
        found = plugins.find("datasets", f"{name}_mnist")
        flag = found.PARAMS["flag"]
        assert flag == name.replace("_", "") + "mnist"
        assert len(found.CLASSES) == len(set(found.CLASSES)) == classes
        assert {len(md5) for md5 in _medmnist.MD5[flag].values()} == {32}
        own = found.wants("train", {**found.PARAMS, "root": "/data"})
        assert list(own) == [f"/data/{flag}_64.npz"]
        assert _medmnist.MD5[flag][64] in own[f"/data/{flag}_64.npz"]
    assert sum(count for count, _, _ in _medmnist.COUNTS.values()) == 439_707
    assert _medmnist.COUNTS["tissuemnist"] == (165_466, 23_640, 47_280)
    licences = {name: plugins.find("datasets", f"{name}_mnist").LICENCE for name in SETS}
    assert {name for name, said in licences.items() if "NC" in said} == {"derma"}
    organs = {plugins.find("datasets", f"organ_{axis}_mnist").CLASSES for axis in "acs"}
    assert len(organs) == 1
