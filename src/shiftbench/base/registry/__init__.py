"""Finds plugins by name: a name is a file, a decorated function in a file, or a variant in `variants.yaml`.

`find("shifts", "fog")` imports `shifts/fog.py` of one of the *homes*: `shiftbench/plugins/`, the folder of a published
system (`systems/palm/`), a folder listed under `plugins:` in params.yaml, or a system in that folder
(`mine/systems/own/`). There is no list of plugins, and a name is unique over all homes.

- Small plugins of one theme share a file, in which each is a function under a decorator of `plugins.declare`
  (`declared`). The name of such a file is no plugin.
- A plugin that differs from another plugin by options alone is a line in the folder's `variants.yaml` (`entries`).
- A file whose name begins with an underscore is a helper, not a plugin.
- `fog+contrast` is made of fog and contrast by `_composed.py` of the plugin type, which only shifts have.

Every home is a package: a plugin in the folder `mine` imports its helper by `from mine.shifts import _stripes`.
"""

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import ClassVar

from shiftbench.base.errors import NotRunError, PluginError, suggest
from shiftbench.base.registry import as_written, declared, variants
from shiftbench.base.registry.as_written import Unrun
from shiftbench.base.registry.declared import Location as Location
from shiftbench.base.registry.declared import location as location
from shiftbench.base.registry.options import defaults as defaults
from shiftbench.base.registry.options import problems as problems
from shiftbench.base.registry.variants import Variant

PACKAGE = Path(__file__).parents[2]
SYSTEMS = PACKAGE / "systems"
JOIN = "+"
PLUGIN_TYPES = (
    "tasks datasets shifts streams models trainers optimizers losses methods detectors metrics analyses importers"
).split()


@dataclass(frozen=True, slots=True)
class Home:
    """A package with a folder for each plugin type: `folder/shifts/fog.py` is the module `package.shifts.fog`."""

    package: str
    folder: Path

    @property
    def top(self) -> "Home":
        """The user's folder that contains this home: `mine` of `mine.systems.own`, and of `mine`."""
        name, *inner = self.package.split(".")
        return Home(name, self.folder.parents[len(inner) - 1]) if inner else self


class Folders:
    """The user's plugin folders of this process, in the order of params.yaml.

    Attributes:
        extra: the folders.
        only_read: nothing in them is run; plugins are what their text says (`Unrun`).
    """

    extra: tuple[Path, ...] = ()
    only_read: bool = False

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
    """The homes that ship with shiftbench: the package, then the systems by name."""
    folders = sorted(path.parent for path in SYSTEMS.glob("*/card.yaml"))
    systems = (Home(f"shiftbench.systems.{folder.name}", folder) for folder in folders)
    return (Home("shiftbench.plugins", PACKAGE / "plugins"), *systems)


def homes() -> tuple[Home, ...]:
    """Every home, the user's last."""
    return (*packaged(), *_yours())


def folders(plugin_type: str) -> list[Path]:
    """The folders in which plugins of a type are looked for."""
    return [home.folder / plugin_type for home in homes()]


def file(plugin_type: str, name: str) -> Path:
    """The file in which a plugin is written; of a variant that of the plugin which it uses.

    Raises:
        PluginError: nothing of that name in any home, or more than one.
    """
    return locate(plugin_type, name).file


def locate(plugin_type: str, name: str) -> Location:
    """Where a plugin is written; of a variant where the plugin is written which it uses.

    Raises:
        PluginError: as `file`.
    """
    if JOIN in name:
        return Location(Path(str(find(plugin_type, name).__file__)))
    home, plugin = _locate(plugin_type, name)
    return _used(plugin_type, home, plugin)[1] if isinstance(plugin, Variant) else plugin


def variant(plugin_type: str, name: str) -> Variant | None:
    """Variant of a name; None if the name is a file or a function.

    Raises:
        PluginError: as `file`.
    """
    plugin = None if JOIN in name else _locate(plugin_type, name)[1]
    return plugin if isinstance(plugin, Variant) else None


def names(plugin_type: str) -> list[str]:
    """The names of all plugins of a type, sorted."""
    yours = (name for home in _yours() for name in _listed(home, plugin_type))
    return sorted(name for name in {*packaged_names(plugin_type), *yours} if not name.startswith("_"))


def find(plugin_type: str, name: str) -> ModuleType:
    """Import a plugin; of a variant the view of the plugin that it uses (`variants.view`).

    Raises:
        PluginError: unknown name, an import that fails, or a variant with an option that its plugin does not have.
    """
    return _find(plugin_type, name, _import)


def read(plugin_type: str, name: str) -> ModuleType:
    """The plugin as `find` returns it; of a packaged one, only what is asked for is run, without its imports.

    Constants, `needs` and `uses` of hundreds of plugins are there at once, and no torch is imported for them.

    Raises:
        PluginError: as `find`; a user's plugin is imported, so that a file with an error is found early.
    """
    return _find(plugin_type, name, _read)


