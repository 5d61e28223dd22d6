"""Plugins: a name is a file.

`find("shifts", "fog")` imports `shifts/fog.py` of one of the *homes*: the package itself, the folder of a
published system (`systems/palm/`), or a folder listed under `plugins:` in params.yaml. There is no registry: a
new file is found by existing, and a name is unique over all homes. Files whose name begins with an underscore
are helpers shared by their neighbours, not plugins. `fog+contrast` is made of the files fog.py and
contrast.py, by the family's `_composed.py` (shifts have one).

Every home is a package: a plugin in the folder `mine` imports its helper by `from mine.shifts import _stripes`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from shiftbench.errors import PluginError, near

PACKAGE = Path(__file__).parent
SYSTEMS = PACKAGE / "systems"
JOIN = "+"
FAMILIES = (
    "tasks datasets shifts streams models trainers optimizers losses methods detectors metrics analyses"
).split()


@dataclass(frozen=True, slots=True)
class Home:
    """A package with families of plugins: `folder/shifts/fog.py` is the module `package.shifts.fog`."""

    package: str
    folder: Path


class Folders:
    """The user's plugin folders of this process, in the order of params.yaml."""

    extra: tuple[Path, ...] = ()

    @classmethod
    def use(cls, folders: tuple[Path, ...]) -> None:
        """Search `folders` (absolute) after the package and the systems.

        Raises:
            PluginError: a folder cannot be a package: its name is none, or another package's.
        """
        for folder in folders:
            _check_name(folder, folders)
        cls.extra = folders


@functools.cache
def packaged() -> tuple[Home, ...]:
    """Return the homes that ship with shiftbench: the package, then the systems by name."""
    folders = sorted(path.parent for path in SYSTEMS.glob("*/card.yaml"))
    systems = (Home(f"shiftbench.systems.{folder.name}", folder) for folder in folders)
    return (Home("shiftbench", PACKAGE), *systems)


def homes() -> tuple[Home, ...]:
    """Return every home, the user's last."""
    return (*packaged(), *(Home(folder.name, folder) for folder in Folders.extra))


def file(family: str, name: str) -> Path:
    """Return the plugin's source file.

    Raises:
        PluginError: no file of that name in any home, or more than one.
    """
    if JOIN in name:
        return Path(str(find(family, name).__file__))
    return _place(_home(family, name), family, name)


def names(family: str) -> list[str]:
    """Return the names of all plugins of a family, sorted."""
    yours = (stem for folder in Folders.extra for stem in _stems(folder / family))
    return sorted({*_packaged_names(family), *yours})


def find(family: str, name: str) -> ModuleType:
    """Import the plugin `name` of `family`.

    Raises:
        PluginError: unknown name, or the file cannot be imported.
    """
    if JOIN in name:
        return _compose(family, name)
    home = _home(family, name)
    if home in packaged():
        return importlib.import_module(f"{home.package}.{family}.{name}")
    _open(home)
    try:
        return importlib.import_module(f"{home.package}.{family}.{name}")
    except Exception as error:
        where = _place(home, family, name)
        raise PluginError(f"{where} cannot be imported: {error!r}") from error


def _home(family: str, name: str) -> Home:
    known = _packaged_names(family).get(name, ())
    hits = [*known, *(h for h in _yours() if _place(h, family, name).is_file())]
    if not hits or name.startswith("_"):
        where = ["shiftbench", *map(str, Folders.extra)]
        raise PluginError(
            f"no {family} named {name!r} ({near(name, names(family))}); looked for {family}/{name}.py in "
            f"{', '.join(where)}"
        )
    if len(hits) > 1:
        one, other = (_place(home, family, name) for home in hits[:2])
        raise PluginError(f"two files for {family} {name!r}: {one} and {other}; rename yours")
    return hits[0]


def _yours() -> Iterator[Home]:
    return (home for home in homes() if home.folder in Folders.extra)


def _place(home: Home, family: str, name: str) -> Path:
    return home.folder / family / f"{name}.py"


@functools.cache
def _packaged_names(family: str) -> dict[str, tuple[Home, ...]]:
    """Return the homes of each name; more than one is an error of whoever added the second."""
    found: dict[str, tuple[Home, ...]] = {}
    for home in packaged():
        for stem in _stems(home.folder / family):
            found[stem] = (*found.get(stem, ()), home)
    return found


def _stems(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")]


def _compose(family: str, name: str) -> ModuleType:
    maker = PACKAGE / family / "_composed.py"
    if not maker.is_file():
        raise PluginError(f"{name!r}: {family} cannot be joined by {JOIN!r}; only shifts can")
    composed: ModuleType = importlib.import_module(f"shiftbench.{family}._composed").Composed(name)
    return composed


def _check_name(folder: Path, folders: tuple[Path, ...]) -> None:
    name = folder.name
    if not name.isidentifier():
        raise PluginError(
            f"the plugin folder {folder} is a package, and {name!r} cannot be a package's name: use letters, digits "
            "and underscores, a letter first"
        )
    twice = [other for other in folders if other.name == name and other != folder]
    if twice:
        raise PluginError(
            f"two plugin folders are called {name!r}: {folder} and {twice[0]}; rename one"
        )
    if _is_ours(name):
        return
    spec = importlib.util.find_spec(name)
    if spec is not None and str(folder) not in map(str, spec.submodule_search_locations or ()):
        raise PluginError(
            f"the plugin folder {folder} has the name of the installed package {name!r}; rename it"
        )


_OPENED = "__shiftbench_home__"


def _is_ours(name: str) -> bool:
    return hasattr(sys.modules.get(name), _OPENED)


def _open(home: Home) -> None:
    """Make a user's folder importable under its name, without a look at its neighbours."""
    if getattr(sys.modules.get(home.package), _OPENED, None) == home.folder:
        return
    if _is_ours(home.package):  # another folder of that name, of another campaign
        for name in [n for n in sys.modules if n.partition(".")[0] == home.package]:
            del sys.modules[name]
    spec = PathFinder.find_spec(home.package, [str(home.folder.parent)])
    if spec is None:
        raise PluginError(f"the plugin folder {home.folder} does not exist")
    package = importlib.util.module_from_spec(spec)
    setattr(package, _OPENED, home.folder)
    sys.modules[home.package] = package
    if spec.loader is not None:
        spec.loader.exec_module(package)
    importlib.invalidate_caches()
