"""Plugins that are functions: several of one theme share a file, each under a decorator of `plugins.declare`.

    @declare.sample_metric(columns=("correct",), finish=mean, higher_is_better=True)
    def accuracy(rows):
        ...

`registry.find("metrics", "accuracy")` returns the `Plugin` that the decorator makes. It has the attributes of a file
that is a plugin: constants, functions and a docstring; its parameters with a default are its options (`options`). Names
come from the text of the files, so listing plugins imports nothing.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

MODULE = "declare"
_DECORATED = re.compile(rf"^@{MODULE}\.\w+\b.*?^def (\w+)\(", re.MULTILINE | re.DOTALL)


class Location(NamedTuple):
    """Where a plugin is written: a file, and the function in it; an empty name means the whole file."""

    file: Path
    name: str = ""

    def link(self) -> str:
        """The file, with the line of the function: `metrics/ood_detection.py:40`."""
        if not self.name:
            return str(self.file)
        text = self.file.read_text(encoding="utf-8")
        return f"{self.file}:{text[: text.index(f'def {self.name}(')].count(chr(10)) + 1}"


class Plugin(ModuleType):
    """A decorated function with the attributes of a plugin's file.

    Args:
        function: the decorated function. Its parameters with a default are the options.
        attributes: constants and functions of the plugin; None means that it has none of that name.
    """

    def __init__(self, function: Callable[..., Any], attributes: Mapping[str, object]) -> None:
        super().__init__(f"{function.__module__}.{function.__name__}", function.__doc__)
        self.__file__ = function.__globals__["__file__"]
        self.function = function
        vars(self).update({name: value for name, value in attributes.items() if value is not None})

    def __call__(self, *values: Any, **options: Any) -> Any:
        """Call the function."""
        return self.function(*values, **options)


def names(file: Path) -> tuple[str, ...]:
    """Names of the plugins that a file declares, in the order of its text; none if the file is a plugin itself."""
    stat = file.stat()
    return _names(file, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _names(file: Path, _mtime: int, _size: int) -> tuple[str, ...]:
    try:
        text = file.read_text(encoding="utf-8")
    except PermissionError:  # a worker of the audit may read its own plugins, and no neighbour of theirs
        return ()
    return tuple(_DECORATED.findall(text))


def location(module: ModuleType) -> Location:
    """Where a plugin is written that `registry.find` returned."""
    function = vars(module).get("function")
    return Location(_path(str(module.__file__)), function.__name__ if inspect.isfunction(function) else "")


_path = functools.cache(Path)


def is_declared(node: ast.stmt) -> bool:
    """Whether a statement is a function under a decorator of `plugins.declare`."""
    return isinstance(node, ast.FunctionDef) and any(map(is_decorator, node.decorator_list))


def is_decorator(node: ast.expr) -> bool:
    """Whether an expression is a decorator of `plugins.declare`."""
    return ast.unparse(node).startswith(f"{MODULE}.")
