"""Files that a job opens: an audit hook of Python (PEP 578) notes files that neither a recipe nor a lock names.

A job may open
- its inputs and outputs, and recipes, receipts and logs;
- the package; of plugin folders the files that its recipe names, lists of entries and cards of source files;
- the user's own files, as pinned or below a dataset's `root`, and `params.yaml`, locks and DVC's settings next to them;
- files that were compared with a digest in a lock (`checked`);
- installed packages: modules, and data whose sha256 is that of a wheel's RECORD;
- sources of modules that were imported before it began (tracebacks read lines of them);
- bytecode and machine code in the caches of Python and numba;
- files of the system: the interpreter, and `SYSTEM`;
- what it has written itself, or what was written since it began (by the clock of the kernel, which nobody can set back
  for a file: a library's or a child's temporary file). What was older stays so when Python changes its mode, times,
  owner, name or links, or appends to it; what may not be opened may not be given another name either.

A file counts by its real path: through links, `/proc/self/root`, and open folders that a path is relative to.

Everything else could decide a result and is in no recipe. `fetch` is not watched: the card has the digests of its
files. Limits: the hook does not see files that a library opens by itself (Arrow, OpenCV, ONNX), nor other processes.
"""

import contextlib
import functools
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from shiftbench.base import registry
from shiftbench.provenance import installed

SYSTEM = tuple("/proc/ /sys/ /etc/ /usr/ /lib/ /lib32/ /lib64/ /bin/ /sbin/ /run/".split())
"""Places of the operating system; no run's own data belong there. Not /dev: devices are no files; shm is for all."""
_PYTHON = tuple(f"{os.path.realpath(place)}{os.sep}" for place in {sys.prefix, sys.base_prefix, sys.exec_prefix})
_NATIVE = (".pth", ".nbi", ".nbc")
_CACHED = (".pyc", ".nbi", ".nbc")
_NEW_BYTECODE = re.compile(r"\.pyc\.\d+$")
"""The name under which Python writes bytecode, before it renames it."""
_OF_PLUGINS = ("variants.yaml", "__init__.py")
_WRITE_ONLY = os.O_WRONLY
_MOVES = {"os.rename": 2, "os.link": 2}
"""Events that give a file another name; where they say which open folder the first is relative to."""
_TOUCHES = ("os.chmod os.chown os.utime os.setxattr os.removexattr os.truncate os.remove os.symlink").split()
_RENAMES = (*_MOVES, "os.remove", "os.symlink")
_EVENTS = frozenset({"open", *_MOVES, *_TOUCHES})
_WITH_FOLDER = ("os.chmod", "os.chown", "os.utime", "os.remove")
"""Events whose last argument is the open folder that the first is relative to."""


