"""Writes a definition as tokens, whose digest is its meaning.

The tokens are those of the syntax tree, with three replacements. A use of a module's name is a reference, whose target
`linker` finds. A local variable is a number. Docstrings, annotations and names of functions are apart, as descriptions:
they count where something reads them.

Names of parameters, attributes, keywords and classes are data, and so is the annotation of a class's field.
"""

import ast
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from shiftbench.provenance import special_names
from shiftbench.provenance.import_effects import defines, traits_of
from shiftbench.provenance.module_names import (
    FIELDS,
    Function,
    Module,
    acts_in_notes,
    beginnings,
    bound,
    imported,
    parameters_of,
    whole_names,
)
from shiftbench.provenance.scopes import Scope, scope_of

_DECLARE = "shiftbench.plugins.declare"
_PLUGIN_FUNCTIONS = ("shiftbench.base.registry.find", "shiftbench.base.registry.read")
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\.?")


class Writer:
    """Writes the tokens of one definition."""

    def __init__(self, module: Module, statements: list[ast.stmt]) -> None:
        self.module = module
        self.statements = statements
        names = (name for statement in statements for name in bound(statement) if name in module.own)
        self.names = tuple(dict.fromkeys(names))
        self.tokens: list[str] = []
        self.labels: list[str] = []
        self.docs: list[str] = []
        self.uses: list[str] = []
        self.notes: list[str] = []
        self.lazy: list[str] = []
        self.strings: list[str] = []
        self.traits: set[str] = set()
        self.scopes: list[Scope] = []
        self.count = 0

    def judge(self) -> None:
        """Note the traits that the statements have together; to be called once all are written."""
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
        parts = [value for value in node.values if not (isinstance(value, ast.Constant) and not value.value)]
        self.tokens.append("(JoinedStr")
        self.write(parts)
        self.tokens.append(")")

    # ------------------------------------------------------------------ names

    def _call(self, node: ast.Call) -> None:
        was_opaque = "opaque" in self.traits
        self._fields(node)
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        is_literal = len(texts) == len(node.args) and not str(texts[:1]).startswith("['.")
        if name == "import_module" and is_literal and not was_opaque and not node.keywords:
            self.traits.discard("opaque")
        root = node.func.value if isinstance(node.func, ast.Attribute) else None
        module = self.module.aliases.get(root.id, "") if isinstance(root, ast.Name) else ""
        function = f"{module}.{name}" if module else self.module.aliases.get(name, "")
        if function in _PLUGIN_FUNCTIONS and len(node.args) == 2:
            self._note_plugin(*node.args)

    def _note_plugin(self, plugin_type: ast.expr, name: ast.expr) -> None:
        """Note the plugin that a definition uses, or the type of it."""
        if not isinstance(plugin_type, ast.Constant):
            self.traits.add("opaque")
        elif isinstance(name, ast.Constant):
            self.strings.append(f"{plugin_type.value!s}/{name.value!s}")
        elif not _is_of_recipe(name):
            self.strings.append(f"{plugin_type.value!s}/")

    def _name(self, node: ast.Name) -> None:
        if not self.scopes and not isinstance(node.ctx, ast.Load) and node.id in self.names:
            self.tokens.append(f"own {self.names.index(node.id)}")
        else:
            self._use(node.id, "")

    def _use(self, name: str, attributes: str) -> bool:
        """Add the token of a name; returns whether it includes the attributes."""
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
        if name in special_names.PLACE:
            self.traits.add("placed")
        if name in special_names.OPAQUE:
            self.traits.add("opaque")
        if name in special_names.STORING:
            self.traits.add("stores")
        self._read(name, attribute=name == "__annotations__")
        if self.module.stars:
            return self._refer(f"*{name}{attributes}")
        self.tokens.append(f"builtin {name}")
        return False

    def _number(self, scope: Scope, name: str) -> int:
        number = scope.numbers[name]
        if number is None:
            number = scope.numbers[name] = self.count
            self.count += 1
        return number

    def _refer(self, target: str) -> bool:
        self.tokens.append("use")
        self.uses.append(target)
        if target in special_names.OPAQUE_AS_VALUES or not special_names.OPAQUE_OF.isdisjoint(beginnings(target)):
            self.traits.add("opaque")
        for part in target.split("."):
            self._read(part, attribute=False)
        return True

    def _read(self, name: str, *, attribute: bool = True) -> None:
        """Note the trait of a name that reads descriptions or source text."""
        if name in special_names.REFLECTING_CALLS or (attribute and name in special_names.REFLECTING):
            self.traits.add("reflects")
        if name in special_names.DOCUMENTING:
            self.traits.add("documents")
        if name in special_names.SOURCING:
            self.traits.add("sources")
        if name in special_names.OPAQUE_ATTRIBUTES:
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
        return ast.Call(
            decorator.func, decorator.args, [keyword for keyword in decorator.keywords if keyword.arg != "title"]
        )

    def _title(self, name: str) -> None:
        """Add the name of a function: data in a class, else a variable and a label."""
        if self.scopes and self.scopes[-1].kind == "class":
            self.tokens.append(f"name {name}")
        else:
            self._bind(name)
            self.labels.append(f"name {name}")

    def _lambda(self, node: ast.Lambda) -> None:
        self.tokens.append("(Lambda")
        self._callable(node, [node.body], keeps=False)
        self.tokens.append(")")

    def _callable(self, node: Function | ast.Lambda, body: list[ast.stmt] | list[ast.expr], *, keeps: bool) -> None:
        """Add parameters and body."""
        arguments = node.args
        self.tokens.append("defaults")
        self.write([arguments.defaults, arguments.kw_defaults])
        notes = [argument.annotation for argument in parameters_of(arguments)]
        notes += [] if isinstance(node, ast.Lambda) else [node.returns]
        self._annotate(notes, keeps=keeps)
        for kind in ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"):
            arguments_of_kind = getattr(arguments, kind)
            for argument in (
                arguments_of_kind
                if isinstance(arguments_of_kind, list)
                else [arguments_of_kind]
                if arguments_of_kind
                else []
            ):
                self.tokens.append(f"{kind} {argument.arg}")
        self.scopes.append(scope_of(node, body, self.module.package))
        self.tokens.append("body")
        self.write(body if isinstance(node, ast.Lambda) else self._documented(node))
        self.scopes.pop()

    def _annotate(self, notes: Iterable[ast.expr | None], *, keeps: bool) -> None:
        for note in notes:
            text = "" if note is None else ast.unparse(note)
            self.labels.append(f"note {text}")
            if note is None:
                continue
            before = len(self.tokens), len(self.uses), len(self.strings), set(self.traits)
            self.write(_quoted(note))
            self.notes += self.uses[before[1] :]
            if not keeps and (self.module.future or not acts_in_notes(note)):
                del self.tokens[before[0] :], self.uses[before[1] :], self.strings[before[2] :]
                self.traits = before[3]

    def _documented(self, node: Function | ast.ClassDef) -> list[ast.stmt]:
        """Body without its docstring, which is noted apart."""
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
        names = dict.fromkeys(name for statement in node.body for name in bound(statement))
        self.scopes.append(Scope("class", numbers=dict.fromkeys(names), shown=True))
        self.tokens.append("body")
        self.write(rest)
        self.scopes.pop()
        self.tokens.append(")")

    def _annotated(self, node: ast.AnnAssign) -> None:
        """A field of a class with its annotation; any other assignment without it."""
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
        generators = [generator for generator in ast.iter_child_nodes(node) if isinstance(generator, ast.comprehension)]
        self.tokens.append(f"({type(node).__name__}")
        self.write(generators[0].iter)  # which the scope around evaluates
        names = (name for generator in generators for name in bound(generator.target))
        self.scopes.append(Scope("comprehension", numbers=dict.fromkeys(names)))
        for index, generator in enumerate(generators):
            self._fields(generator, *(("iter",) if index == 0 else ()))
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
        """Nothing if the name is an alias; else a reference and a name."""
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


