"""Pins: files of the user's own enter recipes by their bytes, and others are refused."""

import functools
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.data import pins, places


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
    return {"dataset": {"options": {"path": path}, "pinned": pins.digest(path, "datasets.mine.path")}}


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
    with pytest.raises(ChecksumError, match=r"photos/two.png is not the file that was pinned; `shiftbench pin"):
        pins.check(asked)
    Path("photos/two.png").unlink()
    with pytest.raises(DataError, match=r"photos/two.png is pinned in sources.lock but gone"):
        pins.check(asked)


def test_a_new_file_in_a_pinned_folder_is_refused(here: Path) -> None:
    pins.pin([Path("photos")])
    asked = recipe("./photos")
    (here / "photos/three.png").write_bytes(b"three")
    with pytest.raises(DataError, match=r"photos/three.png is not pinned, but lies in photos; `shiftbench pin photos`"):
        pins.check(asked)


def test_unpinned_and_missing_paths_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"datasets.mine.path = 'photos' is not pinned.*run `shiftbench pin photos`"):
        pins.digest("photos", "datasets.mine.path")
    assert pins.digest("nowhere/net.py:predict", "key") == pins.ABSENT
    absent = {"model": {"options": {"path": "nowhere/net.py:predict"}, "pinned": pins.ABSENT}}
    with pytest.raises(DataError, match=r"nowhere/net.py is not pinned; bring it, then run"):
        pins.check(absent)
    with pytest.raises(DataError, match="nowhere does not exist; nothing was pinned"):
        pins.pin([Path("photos"), Path("nowhere")])
    assert not Path("sources.lock").exists()


# ------------------------------------------------------------------ several files in one path


def test_several_files_in_one_path_are_pinned_and_followed_alike(here: Path) -> None:
    """However a path names some of twelve files: they are pinned, found, checked, and nothing else is."""
    rng = np.random.default_rng(0)
    names = [f"of [{kind}]/{number:02d}.tar" for kind in "ab" for number in range(6)]
    for _ in range(12):
        for name in names:
            (here / name).parent.mkdir(exist_ok=True)
            (here / name).write_bytes(rng.bytes(3))
        Path("sources.lock").unlink(missing_ok=True)
        kind, low, high = rng.choice(["a", "b"]), *sorted(rng.choice(6, 2, replace=False))
        some = [f"of [{kind}]/{number:02d}.tar" for number in range(low, high + 1)]
        path, expected = [
            (f"of [{kind}]/{{{low:02d}..{high:02d}}}.tar", some),
            ("::".join(some), some),
            (f"of [{kind}]/*.tar", [name for name in names if f"[{kind}]" in name]),
            (f"{here}/of [{kind}]/?{high}.tar", [f"{here}/of [{kind}]/{high:02d}.tar"]),
        ][rng.integers(4)]
        with pytest.raises(ParamsError, match=r"is not pinned.*; run `shiftbench pin '"):
            pins.digest(path, "datasets.theirs.path")
        pins.pin([path])
        assert list(json.loads(Path("sources.lock").read_text())) == expected
        assert list(pins.local_files(path)) == expected
        before, asked = pins.digest(path, "key"), recipe(path)
        pins.check(asked)
        assert pins.changed_files(path) == []
        touched = str(rng.choice(names if path[0] != "/" else expected))
        Path(touched).write_bytes(b"others")
        assert pins.changed_files(path) == [touched] * (touched in expected)
        pins.pin([path])
        assert (pins.digest(path, "key") == before) == (touched not in expected)


@pytest.mark.parametrize(
    "path",
    ["pipe:touch X", "x.tar::pipe:touch X", "{pipe:touch X,y}", "{y,{z,pipe:touch X}}", "s3://a/b.tar",
     "::pipe:touch X", "file://pipe:touch X", "a-{000000..999999}.tar", "a-{00..01.tar"],
)  # fmt: skip
def test_what_no_path_may_be_is_refused_by_the_plan(path: str) -> None:
    with pytest.raises(ParamsError, match=r"^datasets\.theirs\.path = "):
        pins.digest(path, "datasets.theirs.path")
    with pytest.raises(ParamsError):
        pins.local_files(path)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def site(here: Path) -> Iterator[str]:
    """The address of a server of the folder `site`."""
    (here / "site").mkdir()
    handler = functools.partial(_Quiet, directory="site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_addresses_are_read_once_and_their_bytes_are_checked(
    here: Path, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(here / "cache"))
    path = f"{site}/a-{{0..1}}.tar"
    with pytest.raises(ParamsError, match="is not pinned"):
        pins.digest(path, "key")
    with pytest.raises(DataError, match=r"a-0.tar cannot be read: .*404"):
        pins.pin([path])
    for number in range(2):
        (here / f"site/a-{number}.tar").write_bytes(b"%d" % number)
    assert pins.pin([path]) == 2
    (here / "site/a-0.tar").write_bytes(b"others")
    asked = recipe(path)
    pins.check(asked)  # from the cache
    assert [file.read_bytes() for file in pins.local_files(path).values()] == [b"0", b"1"]
    kept = pins.local_files(path)[places.places(path)[0]]
    kept.unlink()  # another machine
    with pytest.raises(ChecksumError, match=r"a-0.tar has other bytes than were pinned"):
        pins.check(asked)
    (here / "site/a-0.tar").write_bytes(b"0")
    pins.check(asked)
    assert kept.read_bytes() == b"0"
