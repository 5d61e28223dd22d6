"""What DVC stores: the files that dvc.lock names, the object that holds each, and a remote that has the objects.

An object lies at `files/md5/ab/cdef...` and is named by its md5; an output that is a folder has one more, a
listing of its files. Nothing here asks a terminal for a password: a job and a pipe have none.
"""

import functools
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from shiftbench.base.errors import ChecksumError, DataError
from shiftbench.base.files import from_json, from_yaml, sha256, stays_below
from shiftbench.provenance import opened_files, trust

CONNECT, READ = 10, 60
"""Seconds that a server may take to accept a connection, and to send the next bytes."""
_LIMITS: dict[str, dict[str, Any]] = {
    "s3": {"connect_timeout": CONNECT, "read_timeout": READ},
    "http": {"connect_timeout": CONNECT, "read_timeout": READ},
    "https": {"connect_timeout": CONNECT, "read_timeout": READ},
}
_LISTING = 1 << 28
"""Bytes that a listing may have: those of two million files."""
_PROMPTS = ("ask_password", "ask_passphrase")

_HARMLESS: dict[str, frozenset[str]] = {
    "core": frozenset(
        "remote checksum_jobs interactive analytics hardlink_lock no_scm autostage experiments check_update".split()
    ),
    "cache": frozenset("type protected shared slow_link_warning verify".split()),
    "remote": frozenset(
        "url checksum_jobs jobs worktree no_traverse version_aware type protected shared slow_link_warning verify auth "
        "custom_auth_header user password ask_password ssl_verify method connect_timeout read_timeout timeout token "
        "region profile endpointurl access_key_id secret_access_key session_token listobjects use_ssl "
        "allow_anonymous_login sse sse_kms_key_id sse_customer_algorithm sse_customer_key acl grant_read "
        "grant_read_acp grant_write_acp grant_full_control cache_regions projectname port passphrase ask_passphrase "
        "keyfile gss_auth allow_agent max_sessions connection_string sas_token account_name account_key tenant_id "
        "client_id client_secret connection_timeout oss_key_id oss_key_secret oss_endpoint".split()
    ),
}
"""What DVC's configuration may say in a checkout that is not trusted; others name programs, or files that name some."""


@dataclass(frozen=True, slots=True)
class Output:
    """A path that dvc.lock names: its object (`... .dir` is a listing), and how many bytes its files have."""

    path: str
    oid: str
    size: int | None

    @property
    def is_folder(self) -> bool:
        """Whether the object is a listing of files."""
        return self.oid.endswith(".dir")

    def files(self, listing: bytes | None) -> dict[str, str]:
        """Return the object of each file, by the file's path; a folder's listing is needed for it.

        Raises:
            DataError: it is no listing, or one that leads out of the folder.
        """
        if listing is None:
            return {self.path: self.oid}
        try:
            rows = [(row["relpath"], row["md5"]) for row in from_json(listing)]
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{self.path}: object {self.oid} is no listing of a folder") from None
        return {f"{self.path}/{name}": _safe(name, oid, self.path) for name, oid in rows}

    def meets(self, targets: Iterable[str]) -> bool:
        """Whether the output lies at or below one of the targets, or a target below it."""
        return any(lies_at(self.path, one) or lies_at(one, self.path) for one in targets)


def _safe(path: object, oid: object, where: str) -> str:
    """Return the name of an object, which becomes a path as its file's does.

    Raises:
        DataError: one of the two would lead elsewhere.
    """
    if not stays_below(path):
        raise DataError(f"{where} names the file {path!r}, which leads outside; nothing is written")
    if not isinstance(oid, str) or not re.fullmatch("[0-9a-f]{32}", oid):
        raise DataError(f"{where} names the object {oid!r} of {path}, which is no md5")
    return oid


def lies_at(path: str, target: str) -> bool:
    """Whether a path is a target, lies below it, or is the target's name with an extension.

    Example:
        >>> [lies_at(path, "fog/3") for path in ("fog/3/000000.tar", "fog/3.json", "fog/3.5.json", "fog/30.json")]
        [True, True, False, False]
    """
    if not path.startswith(target):
        return False
    rest = path[len(target) :]
    return not rest or target.endswith("/") or re.match(r"/|\.[a-z]", rest) is not None


