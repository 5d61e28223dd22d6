"""What a stranger's remote sends is read up to a limit: it fills neither the memory nor the disk."""

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from shiftbench.base.errors import ChecksumError, DataError
from shiftbench.workflow.storage import bounded, dvc_store, remotes, streaming

OID = "0" * 32
BLOCK = bytes(1 << 20)
MOST = 300
"""Blocks that a server sends to a client that never leaves."""
FEW = 150
"""Blocks that eight connections may have under way when a client leaves."""


class Remote(BaseHTTPRequestHandler):
    """Sends what `answers` has for a path, and of anything else one block after another."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, bytes]]
    sent: ClassVar[list[int]]
    packed: ClassVar[bool]
    stalls: ClassVar[threading.Event | None]

    def do_GET(self) -> None:
        data = self.answers.get(self.path)
        block = gzip.compress(BLOCK) if self.packed else BLOCK
        self.send_response(200)
        if data is not None:
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Content-Encoding", "gzip" if self.packed else "identity")
        self.end_headers()
        if data is not None:
            self.wfile.write(data)
            return
        for _ in range(MOST):
            try:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
            except OSError:
                return
            self.sent.append(len(block))
            if self.stalls:
                self.stalls.wait(30)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def remote(home: Path, size: int | None = None, *, packed: bool = False, stalls: bool = False) -> Iterator[list[int]]:
    """Serve the remote of a repository whose dvc.lock names two files, of which the remote has the listing alone."""
    listing = json.dumps([{"relpath": name, "md5": _md5(name.encode())} for name in ("a", "b/c")]).encode()
    oid = _md5(listing)
    answers = {f"/files/md5/{oid[:2]}/{oid[2:]}.dir": listing}
    stop = threading.Event()
    facts = {"answers": answers, "sent": [], "packed": packed, "stalls": stop if stalls else None}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Remote,), facts)) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        (home / ".dvc").mkdir(parents=True)
        configure(home, f"http://127.0.0.1:{httpd.server_port}")
        stated = "" if size is None else f"      size: {size}\n"
        (home / "dvc.lock").write_text(f"stages:\n  s:\n    outs:\n    - path: data\n      md5: {oid}.dir\n{stated}")
        yield facts["sent"]
        stop.set()
        httpd.shutdown()


@contextmanager
def store(home: Path) -> Iterator[dvc_store.Store]:
    """Open the remote, and close its connections."""
    opened = dvc_store.Store(home, "r")
    with dvc_store.quiet():
        yield opened
    streaming._close(opened.fs.fs)


def configure(home: Path, url: str) -> None:
    (home / ".dvc/config").write_text(f"[core]\nremote = r\n['remote \"r\"']\nurl = {url}\n")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def left(home: Path) -> list[Path]:
    """Return what is in the cache but the listing."""
    return [file for file in (home / ".dvc").rglob("*.part") if file.is_file()]


@pytest.mark.parametrize("packed", [False, True])
def test_an_object_ends_at_the_size_that_dvc_lock_states(tmp_path: Path, packed: bool) -> None:
    with remote(tmp_path, 10, packed=packed) as sent:
        with pytest.raises(DataError, match="more than 10 bytes, the most that it may have"):
            remotes.bring(tmp_path, ["data"])
        assert packed or len(sent) < FEW
    assert left(tmp_path) == []


def test_where_no_size_is_stated_a_part_of_the_disk_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    with remote(tmp_path) as sent, store(tmp_path) as opened:
        with pytest.raises(ChecksumError, match=f"more than {9 << 20} bytes"):
            opened.get(OID, tmp_path / "file", None)
        assert len(sent) < FEW


@pytest.mark.parametrize("packed", [False, True])
def test_a_listing_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    monkeypatch.setattr(dvc_store, "_LISTING", 1 << 20)
    with remote(tmp_path, packed=packed) as sent, store(tmp_path) as opened:
        with pytest.raises(ChecksumError, match="more than"):
            opened.read(f"{OID}.dir")
        assert packed or len(sent) < FEW


@pytest.mark.parametrize("packed", [False, True])
def test_a_remote_that_is_asked_whether_it_answers_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    import aiohttp

    def read(_: object, *__: object) -> bytes:
        raise AssertionError("a body was read")

    monkeypatch.setattr(aiohttp.StreamReader, "read", read)
    with remote(tmp_path, packed=packed) as sent, store(tmp_path) as opened:
        opened.answer()
        assert packed or len(sent) < FEW


@pytest.mark.parametrize("kind", ["device", "large", "pipe", "folder"])
def test_a_remote_in_a_folder_has_the_same_limits(tmp_path: Path, kind: str) -> None:
    (tmp_path / ".dvc").mkdir()
    configure(tmp_path, str(tmp_path / "remote"))
    file = tmp_path / "remote/files/md5/00" / OID[2:]
    file.parent.mkdir(parents=True)
    if kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.touch()
        os.truncate(file, 1 << 40)
    with pytest.raises(ChecksumError, match="more than 6 bytes"):
        dvc_store.Store(tmp_path, "r").get(OID, tmp_path / "file", 6)


def test_nothing_stays_of_a_download_that_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "STALL", 3)
    with remote(tmp_path, stalls=True), pytest.raises(DataError, match="no answer within 3 s"):
        remotes.bring(tmp_path, ["data"])
    assert left(tmp_path) == []
