"""Which files a job opens: Python tells an audit hook (PEP 578), and what nothing names is noted.

A job may open
- its inputs, what it makes, and recipes, receipts and logs;
- the package; of plugin folders the files that its recipe names, lists of entries and cards of source files;
- the user's own files, as pinned or below a dataset's `root`, and `params.yaml`, locks and DVC's settings beside them;
- what was compared with a digest that a lock states (`checked`);
- installed packages: modules, and data whose sha256 is that of a wheel's RECORD;
- sources of modules that were imported before it began (who shows where a call came from reads lines of them);
- bytecode and machine code where Python and numba are told to keep it;
- what is the system's: the interpreter, and `SYSTEM`;
- what it has written itself, or what was written since it began (by the clock of the kernel, which nobody can set back
  for a file: a library's or a child's temporary file).

Everything else could decide a result and stands in no recipe. `fetch` is not watched: what it brings has a digest in
its card. Limits: files that a library opens by itself (Arrow, OpenCV, ONNX) and other processes are not heard.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from shiftbench import plugins
from shiftbench.provenance import installed

SYSTEM = tuple("/proc/ /sys/ /etc/ /usr/ /lib/ /lib32/ /lib64/ /bin/ /sbin/ /run/".split())
"""Places of the operating system; no run's own data belong there. Not /dev: devices are no files; shm is for all."""
_PYTHON = tuple(
    f"{os.path.realpath(place)}{os.sep}" for place in {sys.prefix, sys.base_prefix, sys.exec_prefix}
)
_MODULES = (".py", ".pyc", ".so", ".pyi", ".pth", ".nbi", ".nbc")
_CACHED = (".pyc", ".nbi", ".nbc")
_OF_PLUGINS = ("entries.yaml", "__init__.py")
_WRITES = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Watch:
    """What one job opens.

    Args:
        allowed: beginnings of absolute paths that it may open; a folder ends with a separator.
        code: the source files and assets that recipes name.
    """

    def __init__(self, allowed: Iterable[str], code: Iterable[Path] = ()) -> None:
        packages = (plugins.PACKAGE, plugins.PACKAGE.resolve())
        # Beside it one note of its installer: libraries ask every package on the path for entry points.
        asked = "shiftbench-*.dist-info/entry_points.txt"
        notes = (str(note) for place in packages for note in place.parent.glob(asked))
        own = (*(f"{place}{os.sep}" for place in packages), *notes)
        caches = (sys.pycache_prefix, os.environ.get("NUMBA_CACHE_DIR"))
        self._caches = tuple(f"{os.path.abspath(place)}{os.sep}" for place in caches if place)  # noqa: PTH100
        self._allowed = (*SYSTEM, *own, *allowed)
        self._code = {os.path.realpath(path) for path in code}
        self._homes = tuple(f"{os.path.realpath(f)}{os.sep}" for f in plugins.Folders.extra)
        self._before = frozenset(sys.modules)
        self._seen: set[str] = set()
        self._data: set[str] = set()
        self._began = time.time_ns() - 50_000_000  # the kernel's clock moves in steps
        self._found: set[str] = set()

    def allow(self, file: Path) -> None:
        """Allow one more file."""
        self._allowed += (str(file.absolute()), str(file.resolve()))

    def hear(self, path: Any, flags: Any) -> None:
        """Note a file that is opened, where nothing allows it."""
        if isinstance(path, int) or path in self._seen:
            return
        self._seen.add(path)
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a hook must be quick, and open nothing
        if (isinstance(flags, int) and flags & _WRITES) or name.startswith(self._allowed):
            return
        real = os.path.realpath(name)
        if real.startswith(self._allowed) or not os.path.isfile(real):  # noqa: PTH113 - likewise
            return
        self._judge(real)

    def _judge(self, file: str) -> None:
        if file.startswith(_PYTHON):
            if "-packages/" in file and not file.endswith(_MODULES):
                self._data.add(file)
            return
        if file.startswith(self._caches) and file.endswith(_CACHED):
            return
        if file.startswith(self._homes) and self._of_plugins(file):
            return
        if file.endswith(".py") and file in self._imported_before():
            return
        if os.stat(file).st_ctime_ns < self._began:  # noqa: PTH116 - likewise
            self._found.add(file)

    def _imported_before(self) -> set[str]:
        files = (getattr(sys.modules.get(name), "__file__", None) for name in self._before)
        return {os.path.realpath(file) for file in files if file}

    def _of_plugins(self, file: str) -> bool:
        """Tell whether a file of a plugin folder may be read: a source that is named, an entry, a card."""
        if file.endswith(".pyc") and f"{os.sep}__pycache__{os.sep}" in file:
            file = importlib.util.source_from_cache(file)
        name, folder = os.path.basename(file), os.path.basename(os.path.dirname(file))  # noqa: PTH119, PTH120
        compiled = folder == "__pycache__" and name.endswith((".nbi", ".nbc"))
        card = folder == "sources" and name.endswith(".yaml")
        return compiled or card or name in _OF_PLUGINS or file in self._code

    def undeclared(self) -> list[str]:
        """Return the files that were opened and that nothing names, sorted."""
        with watched(None):  # what is read to tell is not the job's
            wrong = {file for file in self._data if not _is_of_wheel(file)}
        return sorted(self._found | wrong)


def _is_of_wheel(file: str) -> bool:
    path = Path(file)
    if ".dist-info" in file:  # what an installer and importlib write and read of a package
        return True
    stated = installed.stated(path)
    return stated is not None and hashlib.sha256(path.read_bytes()).hexdigest() == stated


class _Hook:
    """The hook of this process, which Python never takes away again, and whom it tells."""

    added = False
    watch: Watch | None = None

    @classmethod
    def hear(cls, event: str, arguments: tuple[Any, ...]) -> None:
        """Pass on what is opened."""
        if event == "open" and cls.watch is not None:
            cls.watch.hear(arguments[0], arguments[2])


_W = TypeVar("_W", bound=Watch | None)


@contextmanager
def watched(watch: _W) -> Iterator[_W]:
    """Listen meanwhile; to nobody where there is no watch."""
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
    """Return what `Watch` allows: files with what lies beside them under their name, and whole folders.

    Each as it is called, and as it is called where symbolic links lead.

    Example:
        >>> beginnings([Path("/w/net.safetensors")], [Path("/d/fog/3")])
        ['/w/net.', '/d/fog/3/']
    """
    stems = [path.with_suffix("") for path in paths for path in (path, _led(path))]
    places = [place for folder in folders for place in (folder.absolute(), _led(folder))]
    found = [*(f"{stem}." for stem in stems), *(f"{place}{os.sep}" for place in places)]
    return list(dict.fromkeys(found))


def _led(path: Path) -> Path:
    """Return where symbolic links lead; those that lead in a circle stay, and `Path.resolve` raises there."""
    return Path(os.path.realpath(path))
