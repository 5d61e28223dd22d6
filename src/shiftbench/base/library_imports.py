"""Guarded imports of two libraries that change the environment, or read the working folder, during their import.

`import cv2` sets LD_LIBRARY_PATH with an empty element, so that every child of the process would load libraries from
its working folder. numba reads settings from `.numba_config.yaml` of the working folder, when it is imported and
before it compiles; one of them is the folder of its cache, which holds pickles. The working folder may be a
stranger's checkout. `shiftbench` installs a finder for these two (PEP 302), so that no other module has to care.

To guard another library, name it in `GUARDED`. A test imports every module and compares the environment.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import importlib.abc
    from collections.abc import Sequence
    from types import ModuleType

_SETTINGS, _FILE = "numba.core.config", ".numba_config.yaml"
GUARDED = ("cv2", _SETTINGS)
"""Modules that are imported under guard."""


def install() -> None:
    """Guard the imports of this process from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    settings = sys.modules.get(_SETTINGS)
    if settings is not None:  # imported by the caller before us
        vars(settings)["_config_fname"] = os.devnull
        settings.reload_config()


class _Finder:
    """Finds guarded modules where Python does, and has them loaded by `_Guard`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Loader of a guarded module; None for every other module."""
        if fullname not in GUARDED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("importlib.abc.Loader", _Guard(spec.loader))
        return spec


class _Guard:
    """Loads a module as its own loader does, and undoes what that does to the environment."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module as its own loader makes it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, and undo its changes of the environment.

        Raises:
            ImportError: this numba reads its settings from another file than `.numba_config.yaml`.
        """
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        environment = dict(os.environ)
        try:
            if module.__name__ == _SETTINGS:
                _run_without_file(module, cast("importlib.abc.InspectLoader", self._loader))
            else:
                self._loader.exec_module(module)
        finally:
            _restore_environment(environment)


def _restore_environment(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _run_without_file(module: ModuleType, loader: importlib.abc.InspectLoader) -> None:
    """Run numba's settings with the null device for the name of their file: numba reads regular files alone."""
    code = loader.get_code(module.__name__)
    if code is None or _FILE not in code.co_consts:
        raise ImportError(
            f"this version of numba does not name its settings file {_FILE}, so shiftbench cannot keep it from reading "
            "settings of the working folder; install the version in requirements.lock"
        )
    constants = (os.devnull if constant == _FILE else constant for constant in code.co_consts)
    exec(code.replace(co_consts=tuple(constants)), vars(module))