_SPECIAL: dict[type, Callable[[Writer, Any], None]] = {
    ast.Constant: Writer._constant,
    ast.JoinedStr: Writer._f_string,
    ast.Name: Writer._name,
    ast.Call: Writer._call,
    ast.Attribute: Writer._attribute,
    ast.FunctionDef: Writer._function,
    ast.AsyncFunctionDef: Writer._function,
    ast.Lambda: Writer._lambda,
    ast.ClassDef: Writer._class,
    ast.AnnAssign: Writer._annotated,
    ast.ListComp: Writer._comprehension,
    ast.SetComp: Writer._comprehension,
    ast.DictComp: Writer._comprehension,
    ast.GeneratorExp: Writer._comprehension,
    ast.ExceptHandler: Writer._handler,
    ast.MatchAs: Writer._capture,
    ast.MatchStar: Writer._capture,
    ast.MatchMapping: Writer._mapping,
    ast.Global: Writer._outer,
    ast.Nonlocal: Writer._outer,
    ast.Import: Writer._import,
    ast.ImportFrom: Writer._import,
    ast.If: Writer._if,
}


def _quoted(note: ast.expr) -> ast.expr:
    """An annotation; a text is parsed."""
    if isinstance(note, ast.Constant) and isinstance(note.value, str):
        with suppress(SyntaxError):
            return ast.parse(note.value, mode="eval").body
    return note


def _is_of_recipe(node: ast.expr) -> bool:
    """Whether an expression is the plugin that a recipe names (`recipe["model"]["use"]`), which is a root."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value == "use"


def _is_class(node: ast.expr) -> bool:
    """Whether an expression is a class: `type(x)`, `x.__class__`; names of classes count anyway."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "type"
        and len(node.args) == 1
    )


def _looks_at_annotations(node: Function, writer: Writer) -> bool:
    """Whether a decorator may use annotations; our own decorators are read, and have that trait themselves."""
    package = writer.module.package.partition(".")[0]
    for decorator in node.decorator_list:
        base: ast.expr = decorator.func if isinstance(decorator, ast.Call) else decorator
        while isinstance(base, ast.Attribute):
            base = base.value
        name = base.id if isinstance(base, ast.Name) else ""
        top = writer.module.aliases.get(name, name).partition(".")[0]
        if name in writer.module.aliases and top not in {*special_names.KEEPS_QUIET, "shiftbench", package}:
            return True
    return False
