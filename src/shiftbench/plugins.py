"""Plugins: a name is a file, or an entry of a file.

`find("shifts", "fog")` imports `shiftbench/shifts/fog.py`, or `shifts/fog.py` below a folder listed
under `plugins:` in params.yaml. There is no registry: a new file is found by existing. What differs from another file
by options alone is an entry in the folder's `entries.yaml`. Files whose name begins with an underscore are helpers
shared by their neighbours, not plugins. `fog+contrast` is made of fog and contrast, by the family's `_composed.py`
(shifts have one).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from shiftbench import entries
from shiftbench.entries import Entry
from shiftbench.errors import PluginError, near

PACKAGE = Path(__file__).parent
JOIN = "+"
FAMILIES = (
    "tasks datasets shifts streams models trainers optimizers losses methods detectors metrics analyses"
).split()


class Folders:
    """The user's plugin folders of this process, in the order of params.yaml."""

    extra: tuple[Path, ...] = ()

    @classmethod
    def use(cls, folders: tuple[Path, ...]) -> None:
        """Search `folders` (absolute) after the package; a name in both is refused by `find`."""
        cls.extra = folders


def homes(family: str) -> list[Path]:
    """Return the folders in which plugins of a family are looked for."""
    return [PACKAGE / family, *(folder / family for folder in Folders.extra)]


def file(family: str, name: str) -> Path:
    """Return the plugin's source file; of an entry that of the file which it uses.

    Raises:
        PluginError: nothing of that name in any folder, or more than one.
    """
    if JOIN in name:
        return Path(str(find(family, name).__file__))
    found = _found(family, name)
    return _used(family, found) if isinstance(found, Entry) else found


def names(family: str) -> list[str]:
    """Return the names of all plugins of a family, sorted: files, and entries of files."""
    found: set[str] = set()
    for home in homes(family):
        stems = {path.stem for path in home.glob("*.py")} if home.is_dir() else set()
        found |= {stem for stem in stems if not stem.startswith("_")} | entries.read(home).keys()
    return sorted(found)


def find(family: str, name: str) -> ModuleType:
    """Import the plugin `name` of `family`; of an entry the view of its file (`entries.view`).

    Raises:
        PluginError: unknown name, the file cannot be imported, or an entry's option is none of its file's.
    """
    if JOIN in name:
        return _compose(family, name)
    found = _found(family, name)
    if isinstance(found, Entry):
        return entries.view(found, _import(family, _used(family, found)))
    return _import(family, found)


def _found(family: str, name: str) -> Path | Entry:
    """Return the one file or entry that has a name."""
    files: list[Path] = []
    listed: list[Entry] = []
    for home in homes(family):
        path, entry = home / f"{name}.py", entries.read(home).get(name)
        files += [path] if path.is_file() else []
        listed += [entry] if entry else []
    hits: list[Path | Entry] = [*files, *listed]
    if not hits or name.startswith("_"):
        raise PluginError(
            f"no {family} named {name!r} ({near(name, names(family))}); looked for {name}.py, and for {name} in "
            f"{entries.FILE}, in {', '.join(map(str, homes(family)))}"
        )
    if len(hits) > 1:
        what = "two files" if len(files) == len(hits) else "a file and an entry, or two entries,"
        places = [str(file) for file in files] + [entry.where for entry in listed]
        raise PluginError(f"{what} for {family} {name!r}: {' and '.join(places)}; rename yours")
    return hits[0]


def _used(family: str, entry: Entry) -> Path:
    """Return the file that an entry uses: a plugin's, or a helper's beside the entry."""
    beside = entry.use.startswith("_")
    folders = [entry.home] if beside else homes(family)
    for path in (folder / f"{entry.use}.py" for folder in folders):
        if path.is_file():
            return path
    if entry.use in names(family):
        raise PluginError(f"{entry.where}.use = {entry.use!r} is an entry itself; name its file")
    known = [path.stem for folder in folders for path in folder.glob("_*.py" if beside else "*.py")]
    raise PluginError(f"{entry.where}.use = {entry.use!r} is no file; {near(entry.use, known)}")


def _import(family: str, path: Path) -> ModuleType:
    if path.is_relative_to(PACKAGE):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        return importlib.import_module(".".join(parts))
    return _import_user_file(family, path.stem, path)


def _compose(family: str, name: str) -> ModuleType:
    maker = PACKAGE / family / "_composed.py"
    if not maker.is_file():
        raise PluginError(f"{name!r}: {family} cannot be joined by {JOIN!r}; only shifts can")
    composed: ModuleType = importlib.import_module(f"shiftbench.{family}._composed").Composed(name)
    return composed


def _import_user_file(family: str, name: str, path: Path) -> ModuleType:
    module_name = f"shiftbench_user.{family}.{name}"
    loaded = sys.modules.get(module_name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} cannot be imported as a plugin")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise PluginError(f"{path} cannot be imported: {error!r}") from error
    return module