class Watch:
    """The files that one job opens.

    Args:
        allowed: beginnings of absolute paths that it may open; a folder ends with a separator.
        code: the source files and assets that recipes name.
    """

    def __init__(self, allowed: Iterable[str], code: Iterable[Path] = ()) -> None:
        registry.scan()
        packages = (registry.PACKAGE, registry.PACKAGE.resolve())
        # With one note of its installer: libraries ask every package on the path for entry points.
        pattern = "shiftbench-*.dist-info/entry_points.txt"
        notes = (str(note) for place in packages for note in place.parent.glob(pattern))
        package_files = (*(f"{place}{os.sep}" for place in packages), *notes)
        caches = (sys.pycache_prefix, os.environ.get("NUMBA_CACHE_DIR"))
        self._caches = tuple(f"{os.path.abspath(place)}{os.sep}" for place in caches if place)  # noqa: PTH100
        self._allowed = (*package_files, *allowed)
        self._code = {os.path.realpath(path) for path in code}
        self._homes = tuple(f"{os.path.realpath(f)}{os.sep}" for f in registry.Folders.extra)
        self._before = frozenset(sys.modules)
        self._seen: set[str] = set()
        self._data: set[str] = set()
        self._older: set[tuple[int, int]] = set()
        self._leaving: dict[tuple[int, int], str] = {}
        self._began = time.time_ns() - 50_000_000  # the kernel's clock moves in steps
        self._undeclared: set[str] = set()

    def allow(self, file: Path) -> None:
        """Allow one more file."""
        self._allowed += (str(file.absolute()), str(file.resolve()))

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note that an event of Python opens a file, moves it, or changes its time of change."""
        if event == "open":
            self._hear_open(*arguments)
            return
        if event in _RENAMES:
            self._seen.clear()  # a seen name may be that of another file now
        if event == "os.remove":
            self._note_leaving(arguments[0], arguments[-1])
        elif event == "os.rename":
            self._note_leaving(arguments[1], arguments[3])
        if event in _MOVES:
            for name in _places(arguments[0], arguments[_MOVES[event]]):
                self._hear_move(name)
        else:
            self._remember(arguments[0], arguments[-1] if event in _WITH_FOLDER else -1)

    def _hear_open(self, path: Any, mode: Any, flags: Any) -> None:
        """Note an opened file that nothing allows."""
        if isinstance(path, int) or path in self._seen:
            return
        flags = flags if isinstance(flags, int) else 0
        if flags & os.O_TRUNC:
            return  # its content is the job's own then
        if flags & _WRITE_ONLY or flags & os.O_CREAT:
            self._remember(path, -1)
        if flags & _WRITE_ONLY:
            return
        for name in _places(path, None if mode is None else -1):
            self._hear_read(name)
        if os.path.isabs(path):  # noqa: PTH117 - a hook must be quick, and open nothing
            self._seen.add(path)

    def _hear_read(self, name: str) -> None:
        real = os.path.realpath(name)
        if os.path.isfile(real) and not self._is_allowed(name, real):  # noqa: PTH113 - likewise
            self._judge(real)

    def _hear_move(self, name: str) -> None:
        """Note a renamed file, or the files of a renamed folder: a job may not move files that it may not open."""
        self._hear_read(name)
        for folder, _, files in os.walk(name):
            for file in files:
                self._hear_read(os.path.join(folder, file))  # noqa: PTH118 - likewise

    def _is_allowed(self, name: str, real: str) -> bool:
        """Whether a file may be opened: by its real path, or by a link that is older than the job."""
        if real.startswith(self._allowed) or (real.startswith(SYSTEM) and not _is_installed(real)):
            return True
        return name.startswith(self._allowed) and not self._is_of_new_link(name)

    def _is_of_new_link(self, name: str) -> bool:
        places = [name, *map(str, Path(name).parents)]
        links = (place for place in places if os.path.islink(place))  # noqa: PTH114 - likewise
        return any(os.lstat(link).st_ctime_ns >= self._began for link in links)

    def _remember(self, path: Any, folder: Any) -> None:
        """Keep in mind that a file is older than the job, before an event changes its time of change."""
        if isinstance(path, int):
            self._keep(os.fstat(path))
            return
        for name in _places(path, folder):
            for stat in (os.stat, os.lstat):
                with contextlib.suppress(OSError):
                    self._keep(stat(name))

    def _note_leaving(self, path: Any, folder: Any) -> None:
        """Keep in mind that a file is about to lose its last name: the next file may get its number."""
        for name in _places(path, folder):
            with contextlib.suppress(OSError):
                status = os.lstat(name)
                if status.st_nlink == 1:
                    self._leaving[status.st_dev, status.st_ino] = name

    def _keep(self, status: os.stat_result) -> None:
        if status.st_ctime_ns < self._began:
            self._older.add((status.st_dev, status.st_ino))

    def _is_older(self, file: str) -> bool:
        status = os.stat(file)  # noqa: PTH116 - likewise
        number = status.st_dev, status.st_ino
        if number in self._older and number in self._leaving:
            with contextlib.suppress(OSError):
                last = os.lstat(self._leaving[number])
                if (last.st_dev, last.st_ino) == number:
                    return True
            self._older.discard(number)  # it went, and this is another file
        return status.st_ctime_ns < self._began or number in self._older

    def _judge(self, file: str) -> None:
        file = _NEW_BYTECODE.sub(".pyc", file)
        if file.endswith(".pyc") and _is_installed(file):
            file = _source_of(file)
        if file.startswith(_PYTHON) and (not _is_installed(file) or file.endswith(_NATIVE)):
            return
        if file.startswith(self._caches) and file.endswith(_CACHED):
            return
        if file.startswith(self._homes) and self._of_plugins(file):
            return
        if file.endswith(".py") and file in self._imported_before:
            return
        if file.startswith(_PYTHON):
            self._data.add(file)
        elif self._is_older(file):
            self._undeclared.add(file)

    @functools.cached_property
    def _imported_before(self) -> set[str]:
        return {real for name, real in imported().items() if name in self._before}

    def _of_plugins(self, file: str) -> bool:
        """Whether a file of a plugin folder may be read: a source that is named, `variants.yaml`, a card."""
        if file.endswith(".pyc"):
            file = _source_of(file)
        name, folder = os.path.basename(file), os.path.basename(os.path.dirname(file))  # noqa: PTH119, PTH120
        compiled = folder == "__pycache__" and name.endswith((".nbi", ".nbc"))
        card = folder == "sources" and name.endswith(".yaml")
        return compiled or card or name in _OF_PLUGINS or file in self._code

    def undeclared(self) -> list[str]:
        """Opened files that nothing names, sorted."""
        with watched(None):  # these reads are not the job's
            changed = {file for file in self._data if not _is_of_wheel(file)}
        return sorted(self._undeclared | changed)


def imported() -> dict[str, str]:
    """File of each module that is imported, links followed."""
    files = ((name, getattr(module, "__file__", None)) for name, module in [*sys.modules.items()])
    return {name: _real(file) for name, file in files if file}


_real = functools.cache(os.path.realpath)


def _is_installed(file: str) -> bool:
    """Whether a file is of the packages that pip installs; dist-packages are the system's."""
    return "/site-packages/" in file and file.startswith(_PYTHON)


