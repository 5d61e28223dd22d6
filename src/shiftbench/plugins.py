"""Plugins: a name is a file.

`find("shifts", "fog")` imports `shiftbench/shifts/fog.py`, or `shifts/fog.py` below a folder listed
under `plugins:` in params.yaml. There is no registry: a new file is found by existing. Files whose
name begins with an underscore are helpers shared by their neighbours, not plugins. `fog+contrast` is made
of the files fog.py and contrast.py, by the family's `_composed.py` (shifts have one).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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


def file(family: str, name: str) -> Path:
    """Return the plugin's source file.

    Raises:
        PluginError: no file of that name in any folder, or more than one.
    """
    if JOIN in name:
        return Path(str(find(family, name).__file__))
    homes = [PACKAGE / family, *(folder / family for folder in Folders.extra)]
    hits = [home / f"{name}.py" for home in homes if (home / f"{name}.py").is_file()]
    if not hits or name.startswith("_"):
        where = ", ".join(str(home) for home in homes)
        raise PluginError(
            f"no {family} named {name!r} ({near(name, names(family))}); looked for {name}.py in {where}"
        )
    if len(hits) > 1:
        raise PluginError(f"two files for {family} {name!r}: {hits[0]} and {hits[1]}; rename yours")
    return hits[0]


def names(family: str) -> list[str]:
    """Return the names of all plugins of a family, sorted."""
    homes = [PACKAGE / family, *(folder / family for folder in Folders.extra)]
    stems = (path.stem for home in homes if home.is_dir() for path in home.glob("*.py"))
    return sorted({stem for stem in stems if not stem.startswith("_")})


def find(family: str, name: str) -> ModuleType:
    """Import the plugin `name` of `family`.

    Raises:
        PluginError: unknown name, or the file cannot be imported.
    """
    if JOIN in name:
        return _compose(family, name)
    path = file(family, name)
    if path.is_relative_to(PACKAGE):
        return importlib.import_module(f"shiftbench.{family}.{name}")
    return _import_user_file(family, name, path)


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
