"""Modules as their text says: a plan asks hundreds of plugins for their constants, and does without what they import.

`Unrun` runs nothing, for checkouts that are not trusted. `Text` runs what is asked for, with the statements that it
depends on: `Options` and `needs` of a trainer are there without torch. Of a function that is a plugin (`declared`) the
decorator and the defaults are run, without what its body uses.
"""

import __future__

import ast
import functools
import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from shiftbench.base.errors import NotRunError, PluginError
from shiftbench.base.registry.declared import is_declared, is_decorator

_NAMES = "__names__"
"""Of a module that is read in part: the names that its text binds."""
_ALONE = ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.Import | ast.ImportFrom
"""Statements that mean the same when they are run without their neighbours; a class knows the module it is of."""
_LATE_ANNOTATIONS = __future__.annotations.compiler_flag


def names(module: ModuleType) -> frozenset[str]:
    """The names that a module has, whether or not they were run."""
    return frozenset(vars(module)).union(vars(module).get(_NAMES, ()))


class Computed:
    """A value that only running a file would give; so is what is made of it."""

    def __getattr__(self, name: str) -> "Computed":
        return self

    def __call__(self, *_: object, **__: object) -> "Computed":
        """Another such value."""
        return self


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return Computed()


class Unrun(ModuleType):
    """A module of which nothing is run: its constants as literals, and the names of what else it has.

    Args:
        name: of the module.
        file: its source.
        plugin: the function in it that is the plugin; empty: the module is. Of a function the options are literals.

    Raises:
        NotRunError: an attribute is asked for that only running the file would give.
    """

    def __init__(self, name: str, file: Path, plugin: str = "") -> None:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
        function = functions.get(plugin)
        super().__init__(f"{name}.{plugin}" if function else name, ast.get_docstring(function or tree))
        self.__file__ = str(file)
        computed = [*self._constants(tree)] if function is None else [*self._decorated(function)]
        if "PARAMS" not in {*vars(self), *computed}:
            computed += self._keywords(function or functions.get("apply"))
        self.__dict__["_computed"] = frozenset(computed)

    def _decorated(self, function: ast.FunctionDef) -> Iterator[str]:
        """Take over the constants that our decorator makes of literals; yield the names of what else it makes."""

        def stub(*_: object, **__: object) -> None:
            raise self._not_run(function.name)

        stub.__name__ = function.name
        self.function = stub
        decorator = next(filter(is_decorator, function.decorator_list))
        name, _, arguments = ast.unparse(decorator).removeprefix("declare.").partition("(")
        declare = importlib.import_module("shiftbench.plugins.declare")
        try:
            make = getattr(declare, name)
            if arguments and isinstance(decorator, ast.Call):
                keywords = {str(one.arg): _literal(one.value) for one in decorator.keywords}
                make = make(*map(_literal, decorator.args), **keywords)
            made = make(stub)
        except (AttributeError, TypeError) as error:
            raise PluginError(f"{self.__file__}: @{ast.unparse(decorator)} cannot declare a plugin: {error}") from None
        yield from () if isinstance(made, ModuleType) else ("loss",)
        for name, value in vars(made).items() if isinstance(made, ModuleType) else ():
            if name != "function" and (value is stub or isinstance(value, Computed)):
                yield name
            elif name.isupper() and name != "PARAMS":
                setattr(self, name, value)

    def _keywords(self, function: ast.FunctionDef | None) -> Iterator[str]:
        """Take over the defaults of a function's parameters; yield `PARAMS` if one is computed."""
        parameters = [] if function is None else _parameters(function.args)
        try:
            self.PARAMS = {name: ast.literal_eval(default) for name, default in parameters if name != "sources"}
        except (ValueError, TypeError):
            yield "PARAMS"

    def _constants(self, tree: ast.Module) -> Iterator[str]:
        """Take over what is written as a literal; yield the names of what is computed."""
        for node in tree.body:
            for name, value in _assigned(node):
                try:
                    setattr(self, name, ast.literal_eval(value))
                except (ValueError, TypeError):
                    yield name
            if is_options(node):
                yield from self._options(node)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name

    def _options(self, definition: ast.ClassDef) -> Iterator[str]:
        """Take over the defaults of a class of options; yield `PARAMS` if one is computed, or inherited."""
        try:
            self.PARAMS = dict(_field(one) for one in definition.body if isinstance(one, ast.AnnAssign))
        except (ValueError, TypeError):
            yield "PARAMS"
        if [ast.unparse(base) for base in definition.bases] != ["declare.Options"]:
            vars(self).pop("PARAMS", None)
            yield "PARAMS"

    def __getattr__(self, name: str) -> object:
        if name in self.__dict__.get("_computed", ()):
            raise self._not_run(name)
        raise AttributeError(name)

    def _not_run(self, name: str) -> NotRunError:
        return NotRunError(
            f"{name} of {self.__file__} is known only when that file is run, and here it is only read. "
            "`shiftbench audit FOLDER` runs no plugin; a command within the folder does once you have looked at "
            "the file and trusted the folder (`shiftbench trust`)"
        )