def home_of(folder: Path) -> Path:
    """Return the repository that a folder lies in: where `.dvc` is.

    Raises:
        DataError: it lies in none.
    """
    for candidate in (folder.resolve(), *folder.resolve().parents):
        if (candidate / ".dvc").is_dir():
            return candidate
    raise DataError(f"{folder} lies in no DVC repository, so there is no remote; `dvc init` makes one")


def config(home: Path) -> Any:
    """Return DVC's configuration of a repository, all levels merged.

    Raises:
        DataError: DVC cannot read it.
    """
    from dvc.config import Config, ConfigError

    try:
        return Config(str(home / ".dvc"))
    except ConfigError as error:
        raise DataError(f"{home / '.dvc'}: DVC cannot read its configuration: {error}") from None


def check_config(home: Path) -> None:
    """Refuse what a checkout's own files tell DVC and could start a program, unless the checkout is trusted.

    Raises:
        UntrustedError: there is such a setting.
        DataError: as `config`.
    """
    found = config(home)
    for level, file in (("repo", "config"), ("local", "config.local")):
        for key in _harmful(found.load_one(level)):
            what = f".dvc/{file} sets {key}, with which DVC may start programs or write elsewhere"
            trust.require(what, home)


def _harmful(level: dict[str, Any]) -> Iterator[str]:
    """Yield the settings of one file that are not among the harmless ones."""
    for section, values in level.items():
        named = values.items() if section == "remote" else [("", values)]
        for name, options in named:
            for key in sorted(options.keys() - _HARMLESS.get(section, frozenset())):
                yield ".".join(filter(None, (section, name, key)))


def outputs(home: Path) -> list[Output]:
    """Return what dvc.lock records as stored, in its order, then what those of systems do (`recorded_systems`).

    Raises:
        DataError: there is no dvc.lock: nothing was recorded; or one names a path that leads outside.
    """
    locks = [file for file in (home / "dvc.lock", *_of_systems(home)) if file.is_file()]
    if not locks:
        raise DataError(f"{home / 'dvc.lock'} does not exist: nothing was recorded here; `make record` does it")
    return [output for lock in locks for output in _stored(lock)]


def _of_systems(home: Path) -> list[Path]:
    return sorted((home / "published").glob("systems/**/dvc.lock"))


def _stored(lock: Path) -> list[Output]:
    kept_in_git = _uncached(lock.with_name("dvc.yaml"))
    stored = [
        (out["path"], out["md5"], size if isinstance(size := out.get("size"), int) else None)
        for out in _outs(lock)
        if isinstance(out, dict) and "md5" in out and str(out.get("path")) not in kept_in_git
    ]
    for path, oid, _ in stored:
        _safe(path, str(oid).removesuffix(".dir"), str(lock))
    return [Output(*one) for one in stored]


def _uncached(file: Path) -> set[str]:
    """Return the outputs of dvc.yaml that are in no cache and no remote."""
    outs = [out for out in _outs(file) if isinstance(out, dict)] if file.is_file() else []
    named = [(name, how) for out in outs for name, how in out.items() if isinstance(how, dict)]
    return {str(name) for name, how in named if how.get("cache") is False}


def _outs(file: Path) -> list[Any]:
    """Return the outputs of all stages as dvc.yaml or dvc.lock has them.

    Raises:
        DataError: it is no such file.
    """
    try:
        stages = from_yaml(file.read_text())["stages"].values()
        return [out for stage in stages for out in stage.get("outs", ())]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{file} is no list of stages as DVC writes it: {why}") from None


def recorded(home: Path) -> dict[str, str]:
    """Return every file that is recorded and whose listing is in the cache, with its object."""
    cache = cache_of(home)
    found: dict[str, str] = {}
    for output in outputs(home):
        kept = cache / place(output.oid)
        if not output.is_folder:
            found[output.path] = output.oid
        elif kept.is_file():
            found |= output.files(kept.read_bytes())
    return found


def copy(file: Path, digest: str, there: Path) -> bool:
    """Write what the cache has of a recorded file to another place.

    Args:
        file: as it is recorded.
        digest: sha256 of the bytes that are wanted.
        there: where they are written.

    Returns:
        Whether that was done: not where other bytes or nothing was recorded, or DVC is not installed.
    """
    try:
        home = home_of(file.parent)
        kept = _kept(home).get((file.parent.resolve() / file.name).relative_to(home).as_posix())
        if kept is None:
            return False
        shutil.copyfile(kept, there)
    except (ImportError, OSError, DataError):
        return False
    return sha256(there) == digest


