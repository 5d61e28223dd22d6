"""Definitions of one source file: what each means, however it is called, commented, documented and annotated.

A *definition* is a statement at the top of a module, or those that bind the same names. Its meaning is its syntax tree
with three replacements. What it uses of modules is a reference, whose target `code_digest` finds. A local variable is
a number. Docstrings, annotations and names of functions are apart (`told`): they count where something reads them.

Names of parameters, attributes, keywords and classes are data, and so is the annotation of a class's field.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from shiftbench.provenance.import_effects import Calls, defines, traits_of
from shiftbench.provenance.module_names import (
    FIELDS,
    Function,
    Module,
    acts_in_notes,
    beginnings,
    bound,
    children,
    imported,
    own_nodes,
    parameters_of,
    whole_names,
)

_OPAQUE = frozenset("exec eval globals __import__ __builtins__ __path__ __spec__ __loader__".split())
"""Names of Python's own with which code reaches what no text names."""
_STORING = frozenset("setattr delattr vars globals".split())
"""Likewise, those with which code changes what a name means."""
_OPAQUE_ATTRIBUTES = frozenset("__globals__ __subclasses__ f_globals f_locals f_back".split())
"""Likewise, attributes."""
_OPAQUE_OF = frozenset(
    "builtins cloudpickle dill gc.get_objects importlib.import_module importlib.machinery "
    "importlib.metadata.entry_points importlib.reload importlib.util inspect.currentframe inspect.getmembers "
    "inspect.getmodule inspect.stack joblib.load marshal pickle.Unpickler pickle.load pickle.loads pkgutil runpy "
    "shelve sys._getframe sys.executable sys.meta_path sys.modules sys.path_hooks zipimport".split()
)
"""Likewise, of libraries: these, and all below them."""
_OPAQUE_AS_VALUES = frozenset("gc importlib inspect pickle sys".split())
"""Likewise, modules, where no attribute of them is named."""
_SHOWS_LOCALS = frozenset("locals vars dir exec eval _getframe currentframe".split())
_SHOWS_LOCALS_OF_FRAMES = frozenset("_getframe currentframe f_locals".split())
_PLACE = frozenset("__name__ __file__ __package__ __path__ __spec__ __loader__ __cached__".split())
"""Names that tell a module where it is."""
REFLECTING = frozenset("__name__ __qualname__ __module__ __annotations__ __code__ __signature__ __wrapped__".split())
"""Attributes that make data of what else only tells."""
DOCUMENTING = frozenset("__doc__ getdoc pydoc help vars __dict__".split())
"""Likewise, of docstrings."""
SOURCING = frozenset(
    "__code__ linecache traceback tb_lineno f_lineno co_firstlineno getsource getsourcelines findsource "
    "getcomments getsourcefile getframeinfo".split()
)
"""Likewise, of the text of a file, comments and numbers of lines."""
_REFLECTING_CALLS = frozenset(
    "get_type_hints get_annotations signature getfullargspec singledispatch singledispatchmethod validate_call "
    "__annotations__ pydoc".split()
)
_DECLARE = "shiftbench.plugins.declare"
_KEEPS_QUIET = frozenset(
    "abc contextlib dataclasses functools torch typing atexit staticmethod classmethod property".split()
)
"""Whose decorators do not look at annotations."""
_ASKING = ("shiftbench.base.registry.find", "shiftbench.base.registry.read")
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\.?")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a file defines under one name, or under names that cannot be parted; a statement without a name, too.

    Attributes:
        names: what it binds, in the order of the text.
        meaning: digest of its syntax tree, references left out.
        told: digests of what only tells: names of functions and annotations; docstrings.
        uses: references, in the order of the text: `.name.attribute` of this file, else `package.module.name`.
        notes: references of annotations.
        lazy: what it imports when it runs.
        strings: texts that may be names of modules or files, and plugins that it asks for: `FAMILY/NAME`, or `FAMILY`
            and a slash where the name is computed.
        calls: what importing the file calls of it, as `uses`; see `Calls`.
        traits: `acts` (no definition, or more than one), `main` (runs in scripts alone), `quiet` (calling it changes
            nothing), `value` (what an expression gives), `plain` (a literal, which cannot change), `plain base`
            (nothing happens in this class when another is derived from it), `reflects`, `documents` and `sources`
            (read what is told, or the text of a file), `stores` (may give another meaning to what it uses), `opaque`
            (reaches what no text names), `placed` (its module's name or file is data).
        lines: first and last line of each statement.
    """

    names: tuple[str, ...]
    meaning: str
    told: tuple[str, str]
    uses: tuple[str, ...]
    notes: tuple[str, ...]
    lazy: tuple[str, ...]
    strings: tuple[str, ...]
    calls: tuple[str, ...]
    traits: frozenset[str]
    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """What a source file says.

    Attributes:
        aliases: what an import binds -> what is imported.
        imports: what importing the file imports.
        stars: modules of which it imports all names.
        assets: files that it names as ASSETS.
        definitions: in the order of the text.
        told: digests of what it only tells: annotations without a value, its docstring, its bytes.
    """

    aliases: dict[str, str]
    imports: tuple[str, ...]
    stars: tuple[str, ...]
    assets: tuple[str, ...]
    definitions: tuple[Definition, ...]
    told: tuple[str, str, str]


def read(source: bytes, package: str, name: str = "") -> Text:
    """Return what a file says.

    Args:
        source: its bytes.
        package: dotted name of the package that it is in, which relative imports begin at.
        name: of the file, for errors.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source, filename=name)
    module = Module(package, tree)
    statements = [one for one in tree.body if not _is_told(one, module)]
    for statement in statements:
        module.look_at(statement)
    module.settle()
    made = tuple(
        _Writer(module, group).definition()
        for group in _groups(statements, module)
        if not all(_only_imports(one, module) for one in group)
    )
    assets = next((_literals(one) for one in statements if _names_assets(one)), ())
    declared = [ast.unparse(one) for one in tree.body if isinstance(one, ast.AnnAssign)]
    texts = (declared, [ast.get_docstring(tree, clean=False) or ""], [source.hex()])
    told = digest(texts[0]), digest(texts[1]), digest(texts[2])
    return Text(module.aliases, tuple(module.imports), tuple(module.stars), assets, made, told)


