"""Locks of GPUs lie in a folder of the user's own, though anybody may write where temporary files are."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from shiftbench.base.errors import DataError
from shiftbench.evaluation import devices


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder of locks will be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("os.getuid", lambda: 4711)
    return tmp_path / "shiftbench-gpus-4711"


def test_gpus_are_handed_out_one_each(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(place.parent))
    with ExitStack() as one, ExitStack() as two:
        assert [devices._first_free(2, stack) for stack in (one, two)] == [0, 1]
    with ExitStack() as again:
        assert devices._first_free(2, again) == 0
        (folder,) = place.parent.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "make",
    [
        lambda place: place.symlink_to(place.parent),
        lambda place: place.mkdir(),  # by another user
        lambda place: place.touch(),
    ],
)
def test_a_folder_that_somebody_else_made_is_refused(place: Path, make: Callable[[Path], None]) -> None:
    make(place)
    with ExitStack() as stack, pytest.raises(DataError, match="who may have made it"):
        devices._first_free(1, stack)


def test_a_lock_is_not_followed_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "0").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic link"):
        devices._open_lock(tmp_path / "0")
    assert (tmp_path / "secret").read_text() == "secret"