@functools.cache
def _kept(home: Path) -> dict[str, Path]:
    """Return the objects of all that is recorded, once in a process."""
    cache = cache_of(home)
    return {path: cache / place(oid) for path, oid in recorded(home).items()}


def paths(home: Path) -> set[str]:
    """Return every output, file and folder that is recorded, as far as listings are in the cache."""
    roots, files = {output.path for output in outputs(home)}, recorded(home)
    above = {str(folder) for path in files for folder in PurePosixPath(path).parents}
    inside = {folder for folder in above if any(folder.startswith(f"{root}/") for root in roots)}
    return roots | inside | set(files)


def matching(home: Path, targets: list[str]) -> list[str]:
    """Return the targets that are recorded, as file or folder; for others, the files that have their name."""
    files, known = recorded(home), paths(home)
    found: list[str] = []
    for target in targets:
        found += [target] if target in known else [p for p in files if lies_at(p, target)]
    return found


def cache_of(home: Path) -> Path:
    """Return the folder of objects that were pulled or made here."""
    given = config(home)["cache"].get("dir")
    return Path(given or home / ".dvc" / "cache") / "files" / "md5"


def links(home: Path) -> dict[Path, Path]:
    """Return the files that DVC may have put here as symbolic links (`cache.type`), each with its object."""
    if "symlink" not in (config(home)["cache"].get("type") or ()):
        return {}
    cache = cache_of(home)
    return {home / path: cache / place(oid) for path, oid in recorded(home).items()}


def place(oid: str) -> str:
    """Return where an object lies below a folder of objects.

    Example:
        >>> place("abcdef.dir")
        'ab/cdef.dir'
    """
    return f"{oid[:2]}/{oid[2:]}"