def _is_told(statement: ast.stmt, module: Module) -> bool:
    """Tell whether a statement at the top of a module does nothing."""
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return module.future or not acts_in_notes(statement.annotation)
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _only_imports(statement: ast.stmt, module: Module) -> bool:
    """Tell whether a statement binds nothing but what it imports."""
    is_import = isinstance(statement, ast.Import | ast.ImportFrom)
    return is_import and module.own.keys().isdisjoint(bound(statement))


def _names_assets(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and "ASSETS" in list(bound(statement))


def _literals(statement: ast.stmt) -> tuple[str, ...]:
    return tuple(ast.literal_eval(statement.value)) if isinstance(statement, ast.Assign) else ()


def _groups(statements: list[ast.stmt], module: Module) -> list[list[ast.stmt]]:
    """The statements, those together that bind the same names."""
    home: dict[str, int] = {}
    groups: dict[int, list[ast.stmt]] = {}
    for at, statement in enumerate(statements):
        if module.is_for_types(statement):
            continue
        names = [name for name in bound(statement) if name in module.own]
        places = sorted({home[name] for name in names if name in home} | {at})
        first = places[0]
        groups[first] = [one for place in places for one in groups.pop(place, ())] + [statement]
        for name, place in [*home.items(), *((name, at) for name in names)]:
            if place in places:
                home[name] = first
    return [groups[at] for at in sorted(groups)]


@dataclass(slots=True)
class _Scope:
    """A function, a lambda, a comprehension or a class: what its names are."""

    kind: str
    parameters: frozenset[str] = frozenset()
    numbers: dict[str, int | None] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    outer: frozenset[str] = frozenset()  # `global`
    shown: bool = False  # its names are data


class _Writer:
    """Writes the tokens of one definition."""

    def __init__(self, module: Module, statements: list[ast.stmt]) -> None:
        self.module = module
        self.statements = statements
        found = (name for one in statements for name in bound(one) if name in module.own)
        self.names = tuple(dict.fromkeys(found))
        self.tokens: list[str] = []
        self.told: list[str] = []
        self.docs: list[str] = []
        self.uses: list[str] = []
        self.notes: list[str] = []
        self.lazy: list[str] = []
        self.strings: list[str] = []
        self.traits: set[str] = set()
        self.scopes: list[_Scope] = []
        self.count = 0

    def definition(self) -> Definition:
        """Return what the statements define."""
        for statement in self.statements:
            self.write(statement)
        calls = [call for one in self.statements for call in Calls(self.module).of(one)]
        self._judge()
        return Definition(
            self.names,
            digest(self.tokens),
            (digest(self.told), digest(self.docs)),
            tuple(self.uses),
            tuple(dict.fromkeys(self.notes)),
            tuple(dict.fromkeys(self.lazy)),
            tuple(dict.fromkeys(self.strings)),
            tuple(dict.fromkeys(calls)),
            frozenset(self.traits),
            tuple((_first_line(one), one.end_lineno or one.lineno) for one in self.statements),
        )

    def _judge(self) -> None:
        """Say what kind of statements these are."""
        if all(map(self.module.is_main, self.statements)):
            self.traits.add("main")
        elif len(self.statements) > 1 or not all(map(defines, self.statements)):
            self.traits.add("acts")
        if len(self.statements) == 1:
            self.traits.update(traits_of(self.statements[0], self.module))

    # ------------------------------------------------------------------ any node

    def write(self, node: object) -> None:
        """Add the tokens of a node, of a list of nodes or of a value."""
        if isinstance(node, ast.AST):
            special = _SPECIAL.get(type(node))
            if special is None:
                self._fields(node)
            else:
                special(self, node)
        elif isinstance(node, list):
            for item in node:
                self.write(item)
        else:
            self.tokens.append(f"{type(node).__name__}:{node!r}")

    def _fields(self, node: ast.AST, *left_out: str) -> None:
        kind = type(node)
        self.tokens.append(f"({kind.__name__}")
        for name in FIELDS[kind]:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in left_out:
                self.tokens.append(name)
                self.write(value)
        self.tokens.append(")")

    def _constant(self, node: ast.Constant) -> None:
        self.tokens.append(f"{type(node.value).__name__}:{node.value!r}")
        if isinstance(node.value, str):
            if node.value.startswith(("__", "get")):
                self._read(node.value)
            if node.value.endswith(".py") or ("." in node.value and _MODULE_NAME.fullmatch(node.value)):
                self.strings.append(node.value)

    def _f_string(self, node: ast.JoinedStr) -> None:
        """Python 3.12 alone leaves empty pieces in f-strings."""
        parts = [one for one in node.values if not (isinstance(one, ast.Constant) and not one.value)]
        self.tokens.append("(JoinedStr")
        self.write(parts)
        self.tokens.append(")")

    # ------------------------------------------------------------------ names

    def _call(self, node: ast.Call) -> None:
        before = "opaque" in self.traits
        self._fields(node)
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
        told = len(texts) == len(node.args) and not str(texts[:1]).startswith("['.")
        if name == "import_module" and told and not before and not node.keywords:
            self.traits.discard("opaque")
        root = node.func.value if isinstance(node.func, ast.Attribute) else None
        whose = self.module.aliases.get(root.id, "") if isinstance(root, ast.Name) else ""
        asks = f"{whose}.{name}" if whose else self.module.aliases.get(name, "")
        if asks in _ASKING and len(node.args) == 2:
            self._asks(*node.args)

    def _asks(self, family: ast.expr, name: ast.expr) -> None:
        """Note for which plugin a definition asks."""
        if not isinstance(family, ast.Constant):
            self.traits.add("opaque")
        elif isinstance(name, ast.Constant):
            self.strings.append(f"{family.value!s}/{name.value!s}")
        elif not _is_of_recipe(name):
            self.strings.append(f"{family.value!s}/")

    def _name(self, node: ast.Name) -> None:
        if not self.scopes and not isinstance(node.ctx, ast.Load) and node.id in self.names:
            self.tokens.append(f"own {self.names.index(node.id)}")
        else:
            self._use(node.id, "")

    def _use(self, name: str, attributes: str) -> bool:
        """Add the token of a name; tell whether it stands for the attributes, too."""
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.kind == "class" and depth:
                continue
            if name in scope.outer:
                break
            if name in scope.imports:
                return self._refer(scope.imports[name] + attributes)
            if name in scope.parameters or (name in scope.numbers and scope.shown):
                self.tokens.append(f"name {name}")
                return False
            if name in scope.numbers:
                self.tokens.append(f"local {self._number(scope, name)}")
                return False
        return self._global(name, attributes)

    def _global(self, name: str, attributes: str) -> bool:
        if name in self.module.aliases:
            return self._refer(self.module.aliases[name] + attributes)
        if name in self.module.own:
            return self._refer(f".{name}{attributes}")
        if name in _PLACE:
            self.traits.add("placed")
        if name in _OPAQUE:
            self.traits.add("opaque")
        if name in _STORING:
            self.traits.add("stores")
        self._read(name, attribute=name == "__annotations__")
        if self.module.stars:
            return self._refer(f"*{name}{attributes}")
        self.tokens.append(f"builtin {name}")
        return False

    def _number(self, scope: _Scope, name: str) -> int:
        number = scope.numbers[name]
        if number is None:
            number = scope.numbers[name] = self.count
            self.count += 1
        return number

    def _refer(self, target: str) -> bool:
        self.tokens.append("use")
        self.uses.append(target)
        if target in _OPAQUE_AS_VALUES or not _OPAQUE_OF.isdisjoint(beginnings(target)):
            self.traits.add("opaque")
        for part in target.split("."):
            self._read(part, attribute=False)
        return True

    def _read(self, name: str, *, attribute: bool = True) -> None:
        """Note that something reads what only tells, if that is its name."""
        if name in _REFLECTING_CALLS or (attribute and name in REFLECTING):
            self.traits.add("reflects")
        if name in DOCUMENTING:
            self.traits.add("documents")
        if name in SOURCING:
            self.traits.add("sources")
        if name in _OPAQUE_ATTRIBUTES:
            self.traits.add("opaque")

    def _attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.traits.add("stores")
        attributes, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            attributes.append(base.attr)
            base = base.value
        before = len(self.tokens)
        if isinstance(base, ast.Name):
            chain = "".join(f".{name}" for name in reversed(attributes))
            if self._use(base.id, chain):
                return
            del self.tokens[before:]
        self._read(node.attr, attribute=not _is_class(node.value))
        self._fields(node)

    def _bind(self, name: str | None) -> None:
        """Add the token of a name that a node has as text."""
        if name is None:
            return
        if not self.scopes and name in self.names:
            self.tokens.append(f"own {self.names.index(name)}")
        else:
            self._use(name, "")

    # ------------------------------------------------------------------ statements

    def _function(self, node: Function) -> None:
        self.write_decorators(node)
        self.tokens.append(f"({type(node).__name__}")
        self._title(node.name)
        self._callable(node, node.body, keeps=_looks_at_annotations(node, self))
        self.tokens.append(")")

    def write_decorators(self, node: Function | ast.ClassDef) -> None:
        """Add the decorators, which the scope around evaluates; the title of a plugin is for display alone."""
        for decorator in node.decorator_list:
            self.tokens.append("decorator")
            self.write(self._without_title(decorator))

    def _without_title(self, decorator: ast.expr) -> ast.expr:
        """A decorator of `plugins.declare` without its keyword `title`, any other as it is."""
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
            return decorator
        base = decorator.func.value
        if not isinstance(base, ast.Name) or self.module.aliases.get(base.id) != _DECLARE:
            return decorator
        return ast.Call(decorator.func, decorator.args, [one for one in decorator.keywords if one.arg != "title"])

    def _title(self, name: str) -> None:
        """Add the name of a function: data in a class, else a variable, and told."""
        if self.scopes and self.scopes[-1].kind == "class":
            self.tokens.append(f"name {name}")
        else:
            self._bind(name)
            self.told.append(f"name {name}")

    def _lambda(self, node: ast.Lambda) -> None:
        self.tokens.append("(Lambda")
        self._callable(node, [node.body], keeps=False)
        self.tokens.append(")")

    def _callable(self, node: Function | ast.Lambda, body: list[ast.stmt] | list[ast.expr], *, keeps: bool) -> None:
        """Add parameters and body."""
        arguments = node.args
        self.tokens.append("defaults")
        self.write([arguments.defaults, arguments.kw_defaults])
        notes = [one.annotation for one in parameters_of(arguments)]
        notes += [] if isinstance(node, ast.Lambda) else [node.returns]
        self._annotate(notes, keeps=keeps)
        for kind in ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"):
            found = getattr(arguments, kind)
            for one in found if isinstance(found, list) else [found] if found else []:
                self.tokens.append(f"{kind} {one.arg}")
        self.scopes.append(_scope_of(node, body, self.module.package))
        self.tokens.append("body")
        self.write(body if isinstance(node, ast.Lambda) else self._documented(node))
        self.scopes.pop()

    def _annotate(self, notes: Iterable[ast.expr | None], *, keeps: bool) -> None:
        for note in notes:
            text = "" if note is None else ast.unparse(note)
            self.told.append(f"note {text}")
            if note is None:
                continue
            kept = len(self.tokens), len(self.uses), len(self.strings), set(self.traits)
            self.write(_quoted(note))
            self.notes += self.uses[kept[1] :]
            if not keeps and (self.module.future or not acts_in_notes(note)):
                del self.tokens[kept[0] :], self.uses[kept[1] :], self.strings[kept[2] :]
                self.traits = kept[3]

    def _documented(self, node: Function | ast.ClassDef) -> list[ast.stmt]:
        """Body without its docstring, which is told."""
        first = node.body[0]
        value = first.value if isinstance(first, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.docs.append(value.value)
            return node.body[1:]
        return node.body

    def _class(self, node: ast.ClassDef) -> None:
        self.write_decorators(node)
        self.tokens.append(f"(ClassDef {node.name}")
        if self.scopes and self.scopes[-1].kind != "class":
            self._bind(node.name)
        self.write([node.bases, node.keywords])
        rest = self._documented(node)
        names = dict.fromkeys(name for one in node.body for name in bound(one))
        self.scopes.append(_Scope("class", numbers=dict.fromkeys(names), shown=True))
        self.tokens.append("body")
        self.write(rest)
        self.scopes.pop()
        self.tokens.append(")")

    def _annotated(self, node: ast.AnnAssign) -> None:
        """A field of a class with its annotation; else what it is without."""
        if self.scopes and self.scopes[-1].kind == "class":
            self.tokens.append("text" if self.module.future else "value")
            self._fields(node)
            return
        self._annotate([node.annotation], keeps=False)
        self.tokens.append("(Assign" if node.value is not None else "(Declared")
        self.tokens.append("targets")
        self.write(node.target)
        if node.value is not None:
            self.tokens.append("value")
            self.write(node.value)
        self.tokens.append(")")

    def _comprehension(self, node: ast.AST) -> None:
        kept = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.comprehension)]
        self.tokens.append(f"({type(node).__name__}")
        self.write(kept[0].iter)  # which the scope around evaluates
        names = (name for one in kept for name in bound(one.target))
        self.scopes.append(_Scope("comprehension", numbers=dict.fromkeys(names)))
        for at, one in enumerate(kept):
            self._fields(one, *(("iter",) if at == 0 else ()))
        self._fields(node, "generators")
        self.scopes.pop()
        self.tokens.append(")")

    def _handler(self, node: ast.ExceptHandler) -> None:
        self._bind(node.name)
        self._fields(node, "name")

    def _capture(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self._bind(node.name)
        self._fields(node, "name")

    def _mapping(self, node: ast.MatchMapping) -> None:
        self._bind(node.rest)
        self._fields(node, "rest")

    def _outer(self, node: ast.Global | ast.Nonlocal) -> None:
        self.tokens.append(type(node).__name__)
        if isinstance(node, ast.Global):
            self.traits.add("stores")
        for name in node.names:
            self._bind(name)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Nothing where the name is nothing else; else a reference and a name."""
        for name, dotted in imported(node, self.module.package):
            if self.scopes:
                self.lazy.append(dotted)
            scope = self.scopes[-1].imports if self.scopes else self.module.aliases
            if name not in scope and name != "*":
                self.tokens.append("(Import")
                self._refer(dotted)
                self._bind(name)
                self.tokens.append(")")
        if self.scopes:
            self.lazy += whole_names(node)

    def _if(self, node: ast.If) -> None:
        if not self.module.is_for_types(node):
            self._fields(node)


_SPECIAL: dict[type, Callable[[_Writer, Any], None]] = {
    ast.Constant: _Writer._constant,
    ast.JoinedStr: _Writer._f_string,
    ast.Name: _Writer._name,
    ast.Call: _Writer._call,
    ast.Attribute: _Writer._attribute,
    ast.FunctionDef: _Writer._function,
    ast.AsyncFunctionDef: _Writer._function,
    ast.Lambda: _Writer._lambda,
    ast.ClassDef: _Writer._class,
    ast.AnnAssign: _Writer._annotated,
    ast.ListComp: _Writer._comprehension,
    ast.SetComp: _Writer._comprehension,
    ast.DictComp: _Writer._comprehension,
    ast.GeneratorExp: _Writer._comprehension,
    ast.ExceptHandler: _Writer._handler,
    ast.MatchAs: _Writer._capture,
    ast.MatchStar: _Writer._capture,
    ast.MatchMapping: _Writer._mapping,
    ast.Global: _Writer._outer,
    ast.Nonlocal: _Writer._outer,
    ast.Import: _Writer._import,
    ast.ImportFrom: _Writer._import,
    ast.If: _Writer._if,
}


def digest(tokens: Iterable[str]) -> str:
    """Digest of tokens (32 hexadecimal digits)."""
    return hashlib.sha256("\0".join(tokens).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _quoted(note: ast.expr) -> ast.expr:
    """An annotation, of a text what it says."""
    if isinstance(note, ast.Constant) and isinstance(note.value, str):
        with suppress(SyntaxError):
            return ast.parse(note.value, mode="eval").body
    return note


def _first_line(statement: ast.stmt) -> int:
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", ())
    return min([statement.lineno, *(one.lineno for one in decorators)])


def _is_of_recipe(node: ast.expr) -> bool:
    """Tell whether an expression is the plugin that a recipe names (`recipe["model"]["use"]`), which is a root."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == "use"


def _scope_of(node: Function | ast.Lambda, body: list[ast.stmt] | list[ast.expr], package: str) -> _Scope:
    """Return what the names of a function are."""
    parameters = frozenset(one.arg for one in parameters_of(node.args))
    inner = [one for statement in body for one in own_nodes(statement)]
    outer = {name for one in inner if isinstance(one, ast.Global | ast.Nonlocal) for name in one.names}
    kept = {name for one in inner if isinstance(one, ast.Global) for name in one.names}
    names = [name for statement in body for name in bound(statement) if name not in outer]
    brought: dict[str, set[str]] = {}
    for one in inner:
        for name, dotted in imported(one, package):
            brought.setdefault(name, set()).add(dotted)
    times = {name: names.count(name) for name in brought}
    imports = {
        name: next(iter(dotted))
        for name, dotted in brought.items()
        if len(dotted) == 1 and times[name] == 1 and name not in parameters
    }
    free = dict.fromkeys(name for name in names if name not in parameters and name not in imports)
    shown = any(map(_shows_locals, body))
    return _Scope("function", parameters, dict.fromkeys(free), imports, frozenset(kept), shown)


def _shows_locals(node: ast.AST) -> bool:
    if isinstance(node, ast.Name) and node.id in _SHOWS_LOCALS:
        return True
    if isinstance(node, ast.Attribute) and node.attr in _SHOWS_LOCALS_OF_FRAMES:
        return True
    return any(map(_shows_locals, children(node)))


def _is_class(node: ast.expr) -> bool:
    """Tell whether an expression is a class: `type(x)`, `x.__class__`; names of classes count anyway."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "type"
        and len(node.args) == 1
    )


def _looks_at_annotations(node: Function, writer: _Writer) -> bool:
    """Tell whether a decorator may make something of annotations; ours are read, and say so themselves."""
    own = writer.module.package.partition(".")[0]
    for decorator in node.decorator_list:
        base: ast.expr = decorator.func if isinstance(decorator, ast.Call) else decorator
        while isinstance(base, ast.Attribute):
            base = base.value
        name = base.id if isinstance(base, ast.Name) else ""
        top = writer.module.aliases.get(name, name).partition(".")[0]
        if name in writer.module.aliases and top not in {*_KEEPS_QUIET, "shiftbench", own}:
            return True
    return False
