"""Effects of importing a file: the calls that it makes, and which of them are known to be harmless."""

import ast
import builtins
import re
from collections.abc import Iterator

from shiftbench.provenance.module_names import (
    Function,
    Module,
    acts_in_notes,
    beginnings,
    children,
    own_nodes,
    parameters_of,
)

_PURE = frozenset(
    "abc collections contextlib copy ctypes.POINTER dataclasses datetime decimal.Decimal enum fractions functools "
    "hashlib itertools json logging.getLogger math numpy operator.attrgetter operator.itemgetter "
    "os.cpu_count os.environ.get os.fspath os.getenv os.path pathlib polars pyarrow pydantic re statistics "
    "string struct textwrap threading.Lock threading.RLock threading.local torch.arange torch.device torch.eye "
    "torch.finfo torch.full torch.iinfo torch.inference_mode torch.linspace torch.no_grad torch.ones torch.tensor "
    "torch.zeros types typing weakref.WeakKeyDictionary weakref.WeakValueDictionary".split()
)
"""Parts of libraries that change nothing else during import, except for `_LOUD`."""
_PURE_BUILTINS = frozenset(
    "abs all any bool bytearray bytes chr complex dict divmod enumerate filter float format frozenset getattr hasattr "
    "hash hex int isinstance issubclass len list map max memoryview min object oct ord pow range repr reversed "
    "round set slice sorted str sum super tuple type zip classmethod staticmethod property".split()
)
_LOUD = re.compile(
    r"set|use|seed|rand|manual|register|enable|disable|install|patch|add$|append|init|simple|basic|put|unset|load|"
    r"open|exit|ch(dir|mod|own|root)|mk|rm|re(move|name|place|load|verse|size|gister)|un(link|set|load|patch)|sym|link|"
    r"write|start|copyto|fill|pop|clear|update|extend|insert|discard|sort$|shuffle|permut|normal|choice|finali[sz]e|"
    r"call|touch|__"
)
"""Names with these prefixes may change something else, in any library."""
_KEEPERS = frozenset(
    "functools.partial functools.partialmethod dataclasses.field types.MappingProxyType classmethod property "
    "staticmethod typing.TypeVar dataclasses.fields pydantic.AfterValidator pydantic.BeforeValidator "
    "pydantic.Field".split()
)
"""Callables that store a function argument without calling it."""
_DECLARES = "shiftbench.plugins.declare."
"""Prefix of decorators that make a function a plugin; they do not call it."""
_MAKES = frozenset("__init__ __new__ __post_init__ __init_subclass__ __call__ __set_name__".split())


def defines(statement: ast.stmt) -> bool:
    """Whether a statement only defines names."""
    if isinstance(statement, Function | ast.ClassDef | ast.Import | ast.ImportFrom):
        return True
    if isinstance(statement, ast.AnnAssign):
        return isinstance(statement.target, ast.Name)
    if isinstance(statement, ast.Assign):
        return all(_is_plain(target) for target in statement.targets)
    return False


def _is_plain(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_is_plain, target.elts))
    return isinstance(target, ast.Name) or (isinstance(target, ast.Starred) and _is_plain(target.value))


_FRESH = (ast.Constant, ast.JoinedStr, ast.List, ast.Dict, ast.Tuple, ast.Set, ast.BinOp)
"""Expressions with new values, which no other name refers to."""


