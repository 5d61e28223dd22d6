"""Streaming: missing tars are read from a remote or a URL into memory during evaluation.

The setting `shards: {stream: REMOTE}` names the remote. It decides no byte: streamed samples are checked against the
index, as those from the disk are. A tar is read whole, and the next one at the same time.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from shiftbench.base.errors import ChecksumError, DataError, ParamsError, suggest
from shiftbench.data import shards
from shiftbench.workflow.storage import dvc_config, dvc_lock, dvc_store, remotes

TRIES = 4
WAIT = 0.5  # seconds before the second try; twice as long before each further one


class _Source(Protocol):
    """A source of tars."""

    def __call__(self, folder: Path, tar: str, /) -> bytes:
        """The bytes of a tar."""

    def close(self) -> None:
        """Close the connections."""


def use(root: Path, name: str) -> None:
    """Read missing tars from a remote from now on.

    Args:
        root: the output root, in a DVC repository.
        name: name of the remote.

    Raises:
        ParamsError: no such remote.
        DataError: no DVC repository, or nothing was recorded in it.
    """
    home = dvc_config.home_of(root)
    known = [remote.name for remote in remotes.listed(home)]
    if name not in known:
        raise ParamsError(f"params.yaml: shards.stream = {name!r}: no remote has this name; {suggest(name, known)}")
    shards.Elsewhere.set(Ahead(_Objects(home, name)), f"remote {name}")


def stop() -> None:
    """Stop reading tars from a remote."""
    if isinstance(shards.Elsewhere.read, Ahead):
        shards.Elsewhere.read.close()
    shards.Elsewhere.set(None, "")


@contextmanager
def opened(place: Path | str) -> Iterator[Path]:
    """Yield a folder of shards: a local one, or one with manifest and index of a URL, whose tars are read when needed.

    Args:
        place: a folder, or a URL for fsspec (`s3://bucket/folder`, `https://host/folder`).

    Raises:
        DataError: the URL does not answer, or has no shards.
    """
    if "://" not in str(place):
        yield Path(place)
        return
    source = _Folder(str(place))
    ahead = Ahead(source)
    previous = shards.Elsewhere.read, shards.Elsewhere.name
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for name in (shards.MANIFEST, shards.INDEX):
                (Path(scratch) / name).write_bytes(source(Path(scratch), name))
            shards.Elsewhere.set(ahead, source.shown)
            yield Path(scratch)
    finally:
        shards.Elsewhere.set(*previous)
        ahead.close()


class Ahead:
    """Reads a tar, and at the same time the next one in a second thread."""

    def __init__(self, read: _Source) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1)
        self._next: dict[tuple[Path, str], Future[bytes]] = {}

    def __call__(self, folder: Path, tar: str) -> bytes:
        """The bytes of a tar.

        Raises:
            DataError: they cannot be read.
        """
        future = self._next.pop((folder, tar), None)
        self._next.clear()
        data = future.result() if future else self._read(folder, tar)
        tars = shards.manifest(folder)["tars"]
        if len(data) != tars[tar]["bytes"]:
            raise ChecksumError(
                f"{folder / tar}: {shards.Elsewhere.name} has {len(data)} bytes of it, the manifest says "
                f"{tars[tar]['bytes']}; pull it from another remote"
            )
        next_tars = [name for name in sorted(tars) if name > tar and not (folder / name).exists()]
        if next_tars:
            self._next[folder, next_tars[0]] = self._pool.submit(self._read, folder, next_tars[0])
        return data

    def close(self) -> None:
        """Cancel the next tar, and close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._read.close()


class _Objects:
    """The tars of a repository as objects of one of its remotes, read without a DVC command."""

    def __init__(self, home: Path, name: str) -> None:
        self._home, self._name = home, name
        self._outputs = dvc_lock.outputs(home)
        self._cache = dvc_config.cache_of(home)
        self._store: dvc_store.Store | None = None  # opened for the first tar
        self._files: dict[str, dict[str, str]] = {}

    def __call__(self, folder: Path, tar: str) -> bytes:
        def read() -> bytes:
            if self._store is None:
                self._store = dvc_store.Store(self._home, self._name)
            return bytes(self._store.fs.fs.cat_file(self._store.object(self._oid(folder / tar))))

        return _with_retries(read, folder / tar, f"remote {self._name}", self._home)

    def close(self) -> None:
        """Close the connections."""
        if self._store is not None:
            _close(self._store.fs.fs)

    def _oid(self, file: Path) -> str:
        path = file.resolve().relative_to(self._home).as_posix()
        output = next((candidate for candidate in self._outputs if path.startswith(f"{candidate.path}/")), None)
        if output and output.path not in self._files and self._store:
            self._files[output.path] = output.files(self._store.listing(output, self._cache))
        oid = self._files.get(output.path, {}).get(path) if output else None
        if oid is None:
            raise DataError(f"{path} is neither here nor recorded in dvc.lock; `make run` makes it")
        return oid


class _Folder:
    """The files of a folder at a URL."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.shown = remotes.redacted(url)
        try:
            self._fs, self._path = url_to_fs(url.rstrip("/"), **_options(url))
        except (ImportError, ValueError) as error:
            raise DataError(f"cannot open {self.shown}: {error}; S3 and HTTP come with shiftbench[remotes]") from error

    def __call__(self, _: Path, name: str) -> bytes:
        base, question, query = self._path.partition("?")
        path = f"{base}/{name}{question}{query}"
        return _with_retries(lambda: bytes(self._fs.cat_file(path)), Path(name), self.shown, None)

    def close(self) -> None:
        """Close the connections."""
        _close(self._fs)


def _close(fs: Any) -> None:
    """Close the session of an HTTP client, which would warn about it at its end."""
    from fsspec.asyn import sync

    session: Any = getattr(fs, "_session", None)
    if hasattr(session, "close"):
        sync(fs.loop, session.close)


def _options(url: str) -> dict[str, Any]:
    """Time limits for a client; a large tar may take any time while bytes arrive."""
    if url.startswith("s3://"):
        limits = {"connect_timeout": dvc_store.CONNECT, "read_timeout": dvc_store.READ}
        return {"config_kwargs": limits}
    if not url.startswith("http"):
        return {}
    import aiohttp

    limit = aiohttp.ClientTimeout(total=None, sock_connect=dvc_store.CONNECT, sock_read=dvc_store.READ)
    return {
        "client_kwargs": {"timeout": limit, "trust_env": True},
        "skip_instance_cache": True,  # it is closed after use
    }


def _with_retries(read: Callable[[], bytes], file: Path, source: str, home: Path | None) -> bytes:
    """Call `read`, again if the connection breaks."""
    for further_tries in reversed(range(TRIES)):
        try:
            with dvc_store.quiet():
                return read()
        except FileNotFoundError:
            raise DataError(f"{file}: {source} does not have it; push it there, or name another remote") from None
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001 - clients raise whatever they like when a connection breaks
            if not further_tries:
                reason = remotes.redacted(dvc_store.error_text(error), home)
                raise DataError(
                    f"{file}: {source} did not send it in {TRIES} tries ({reason}); `shiftbench doctor "
                    "--remotes` shows which remotes answer: run again, name another remote, or pull it"
                ) from None
            time.sleep(WAIT * 2 ** (TRIES - 1 - further_tries))
    raise AssertionError
