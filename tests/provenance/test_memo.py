"""Digests that are remembered are those of the bytes, whatever is done to files and to what is kept of them."""

import os
import random  # noqa: TID251 - of what is done to a file, and seeded
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shiftbench.base import registry
from shiftbench.base.files import sha256
from shiftbench.provenance.memo import Digests, Memo

LONG = 0.05
"""Seconds after which the clock of a file system has ticked."""


def rewrite(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(draw.randint(0, 3)))


def rewrite_under_old_times(file: Path, draw: random.Random) -> None:
    """As many bytes, in place, and the time of the file as before."""
    times = file.stat()
    file.write_bytes(draw.randbytes(times.st_size))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace(file: Path, draw: random.Random) -> None:
    other = file.with_name("other")
    rewrite(other, draw)
    times = file.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(file)


def swap(file: Path, _: random.Random) -> None:
    second, aside = file.with_name("second"), file.with_name("aside")
    for one, other in ((file, aside), (second, file), (aside, second)):
        one.rename(other)


def set_time(file: Path, draw: random.Random) -> None:
    os.utime(file, (0, draw.choice([0, 1, 4e9])))


def link(file: Path, draw: random.Random) -> None:
    target = file.with_name(f"target-{draw.random()}")
    rewrite(target, draw)
    file.unlink()
    file.symlink_to(target)


def damage_what_is_kept(file: Path, draw: random.Random) -> None:
    """Change what is behind a digest; another digest under the same times would be a lie, which nobody looks for."""
    kept = file.parent / "logs/digests"
    if kept.is_file():
        digest = kept.read_bytes()[:64]
        other = [b"", b" 1", b" 1 2 3 4 first", b" " + draw.randbytes(40), b" 1" * 90, b"\xff\0" * 9]
        kept.write_bytes(digest + draw.choice(other) + b"\n")


def lose_what_is_kept(file: Path, _: random.Random) -> None:
    (file.parent / "logs/digests").unlink(missing_ok=True)


DONE: tuple[Callable[[Path, random.Random], None], ...] = (
    *(rewrite, rewrite_under_old_times, rewrite_under_old_times, replace, swap, set_time, link),
    *(damage_what_is_kept, lose_what_is_kept),
)


@pytest.mark.parametrize("pause", [0.0, LONG])
def test_a_digest_is_that_of_the_bytes(tmp_path: Path, pause: float) -> None:
    """Without a pause all happens within one tick of the clock, where times tell nothing."""
    draw = random.Random(f"memo {pause}")
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(b"ab")
    digests = Digests(tmp_path)
    for _ in range(400 if not pause else 25):
        draw.choice(DONE)(tmp_path / "first", draw)
        time.sleep(pause)
        if draw.random() < 0.3:  # another process
            digests = Digests(tmp_path)
            digests.load()
        for name in ("first", "second"):
            assert digests(name) == sha256(tmp_path / name)
        digests.keep()


def test_what_was_hashed_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"ab")
    time.sleep(LONG)
    first = Digests(tmp_path)
    known = first("file")
    first.keep()
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
    assert first("file") == known
    second = Digests(tmp_path)
    second.load()
    assert second("file") == known
    second.keep()
    assert len((tmp_path / "logs/digests").read_text().splitlines()) == 1


def test_what_is_kept_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shiftbench.provenance.memo._SPARE", 3)
    monkeypatch.setattr("shiftbench.provenance.memo._is_settled", lambda *_: True)
    for number in range(20):
        (tmp_path / "file").write_bytes(b"a" * number)
        digests = Digests(tmp_path)
        digests.load()
        digests("file")
        digests.keep()
    assert len((tmp_path / "logs/digests").read_text().splitlines()) <= 6


def test_nothing_is_kept_in_a_checkout_that_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"ab")
    time.sleep(LONG)
    monkeypatch.setattr(registry.Folders, "only_read", True)
    digests = Digests(tmp_path)
    digests("file")
    digests.keep()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "circle", "nothing"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    made: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
        "device": lambda: place.symlink_to("/dev/zero"),
        "circle": lambda: place.symlink_to(place),
        "nothing": lambda: None,
    }
    made[kind]()
    with pytest.raises(OSError, match=r"place|symbolic links"):
        Memo(lambda stream: stream.read())(str(place))