class Calls:
    """The calls that an import makes.

    A call is a reference as in `uses`, or one of these: `?...` may change anything; `~.method` is of a new value;
    `@...` is an argument that the callee may call; `<...` is a base of a class; `&...` is read.
    """

    def __init__(self, module: Module) -> None:
        self.module = module

    def of(self, statement: ast.AST) -> Iterator[str]:
        """Yield the calls of a statement when it runs, without those in functions that it defines."""
        for node in _at_once(statement, notes=not self.module.future):
            if isinstance(node, ast.Call):
                yield from self._called(node)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                reference = self.named(node)
                yield from () if reference[0] in "?~" else (f"&{reference}",)
            elif isinstance(node, ast.Attribute | ast.Subscript):
                yield from () if isinstance(node.ctx, ast.Load) else ("?stores",)
            elif isinstance(node, Function | ast.ClassDef):
                for decorator in node.decorator_list:
                    yield self.named(decorator)
            if isinstance(node, ast.ClassDef):
                yield from (f"<{self.named(base)}" for base in node.bases)
                yield from ("?metaclass" for keyword in node.keywords if keyword.arg == "metaclass")

    def _called(self, node: ast.Call) -> Iterator[str]:
        function = self.named(node.func)
        yield function
        if any(argument.arg in ("out", "inplace") for argument in node.keywords):
            yield "?stores"
        if function not in _KEEPERS and not function.startswith(_DECLARES):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(argument, ast.Lambda):
                    yield from self.of(argument.body)
                elif isinstance(argument, ast.Name | ast.Attribute):
                    yield f"@{self.named(argument)}"

    def named(self, node: ast.expr) -> str:
        """The reference of an expression: a name with attributes, with `[]` and `()` for subscripts and calls."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
            else:
                parts.append("()" if isinstance(node, ast.Call) else "[]")
            node = node.func if isinstance(node, ast.Call) else node.value
        chain = "".join(f".{part}" for part in reversed(parts))
        if not isinstance(node, ast.Name):
            is_new = isinstance(node, _FRESH)
            return f"~{chain}" if is_new and chain else "?expression"
        if node.id in self.module.aliases:
            return self.module.aliases[node.id] + chain
        if node.id in self.module.own:
            return f".{node.id}{chain}"
        builtin = getattr(builtins, node.id, None)
        if builtin is None and self.module.stars:
            return f"*{node.id}{chain}"
        if builtin is None:  # a variable of a comprehension or of a lambda
            return f"~{chain}" if chain else "?variable"
        is_error = isinstance(builtin, type) and issubclass(builtin, BaseException)
        is_pure_builtin = (is_error or node.id in _PURE_BUILTINS) and not chain.endswith("()")
        return f"~{chain}" if is_pure_builtin else f"?{node.id}"


def _at_once(node: ast.AST, *, notes: bool = False) -> Iterator[ast.AST]:
    """Yield the nodes that are evaluated when a statement runs; with `notes` annotations that may do something, too."""
    yield node
    inner: list[ast.AST | None]
    if isinstance(node, Function):
        arguments = node.args
        inner = [*node.decorator_list, *arguments.defaults, *arguments.kw_defaults]
        annotations = (
            [*(annotation.annotation for annotation in parameters_of(arguments)), node.returns] if notes else []
        )
        inner += [annotation for annotation in annotations if annotation is not None and acts_in_notes(annotation)]
    elif isinstance(node, ast.Lambda):
        inner = [*node.args.defaults, *node.args.kw_defaults]
    elif isinstance(node, ast.AnnAssign):
        inner = [node.target, node.value, node.annotation if notes and acts_in_notes(node.annotation) else None]
    else:
        inner = [*children(node)]
    for child in inner:
        if child is not None:
            yield from _at_once(child, notes=notes)


def is_pure(call: str) -> bool:
    """Whether a call of something that is not ours changes nothing else."""
    if call.startswith("&"):
        return True
    is_argument = call.startswith("@")
    name = call.lstrip("@<~")
    if name.startswith("?"):
        return is_argument and name == "?variable"
    is_known = is_argument or call.lstrip("<").startswith("~") or beginnings(name) & _PURE
    return bool(is_known) and not any(_LOUD.match(part) for part in name.split(".")[1:])


def _is_quiet(statement: ast.stmt, module: Module) -> bool:
    """Whether calling the definition changes nothing, so that importers need not know of it."""
    if isinstance(statement, ast.ClassDef):
        methods = {one.name for one in statement.body if isinstance(one, Function)}
        bases = map(Calls(module).named, statement.bases)
        return methods.isdisjoint(_MAKES) and not statement.keywords and all(map(is_pure, bases))
    if not isinstance(statement, ast.FunctionDef):
        return False
    if not all(isinstance(one, _CALM) for part in statement.body for one in own_nodes(part)):
        return False
    inner = [node for part in statement.body for node in _at_once(part)]
    stores = [one for part in inner for one in getattr(part, "targets", ())]
    stores += [one.target for one in inner if isinstance(one, ast.AnnAssign)]
    parameters = {one.arg for one in parameters_of(statement.args)}
    roots = {_root(calls) for one in inner for calls in _callable_of(one)}
    if not all(map(_is_plain, stores)) or not parameters.isdisjoint(roots):
        return False
    calls = [name for part in statement.body for name in Calls(module).of(part)]
    return all(is_pure(name) for name in calls)


def traits_of(statement: ast.stmt, module: Module) -> Iterator[str]:
    """Yield the traits of a statement that is only a definition."""
    if _is_quiet(statement, module):
        yield "quiet"
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    if value is not None and _is_literal(value):
        yield "plain"
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        yield "value"
    if isinstance(statement, ast.ClassDef):
        derives = any(isinstance(member, Function) and member.name == "__init_subclass__" for member in statement.body)
        if not derives and not statement.keywords:
            yield "plain base"


def _is_literal(node: ast.expr) -> bool:
    """Whether an expression is a number, a text, or a tuple of these."""
    if isinstance(node, ast.Tuple):
        return all(map(_is_literal, node.elts))
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _callable_of(node: ast.AST) -> list[ast.expr]:
    """The expressions that a call may call: its function, and arguments of map, filter and keys."""
    if not isinstance(node, ast.Call):
        return []
    functions = node.args[:1] if ast.unparse(node.func) in ("map", "filter", "functools.reduce") else []
    return [node.func, *functions, *(keyword.value for keyword in node.keywords if keyword.arg == "key")]


def _root(node: ast.expr) -> str:
    """Name at the beginning of `name.attribute.attribute`; empty: there is none."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


_CALM = (ast.Expr, ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.Return, ast.If, ast.Raise)