def _parameters(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    """Parameters that have a default, each with it."""
    positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    pairs = itertools.chain(zip(positional, arguments.defaults, strict=True), keyword_only)
    return ((one.arg, default) for one, default in pairs if default is not None)


def is_options(node: ast.stmt) -> TypeGuard[ast.ClassDef]:
    """Whether a statement is the class of a plugin's options (`options`)."""
    return isinstance(node, ast.ClassDef) and node.name == "Options"


def _field(node: ast.AnnAssign) -> tuple[str, object]:
    """Name and default of a field: `k: int = 50`, or `k: int = Field(50, ...)`."""
    name, value = ast.unparse(node.target), node.value
    if isinstance(value, ast.Call):
        keywords = {one.arg: one.value for one in value.keywords}
        name = ast.literal_eval(keywords["alias"]) if "alias" in keywords else name
        value = value.args[0] if value.args else keywords.get("default")
    if value is None:
        raise ValueError(f"{name} has no default")
    return name, ast.literal_eval(value)


class Text:
    """A source file of which that is run which is asked for.

    Where a part cannot stand alone (a class, a name that is bound twice, or under a condition), the module is imported.
    What is changed in place under another name (`A = B; A.append(1)`) is not seen: constants are none that change.

    Args:
        name: of the module, as it would be imported.
        file: its source.
        packages: those of whose modules parts alone are read where this one imports them.

    Attributes:
        module: what was run of it so far; whoever asks it for more gets more.
    """

    def __init__(self, name: str, file: Path, packages: frozenset[str]) -> None:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        self.packages = packages
        self._binding: dict[str, list[ast.stmt]] = {}
        self._done: set[ast.stmt] = set()
        for statement in itertools.chain.from_iterable(map(_single, map(_head, tree.body))):
            for bound in set(_bound(statement)):
                self._binding.setdefault(bound, []).append(statement)
        self.module = ModuleType(name, ast.get_docstring(tree, clean=False))
        vars(self.module).update({"__file__": str(file), "__getattr__": self.find, _NAMES: frozenset(self._binding)})

    def find(self, name: str) -> object:
        """What the module calls `name`.

        Raises:
            AttributeError: its text has no such name.
        """
        if name not in self._binding:
            raise AttributeError(f"{self.module.__name__} has no {name}")
        if not self._stands_alone(name, set()):
            return getattr(importlib.import_module(self.module.__name__), name)
        self._bind(name)
        return vars(self.module)[name]

    def _stands_alone(self, name: str, seen: set[str]) -> bool:
        """Whether a name, and all that it depends on, is bound once, by what can be run without the others."""
        seen.add(name)
        statement, *others = self._binding[name]
        return (
            not others
            and (isinstance(statement, _ALONE) or is_options(statement))
            and all(len(self._binding[bound]) == 1 for bound in _bound(statement))
            and all(self._stands_alone(used, seen) for used in self._used(statement) if used not in seen)
        )

    def _bind(self, name: str) -> None:
        """Run what a name depends on, then what binds it."""
        for statement in self._binding[name]:
            if statement not in self._done:
                self._done.add(statement)
                for used in self._used(statement):
                    self._bind(used)
                self._run(statement)

    def _used(self, statement: ast.stmt) -> list[str]:
        return [name for name in dict.fromkeys(_loaded(statement)) if name in self._binding]

    def _run(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                member = self._imported(statement.module, alias.name)
                setattr(self.module, alias.asname or alias.name, member)
            return
        alone = ast.Module([statement], type_ignores=[])
        flags = 0 if is_options(statement) else _LATE_ANNOTATIONS
        code = compile(alone, str(self.module.__file__), "exec", flags)
        exec(code, vars(self.module))  # what importing the packaged file would run

    def _imported(self, package: str, name: str) -> object:
        """What `from package import name` gives; of a module that is read in part."""
        if package in self.packages and (member := read(f"{package}.{name}", self.packages)):
            return member
        if package.rpartition(".")[0] in self.packages and (member := read(package, self.packages)):
            return getattr(member, name)
        whole = importlib.import_module(package)
        if not hasattr(whole, name):
            return importlib.import_module(f"{package}.{name}")
        return getattr(whole, name)


def read(name: str, packages: frozenset[str]) -> ModuleType | None:
    """A module of which that is run which is asked for; the whole one where it was imported; None: no such file.

    Args:
        name: as it would be imported.
        packages: those of whose modules parts alone are read where this one imports them.
    """
    return sys.modules.get(name) or _read(name, packages)


@functools.cache
def _read(name: str, packages: frozenset[str]) -> ModuleType | None:
    package, _, stem = name.rpartition(".")
    (folder, *_) = importlib.import_module(package).__path__
    file = Path(folder, f"{stem}.py")
    return Text(name, file, packages).module if file.is_file() else None


_NO_BODY = ast.parse("raise NotImplementedError('this plugin was read, not imported: use registry.find')").body


def _head(statement: ast.stmt) -> ast.stmt:
    """A statement; of a function that is a plugin, or `apply` of a shift, only the head and the docstring."""
    if not isinstance(statement, ast.FunctionDef) or not (is_declared(statement) or statement.name == "apply"):
        return statement
    docstring = statement.body[:1] if ast.get_docstring(statement) is not None else []
    statement.body = [*docstring, *_NO_BODY]
    return statement


def _single(statement: ast.stmt) -> list[ast.stmt]:
    """A statement; one that imports several names from a module as one for each."""
    if not isinstance(statement, ast.ImportFrom):
        return [statement]
    parts = (ast.ImportFrom(statement.module, [one], statement.level) for one in statement.names)
    return [ast.copy_location(part, statement) for part in parts]


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module binds or may change."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (name for target in targets for name in _named(target))
    elif not _for_types(statement):
        yield from _named(statement)
        inner = (node for node in ast.walk(statement) if isinstance(node, ast.stmt))
        yield from (name for node in inner if node is not statement for name in _bound(node))


def _named(node: ast.AST) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _for_types(statement: ast.stmt) -> bool:
    """Whether a statement is for type checkers alone."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def _loaded(node: ast.AST) -> Iterator[str]:
    """Yield the names that a piece of code reads, but for annotations, which only a class of options evaluates."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    if isinstance(node, ast.stmt) and is_options(node):
        yield from (name for one in node.body if isinstance(one, ast.AnnAssign) for name in _loaded(one.annotation))
    for key, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        if key not in ("annotation", "returns"):
            yield from (name for child in children if isinstance(child, ast.AST) for name in _loaded(child))


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a statement binds at the top of a module, each with its value."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    value = node.value
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
            yield from ((one.id, given) for one, given in pairs if isinstance(one, ast.Name))
