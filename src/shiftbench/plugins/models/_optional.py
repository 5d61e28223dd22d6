"""Packages that only some models need: imported when used, and named with their extra when missing."""

import importlib
from types import ModuleType

from shiftbench.base.errors import ModelError


def package(name: str, extra: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ModelError: it is not installed; gives the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModelError(
            f"this model needs {name}, which is not installed; run `pip install 'shiftbench[{extra}]'`"
        ) from None