def _source_of(bytecode: str) -> str:
    """The source of bytecode; `importlib.util.source_from_cache` knows only Python's tags, not pytest's."""
    folder, _, name = bytecode.rpartition(f"{os.sep}__pycache__{os.sep}")
    return f"{folder}{os.sep}{name.partition('.')[0]}.py" if folder else bytecode


def _is_of_wheel(file: str) -> bool:
    path = Path(file)
    if ".dist-info" in file:  # what an installer and importlib write and read of a package
        return True
    stated = installed.stated(path)
    return stated is not None and hashlib.sha256(path.read_bytes()).hexdigest() == stated


def _places(path: Any, folder: Any) -> list[str]:
    """Absolute paths that a path may mean.

    Args:
        path: as it was given to a function of `os`.
        folder: the open folder that it is relative to; -1: the working folder; None: unknown, so that it may be any.
    """
    name = os.fsdecode(path)
    if os.path.isabs(name) or folder == -1:  # noqa: PTH117 - a hook must be quick, and open nothing
        return [os.path.abspath(name)]  # noqa: PTH100 - likewise
    numbers = os.listdir("/proc/self/fd") if folder is None else [str(folder)]  # noqa: PTH208 - likewise
    names = [os.path.abspath(name)] if folder is None else []  # noqa: PTH100 - likewise
    for number in numbers:
        with contextlib.suppress(OSError):
            place = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115 - likewise
            if place.startswith("/"):
                names.append(os.path.normpath(os.path.join(place, name)))  # noqa: PTH118 - likewise
    return names


class _Hook:
    """The hook of this process, which Python never removes, and the watch that it serves."""

    added = False
    watch: Watch | None = None

    @classmethod
    def hear(cls, event: str, arguments: tuple[Any, ...]) -> None:
        """Pass an event on files to the watch."""
        if cls.watch is not None and event in _EVENTS:
            cls.watch.hear(event, arguments)


_W = TypeVar("_W", bound=Watch | None)


@contextmanager
def watched(watch: _W) -> Iterator[_W]:
    """Note opened files in this block; without a watch, none."""
    if not _Hook.added:
        sys.addaudithook(_Hook.hear)
        _Hook.added = True
    before, _Hook.watch = _Hook.watch, watch
    try:
        yield watch
    finally:
        _Hook.watch = before


def checked(file: Path) -> None:
    """Let the job open a file whose bytes the caller compares with a digest that a lock states."""
    if _Hook.watch is not None:
        _Hook.watch.allow(file)


def beginnings(paths: Iterable[Path], folders: Iterable[Path] = ()) -> list[str]:
    """The prefixes that `Watch` allows: files with their siblings of the same name, and whole folders.

    Each with its own path and with the target of its symbolic links.

    Example:
        >>> beginnings([Path("/w/net.safetensors")], [Path("/d/fog/3")])
        ['/w/net.', '/d/fog/3/']
    """
    stems = [path.with_suffix("") for path in paths for path in (path, _link_target(path))]
    places = [place for folder in folders for place in (folder.absolute(), _link_target(folder))]
    prefixes = [*(f"{stem}." for stem in stems), *(f"{place}{os.sep}" for place in places)]
    return list(dict.fromkeys(prefixes))


def _link_target(path: Path) -> Path:
    """The target of symbolic links; circular links stay, where `Path.resolve` would raise."""
    return Path(os.path.realpath(path))