def _find(plugin_type: str, name: str, load: Callable[[str, Home, Location], ModuleType]) -> ModuleType:
    if JOIN in name:
        return _compose(plugin_type, name)
    home, plugin = _locate(plugin_type, name)
    if isinstance(plugin, Variant):
        return variants.view(plugin, load(plugin_type, *_used(plugin_type, home, plugin)))
    return load(plugin_type, home, plugin)


def called(module: ModuleType) -> str:
    """The name of a plugin, for messages.

    Who reads `__name__` makes data of the names of all that its job reaches (`provenance.code_digest`); this does not.
    """
    return module.__name__.rpartition(".")[2]


def about(module: ModuleType) -> str:
    """The first line of a plugin's docstring, which recipes have where it is shown."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def title(module: ModuleType) -> str | None:
    """The title that a plugin states as `TITLE`, or its variant as `title:`; None: it states no title.

    Raises:
        PluginError: the title is not a text, or it is empty.
    """
    variant = variants.of(module)
    if variant is not None:
        return variant.title
    stated: object = getattr(module, "TITLE", None)
    if stated is None or (isinstance(stated, str) and stated.strip()):
        return stated
    raise PluginError(f"{module.__file__}: TITLE = {stated!r}; expected a text that is not empty")


def defines(module: ModuleType, name: str) -> bool:
    """Whether a plugin has an attribute, whether or not it was run, or may be."""
    try:
        return name in as_written.names(module) or hasattr(module, name)
    except NotRunError:
        return True


def _locate(plugin_type: str, name: str) -> tuple[Home, Location | Variant]:
    """The file, function or variant that has a name, with its home."""
    hits: list[tuple[Home, Location | Variant]] = [*packaged_names(plugin_type).get(name, ())]
    for home in _yours():
        hits += [(home, plugin) for plugin in _listed(home, plugin_type).get(name, ())]
    if not hits or name.startswith("_"):
        where = ", ".join(["shiftbench", *map(str, Folders.extra)])
        function = f"a decorated function {name}, " if plugin_type in DECLARED else ""
        raise PluginError(
            f"no {plugin_type} named {name!r} ({suggest(name, names(plugin_type))}); looked for "
            f"{plugin_type}/{name}.py, {function}and {name} in {plugin_type}/{variants.FILE}, in {where}"
        )
    if len(hits) > 1:
        only_files = all(isinstance(hit, Location) for _, hit in hits)
        what = "two files" if only_files else "a file and a variant, or two variants,"
        places = [hit.where if isinstance(hit, Variant) else str(hit.file) for _, hit in hits]
        raise PluginError(f"{what} for {plugin_type} {name!r}: {' and '.join(places)}; rename yours")
    return hits[0]


def _used(plugin_type: str, home: Home, variant: Variant) -> tuple[Home, Location]:
    """The plugin that a variant uses, and where: any plugin, or a helper in the variant's folder."""
    is_helper = variant.use.startswith("_")
    for place in (home,) if is_helper else homes():
        path = place.folder / plugin_type / f"{variant.use}.py"
        if path.is_file() and not declared.names(path):
            return place, Location(path)
        for hit in _listed(place, plugin_type).get(variant.use, ()):
            if isinstance(hit, Location):
                return place, hit
    if variant.use in names(plugin_type):
        raise PluginError(f"{variant.where}.use = {variant.use!r} is a variant itself; name the plugin that it uses")
    helpers = [path.stem for path in variant.home.glob("_*.py")]
    functions = [name for name in _listed(home, plugin_type) if name.startswith("_")]
    known = [*helpers, *functions] if is_helper else names(plugin_type)
    raise PluginError(f"{variant.where}.use = {variant.use!r} is no plugin; {suggest(variant.use, known)}")


def _read(plugin_type: str, home: Home, where: Location) -> ModuleType:
    name = f"{home.package}.{plugin_type}.{where.file.stem}"
    part = as_written.read(name, _plugin_packages()) if home in packaged() else None
    return _import(plugin_type, home, where) if part is None else _in(part, where)


def _in(module: ModuleType, where: Location) -> ModuleType:
    """The plugin of a name in a module that declares several."""
    if not where.name:
        return module
    plugin = getattr(module, where.name)
    return plugin if isinstance(plugin, ModuleType) else declared.Plugin(plugin, {"loss": plugin})


@functools.cache
def _plugin_packages() -> frozenset[str]:
    return frozenset(f"{home.package}.{plugin_type}" for home in packaged() for plugin_type in PLUGIN_TYPES)


def _import(plugin_type: str, home: Home, where: Location) -> ModuleType:
    name = f"{home.package}.{plugin_type}.{where.file.stem}"
    if home in packaged():
        return _in(importlib.import_module(name), where)
    if Folders.only_read:
        return Unrun(name, where.file, where.name)
    _open(home.top)
    try:
        return _in(importlib.import_module(name), where)
    except Exception as error:
        raise PluginError(f"{where.file} cannot be imported: {error!r}") from error


