"""Pins: files of the user's own enter recipes by their bytes, and others are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shiftbench.data import pins
from shiftbench.errors import ChecksumError, DataError, ParamsError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository with a folder of two files and a callable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/cat").mkdir(parents=True)
    (tmp_path / "photos/cat/one.png").write_bytes(b"one")
    (tmp_path / "photos/two.png").write_bytes(b"two")
    (tmp_path / "net.py").write_text("def predict(samples): ...\n")
    return tmp_path


def recipe(path: str) -> dict[str, object]:
    return {
        "dataset": {"options": {"path": path}, "pinned": pins.digest(path, "datasets.mine.path")}
    }


def test_pin_records_every_file() -> None:
    assert pins.pin([Path("photos"), Path("net.py")]) == 3
    lock = json.loads(Path("sources.lock").read_text())
    assert list(lock) == ["net.py", "photos/cat/one.png", "photos/two.png"]
    assert lock["photos/two.png"]["size"] == 3
    pins.check(recipe("photos"))
    pins.check(recipe("net.py:predict"))


def test_digest_follows_bytes_and_names_alone(here: Path) -> None:
    pins.pin([Path("photos")])
    first = pins.digest("photos", "key")
    os.utime("photos/two.png", (1, 1))
    pins.pin([Path("photos")])
    assert pins.digest("photos", "key") == pins.digest("photos/", "key") == first
    Path("photos/two.png").rename("photos/three.png")
    pins.pin([Path("photos")])
    assert pins.digest("photos", "key") != first
    assert "photos/two.png" not in json.loads(Path("sources.lock").read_text())


def test_a_name_that_begins_alike_is_another(here: Path) -> None:
    (here / "photos2").mkdir()
    (here / "photos2/a.png").write_bytes(b"a")
    pins.pin([Path("photos")])
    first = pins.digest("photos", "key")
    pins.pin([Path("photos2")])
    assert pins.digest("photos", "key") == first


def test_touched_file_is_hashed_again_and_other_bytes_are_refused(here: Path) -> None:
    pins.pin([Path("photos")])
    asked = recipe("photos")
    os.utime("photos/two.png", (1, 1))
    pins.check(asked)
    Path("photos/two.png").write_bytes(b"2wo")
    with pytest.raises(
        ChecksumError, match=r"photos/two.png is not the file that was pinned; `shiftbench pin"
    ):
        pins.check(asked)
    Path("photos/two.png").unlink()
    with pytest.raises(DataError, match=r"photos/two.png is pinned in sources.lock but gone"):
        pins.check(asked)


def test_a_new_file_in_a_pinned_folder_is_refused(here: Path) -> None:
    pins.pin([Path("photos")])
    asked = recipe("./photos")
    (here / "photos/three.png").write_bytes(b"three")
    with pytest.raises(
        DataError,
        match=r"photos/three.png is not pinned, but lies in photos; `shiftbench pin photos`",
    ):
        pins.check(asked)


def test_unpinned_and_missing_paths_are_refused() -> None:
    with pytest.raises(
        ParamsError,
        match=r"datasets.mine.path = 'photos' is not pinned.*run `shiftbench pin photos`",
    ):
        pins.digest("photos", "datasets.mine.path")
    assert pins.digest("nowhere/net.py:predict", "key") == pins.ABSENT
    absent = {"model": {"options": {"path": "nowhere/net.py:predict"}, "pinned": pins.ABSENT}}
    with pytest.raises(DataError, match=r"nowhere/net.py is not pinned; bring it, then run"):
        pins.check(absent)
    with pytest.raises(DataError, match="nowhere does not exist; nothing was pinned"):
        pins.pin([Path("photos"), Path("nowhere")])
    assert not Path("sources.lock").exists()
