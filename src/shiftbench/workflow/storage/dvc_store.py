"""A remote of DVC: its objects, with limits of time and size.

The clients never ask for a password on a terminal, because jobs and pipes have none.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shiftbench.base.errors import ChecksumError
from shiftbench.provenance import opened_files
from shiftbench.workflow.storage import dvc_config
from shiftbench.workflow.storage.dvc_lock import Output, place

CONNECT, READ = 10, 60
"""Seconds that a server may take to accept a connection, and to send the next bytes."""
_LIMITS: dict[str, dict[str, Any]] = {
    "s3": {"connect_timeout": CONNECT, "read_timeout": READ},
    "http": {"connect_timeout": CONNECT, "read_timeout": READ},
    "https": {"connect_timeout": CONNECT, "read_timeout": READ},
}
_LISTING = 1 << 28
"""Most bytes of a listing: two million files."""
_PROMPTS = ("ask_password", "ask_passphrase")


class Store:
    """One remote of a repository, opened with DVC's configuration (`.dvc/config`, `.dvc/config.local`, ...)."""

    def __init__(self, home: Path, name: str) -> None:
        from dvc.fs import get_cloud_fs

        kind, options, self.path = get_cloud_fs(dvc_config.load(home), name=name)
        self.protocol: str = kind.protocol
        options = {**_LIMITS.get(self.protocol, {}), **options}
        for prompt in _PROMPTS:
            options.pop(prompt, None)
        self.read_only = self._known_read_only(options)
        self.fs: Any = kind(**options, **_no_questions(self.protocol))
        if self.protocol in ("http", "https") and "auth" in options:
            self.fs.fs_args["client_kwargs"]["trace_configs"] = [_no_redirects()]
        if self.protocol == "ssh":  # a dead server is an error, not a wait
            self.fs.fs_args |= {"keepalive_interval": CONNECT, "login_timeout": 2 * CONNECT}
        if self.protocol == "s3":
            self.fs.fs_args["config_kwargs"]["retries"] = {"max_attempts": 2}

    def _known_read_only(self, options: dict[str, Any]) -> bool | None:
        """Whether pushes are impossible; None if only a push would show it."""
        if self.protocol in ("http", "https"):
            return "method" not in options
        return not _writable(Path(self.path)) if self.protocol == "local" else None

    def object(self, oid: str) -> str:
        """The path of an object on the remote."""
        return f"{self.path.rstrip('/')}/files/md5/{place(oid)}"

    def _missing(self, oid: str) -> str:
        if self.protocol == "local" and not Path(self.path).is_dir():
            return f"{self.path} does not exist on this machine; the first push makes it"
        return f"object files/md5/{place(oid)} is missing"

    def answer(self) -> None:
        """Wait for an answer of the remote; its content does not matter.

        Raises:
            OSError and errors of the client: it does not answer, or refuses.
        """
        if self.protocol not in ("http", "https"):
            self.fs.exists(self.path)
            return
        from fsspec.asyn import sync

        try:  # `exists` is False for a server that is down
            sync(self.fs.fs.loop, self._request)
        except Exception as error:  # noqa: BLE001 - clients raise whatever they like
            failure = _connection_error(error)
            if failure is not None:
                raise failure from None

    async def _request(self) -> None:
        """Request the status of an HTTP server; the body, which may be endless, is not read."""
        session = await self.fs.fs.set_session()
        async with session.get(self.path.rstrip("/") + "/", **self.fs.fs.kwargs) as answer:
            answer.raise_for_status()

    def sizes(self, oids: list[str]) -> dict[str, int | None]:
        """The sizes of objects on the remote in bytes; None for a missing one.

        Raises:
            OSError and errors of the client: the remote does not answer.
        """
        infos = self.fs.info([self.object(oid) for oid in oids], return_exceptions=True)
        for info in infos:
            failure = _connection_error(info) if isinstance(info, BaseException) else None
            if failure is not None:
                raise failure
        return {
            oid: None if isinstance(info, BaseException) else info.get("size")
            for oid, info in zip(oids, infos, strict=True)
        }

    def get(self, oid: str, file: Path, limit: int | None, count: Any = None) -> None:
        """Copy an object into a file, unchecked; see `bounded.get`.

        Raises:
            ChecksumError: it has more bytes than `limit`.
            OSError and errors of the client: it cannot be read.
        """
        from shiftbench.workflow.storage import bounded

        try:
            bounded.get(self.fs, self.object(oid), file, limit, count)
        except bounded.TooLargeError as error:
            raise ChecksumError(f"object files/md5/{place(oid)} is damaged: {error}") from None

    def read(self, oid: str) -> bytes:
        """The checked bytes of a listing.

        Raises:
            ChecksumError: they do not have the md5 of its name, or are too many.
            FileNotFoundError: it is missing.
            OSError and errors of the client: the connection broke.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.get(oid, Path(folder, "listing"), _LISTING)
                return _checked(Path(folder, "listing").read_bytes(), oid)
        except FileNotFoundError as error:
            raise _connection_error(error) or FileNotFoundError(self._missing(oid)) from None

    def listing(self, output: Output, cache: Path) -> bytes | None:
        """The checked listing of a folder, from the cache or else from the remote; None for a single file.

        Raises:
            ChecksumError: it does not have the md5 of its name.
        """
        if not output.is_folder:
            return None
        cached = cache / place(output.oid)
        opened_files.checked(cached)
        return _checked(cached.read_bytes(), output.oid) if cached.is_file() else self.read(output.oid)


def _checked(data: bytes, oid: str) -> bytes:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != oid.removesuffix(".dir"):
        raise ChecksumError(damage_message(oid, len(data), digest))
    return data


def _connection_error(error: BaseException) -> BaseException | None:
    """The error if a request has no answer; None if the answer is that an object is missing.

    An HTTP client also reports an unreachable server as missing. A server's refusal to list a folder is an answer.
    """
    cause = error.__cause__
    if isinstance(error, FileNotFoundError):
        return cause if type(cause).__module__.startswith("aiohttp") and not _status(cause) else None
    return None if _status(error) in (400, 403, 404, 405) else error


def _status(error: BaseException | None) -> int | None:
    status: int | None = getattr(error, "status", None)
    return status


def damage_message(oid: str, size: int, digest: str) -> str:
    """The message on an object whose bytes do not have the md5 of its name."""
    return f"object files/md5/{place(oid)} is damaged: its {size} bytes have the md5 {digest}"


def error_text(error: BaseException) -> str:
    """The error of a client on one line; the error behind it if it has no text."""
    text = str(error) or str(error.__cause__ or error.__context__ or "") or type(error).__name__
    return " ".join(text.split())


def _no_questions(protocol: str) -> dict[str, Any]:
    """Options that keep a client from asking on the terminal."""
    if protocol != "ssh":
        return {}
    import asyncssh

    return {"client_factory": asyncssh.SSHClient}


def _no_redirects() -> Any:
    """Tracing that keeps an HTTP client from sending a password to another host."""
    import aiohttp

    async def refuse(_session: object, _context: object, redirect: Any) -> None:
        place = redirect.url.join(type(redirect.url)(redirect.response.headers["Location"]))
        if place.origin() != redirect.url.origin():
            raise ConnectionError(
                f"{redirect.url.origin()} redirects to {place.origin()}, without the password; name that host"
            )

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(refuse)
    return tracing


def _writable(folder: Path) -> bool:
    import os

    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(existing, os.W_OK)


@contextmanager
def quiet() -> Iterator[None]:
    """Turn off logging: messages of clients may contain secrets."""
    import logging

    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