def _yours() -> Iterator[Home]:
    """The user's folders, each before the systems in it."""
    for folder in Folders.extra:
        yield Home(folder.name, folder)
        for card in sorted(folder.glob("systems/*/card.yaml")):
            yield Home(f"{folder.name}.systems.{card.parent.name}", card.parent)


@functools.cache
def packaged_names(plugin_type: str) -> dict[str, list[tuple[Home, Location | Variant]]]:
    """What stands under each name; more than one is an error of whoever added the second."""
    plugins: dict[str, list[tuple[Home, Location | Variant]]] = {}
    for home in packaged():
        for name, hits in _listed(home, plugin_type).items():
            plugins.setdefault(name, []).extend((home, hit) for hit in hits)
    return plugins


DECLARED = frozenset({"importers", "metrics", "losses", "shifts"})
"""Types of which a file may declare several plugins."""


def scan() -> None:
    """Read the names that files declare. A job does so before it is watched, and opens no neighbour of its plugin."""
    for plugin_type in DECLARED:
        names(plugin_type)


def _listed(home: Home, plugin_type: str) -> dict[str, list[Location | Variant]]:
    """Plugins of a type in one home, by name; functions that only variants use have an underscore."""
    folder = home.folder / plugin_type
    if not folder.is_dir():
        return {}
    listed: dict[str, list[Location | Variant]] = {}
    for name in os.listdir(folder):  # noqa: PTH208  # faster than `glob`, of hundreds of folders
        if name.endswith(".py") and not name.startswith("_"):
            file = folder / name
            functions = declared.names(file) if plugin_type in DECLARED else ()
            for plugin in functions or (file.stem,):
                listed.setdefault(plugin, []).append(Location(file, plugin if functions else ""))
    for name, variant in variants.read(folder).items():
        listed.setdefault(name, []).append(variant)
    return listed


def _compose(plugin_type: str, name: str) -> ModuleType:
    maker = PACKAGE / "plugins" / plugin_type / "_composed.py"
    if not maker.is_file():
        raise PluginError(f"{name!r}: {plugin_type} cannot be joined by {JOIN!r}; only shifts can")
    composed: ModuleType = importlib.import_module(f"shiftbench.plugins.{plugin_type}._composed").Composed(name)
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
        raise PluginError(f"two plugin folders are called {name!r}: {folder} and {twice[0]}; rename one")
    if _is_ours(name) or Folders.only_read:
        return
    spec = importlib.util.find_spec(name)
    if spec is not None and str(folder) not in map(str, spec.submodule_search_locations or ()):
        raise PluginError(f"the plugin folder {folder} has the name of the installed package {name!r}; rename it")


_OPENED = "__shiftbench_home__"


def _is_ours(name: str) -> bool:
    return hasattr(sys.modules.get(name), _OPENED)


class FromSource(SourceFileLoader):
    """Compiles a file when it is imported, and neither reads nor writes bytecode.

    Python takes bytecode for that of a file whose second and length it has: of one that was changed within a second to
    the same length it runs what stood there before, and the code digest is that of what stands there now.
    """

    def get_code(self, fullname: str) -> CodeType:
        """The code of the file as it is now."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Finder:
    """Finds modules of the user's: in the plugin folders, and those that `import_anew` names."""

    named: ClassVar[set[str]] = set()

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in cls.named and not _is_ours(name.partition(".")[0]):
            return None
        return _from_source(PathFinder.find_spec(name, path, target))


def _from_source(spec: ModuleSpec | None) -> ModuleSpec | None:
    if spec is not None and isinstance(spec.loader, SourceFileLoader):
        spec.loader, spec.cached = FromSource(spec.loader.name, spec.loader.path), None
    return spec


def import_anew(name: str) -> ModuleType:
    """Import a module that is installed, or lies on the path, from its source; what it imports as Python does."""
    _Finder.named.add(name)
    _install_finder()
    return importlib.import_module(name)


def _install_finder() -> None:
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def _open(home: Home) -> None:
    """Make a user's folder importable under its name, without a look at its neighbours."""
    if getattr(sys.modules.get(home.package), _OPENED, None) == home.folder:
        return
    if _is_ours(home.package):  # another folder of that name, of another benchmark
        for name in [n for n in sys.modules if n.partition(".")[0] == home.package]:
            del sys.modules[name]
    _install_finder()
    spec = _from_source(PathFinder.find_spec(home.package, [str(home.folder.parent)]))
    if spec is None:
        raise PluginError(f"the plugin folder {home.folder} does not exist")
    package = importlib.util.module_from_spec(spec)
    setattr(package, _OPENED, home.folder)
    sys.modules[home.package] = package
    if spec.loader is not None:
        spec.loader.exec_module(package)
    importlib.invalidate_caches()