class Store:
    """One remote of a repository, opened as DVC's configuration says (`.dvc/config`, `.dvc/config.local`, ...)."""

    def __init__(self, home: Path, name: str) -> None:
        from dvc.fs import get_cloud_fs

        kind, options, self.path = get_cloud_fs(config(home), name=name)
        self.protocol: str = kind.protocol
        options = {**_LIMITS.get(self.protocol, {}), **options}
        for prompt in _PROMPTS:
            options.pop(prompt, None)
        self.read_only = self._known_read_only(options)
        self.fs: Any = kind(**options, **_no_questions(self.protocol))
        if self.protocol in ("http", "https") and "auth" in options:
            self.fs.fs_args["client_kwargs"]["trace_configs"] = [_no_redirects()]
        if self.protocol == "ssh":  # a server that is gone is noticed, not waited for
            self.fs.fs_args |= {"keepalive_interval": CONNECT, "login_timeout": 2 * CONNECT}
        if self.protocol == "s3":
            self.fs.fs_args["config_kwargs"]["retries"] = {"max_attempts": 2}

    def _known_read_only(self, options: dict[str, Any]) -> bool | None:
        """Whether nothing can be pushed, where that can be known without trying."""
        if self.protocol in ("http", "https"):
            return "method" not in options
        return not _writable(Path(self.path)) if self.protocol == "local" else None

    def object(self, oid: str) -> str:
        """Return where the remote keeps an object."""
        return f"{self.path.rstrip('/')}/files/md5/{place(oid)}"

    def _lacks(self, oid: str) -> str:
        if self.protocol == "local" and not Path(self.path).is_dir():
            return f"{self.path} does not exist on this machine; the first push makes it"
        return f"object files/md5/{place(oid)} is missing"

    def answer(self) -> None:
        """Return when the remote answers; whether it holds anything is another matter.

        Raises:
            OSError and what the client raises: it does not answer, or refuses.
        """
        if self.protocol not in ("http", "https"):
            self.fs.exists(self.path)
            return
        from fsspec.asyn import sync

        try:  # `exists` says no for a server that is down
            sync(self.fs.fs.loop, self._asked)
        except Exception as error:  # noqa: BLE001 - clients raise whatever they like
            broken = _unanswered(error)
            if broken is not None:
                raise broken from None

    async def _asked(self) -> None:
        """Ask a server of HTTP for its status; the body, which may have no end, is not read."""
        session = await self.fs.fs.set_session()
        async with session.get(self.path.rstrip("/") + "/", **self.fs.fs.kwargs) as answer:
            answer.raise_for_status()

    def sizes(self, oids: list[str]) -> dict[str, int | None]:
        """Return the bytes of objects on the remote; None for one that is not there.

        Raises:
            OSError and what the client raises: the remote does not say.
        """
        infos = self.fs.info([self.object(oid) for oid in oids], return_exceptions=True)
        for info in infos:
            broken = _unanswered(info) if isinstance(info, BaseException) else None
            if broken is not None:
                raise broken
        return {
            oid: None if isinstance(info, BaseException) else info.get("size")
            for oid, info in zip(oids, infos, strict=True)
        }

    def get(self, oid: str, file: Path, limit: int | None, count: Any = None) -> None:
        """Copy an object into a file, unchecked; see `bounded.get`.

        Raises:
            ChecksumError: it has more bytes than `limit`.
            OSError and what the client raises: it did not come.
        """
        from shiftbench.workflow.storage import bounded

        try:
            bounded.get(self.fs, self.object(oid), file, limit, count)
        except bounded.TooLargeError as error:
            raise ChecksumError(f"object files/md5/{place(oid)} is damaged: {error}") from None

    def read(self, oid: str) -> bytes:
        """Return the bytes of a listing, checked.

        Raises:
            ChecksumError: they are not those that its name says, or too many.
            FileNotFoundError: it is not there.
            OSError and what the client raises: the connection broke.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.get(oid, Path(folder, "listing"), _LISTING)
                return _checked(Path(folder, "listing").read_bytes(), oid)
        except FileNotFoundError as error:
            raise _unanswered(error) or FileNotFoundError(self._lacks(oid)) from None

    def listing(self, output: Output, cache: Path) -> bytes | None:
        """Return the listing of a folder, checked, from the cache where it is there; None for a single file.

        Raises:
            ChecksumError: the cache's or the remote's is not the one that its name says.
        """
        if not output.is_folder:
            return None
        kept = cache / place(output.oid)
        opened_files.checked(kept)
        return _checked(kept.read_bytes(), output.oid) if kept.is_file() else self.read(output.oid)


def _checked(data: bytes, oid: str) -> bytes:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != oid.removesuffix(".dir"):
        raise ChecksumError(damaged(oid, len(data), digest))
    return data


def _unanswered(error: BaseException) -> BaseException | None:
    """Return why a question has no answer; None where the answer is that something is not there.

    A client of HTTP also says so of a server that it cannot reach, and a server's refusal to list a folder is an
    answer.
    """
    behind = error.__cause__
    if isinstance(error, FileNotFoundError):
        return behind if type(behind).__module__.startswith("aiohttp") and not _status(behind) else None
    return None if _status(error) in (400, 403, 404, 405) else error


def _status(error: BaseException | None) -> int | None:
    status: int | None = getattr(error, "status", None)
    return status


def damaged(oid: str, size: int, digest: str) -> str:
    """Return what is wrong with an object whose bytes are not its name's."""
    return f"object files/md5/{place(oid)} is damaged: its {size} bytes have the md5 {digest}"


def spell(error: BaseException) -> str:
    """Return a client's error on one line; the one behind it where it says nothing itself."""
    text = str(error) or str(error.__cause__ or error.__context__ or "") or type(error).__name__
    return " ".join(text.split())


def _no_questions(protocol: str) -> dict[str, Any]:
    """Return what keeps a client from asking the terminal."""
    if protocol != "ssh":
        return {}
    import asyncssh

    return {"client_factory": asyncssh.SSHClient}


def _no_redirects() -> Any:
    """Return what keeps a client of HTTP from sending a password to another host than the one it is for."""
    import aiohttp

    async def refuse(_session: object, _context: object, redirect: Any) -> None:
        place = redirect.url.join(type(redirect.url)(redirect.response.headers["Location"]))
        if place.origin() != redirect.url.origin():
            raise ConnectionError(
                f"{redirect.url.origin()} sends on to {place.origin()}, which is not sent the password; name that one"
            )

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(refuse)
    return tracing


def _writable(folder: Path) -> bool:
    import os

    here = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(here, os.W_OK)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep clients from logging: their words may hold what nobody else should read."""
    import logging

    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
