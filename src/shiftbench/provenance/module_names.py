"""Names at the top of a module: their bindings and imports."""

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

FIELDS = {
    kind: tuple(name for name in kind._fields if name not in ("type_comment", "kind", "ctx"))
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


_FOR_TYPES = "TYPE_CHECKING", "typing.TYPE_CHECKING"
_AS_SCRIPT = "__name__ == '__main__'", "'__main__' == __name__"


def _known_tests(tree: ast.Module) -> frozenset[str]:
    """The conditions of TYPE_CHECKING and __main__ whose names nothing else binds."""
    bindings = [(name, node) for node in ast.walk(tree) for name in _bound_by(node)]
    bindings += [(node.arg, node) for node in ast.walk(tree) if isinstance(node, ast.arg)]
    others = {name for name, node in bindings if not _is_of_typing(node)}
    tests = (test for test in _FOR_TYPES if test.partition(".")[0] not in others)
    return frozenset([*tests, *(() if "__name__" in others else _AS_SCRIPT)])


def _is_of_typing(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return all(one.name == "typing" for one in node.names if "typing" in (one.name, one.asname))
    return isinstance(node, ast.ImportFrom) and node.module == "typing" and not node.level


class Module:
    """The names at the top of a module."""

    def __init__(self, package: str, tree: ast.Module) -> None:
        self.package = package
        self._known = _known_tests(tree)
        self.future = any(
            isinstance(one, ast.ImportFrom)
            and one.module == "__future__"
            and any(name.name == "annotations" for name in one.names)
            for one in tree.body
        )
        self.aliases: dict[str, str] = {}
        self.imports: list[str] = []
        self.stars: list[str] = []
        self.own: dict[str, int] = {}  # how often a name is bound
        self._imported: dict[str, set[str]] = {}

    def is_for_types(self, statement: ast.AST) -> bool:
        """Whether a statement is for type checkers alone."""
        return self._is_about(statement, _FOR_TYPES)

    def is_main(self, statement: ast.AST) -> bool:
        """Whether a statement runs where the file is a script, and nowhere else."""
        return self._is_about(statement, _AS_SCRIPT)

    def _is_about(self, statement: ast.AST, tests: tuple[str, str]) -> bool:
        if not isinstance(statement, ast.If) or statement.orelse:
            return False
        test = ast.unparse(statement.test)
        return test in tests and test in self._known

    def look_at(self, statement: ast.stmt) -> None:
        """Note the bindings and imports of a statement at the top."""
        if self.is_for_types(statement):
            self._import(statement, at_import=False)
            return
        self._import(statement, at_import=True)
        for name in bound(statement):
            self.own[name] = self.own.get(name, 0) + 1

    def _import(self, statement: ast.stmt, *, at_import: bool) -> None:
        for node in own_nodes(statement):
            if at_import:
                self.imports += whole_names(node)
            for name, dotted in imported(node, self.package):
                if at_import:
                    self.imports.append(dotted)
                if name == "*":
                    self.stars.append(dotted.removesuffix(".*"))
                    continue
                self._imported.setdefault(name, set()).add(dotted)
                if at_import:
                    self.own[name] = self.own.get(name, 0) - 1  # `bound` counts it as well

    def settle(self) -> None:
        """Find the names that are only imported."""
        for name, dotted in self._imported.items():
            if len(dotted) == 1 and self.own.get(name, 0) <= 0:
                self.aliases[name] = next(iter(dotted))
                self.own.pop(name, None)
            else:
                self.own[name] = 1


def imported(node: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """Yield the names that an import binds, each with the dotted name of its module or definition."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, alias.name
            else:
                yield alias.name.partition(".")[0], alias.name.partition(".")[0]
    if isinstance(node, ast.ImportFrom):
        home = node.module or ""
        if node.level:
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1])
            home = ".".join(filter(None, (base, home)))
        for alias in node.names:
            yield alias.asname or alias.name, f"{home}.{alias.name}"


def whole_names(node: ast.AST) -> Iterator[str]:
    """Yield the modules that `import a.b` loads in addition to the one that it binds."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def own_nodes(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and the statements in it, those of functions and classes left out."""
    yield statement
    if isinstance(statement, Function | ast.ClassDef | ast.expr):
        return
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(statement, name, ()):
            yield from own_nodes(child)


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a piece of code binds in its scope; those of scopes within are left out."""
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, _COMPREHENSIONS):
        inner = (one.target for one in ast.walk(node) if isinstance(one, ast.NamedExpr))
        yield from (target.id for target in inner)
    elif not isinstance(node, ast.Lambda):
        yield from _bound_by(node)
        for child in children(node):
            yield from bound(child)


def _bound_by(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds itself."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        names = (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        yield from (name for name in names if name != "*")
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def children(node: ast.AST) -> list[ast.AST]:
    """Nodes in a node, contexts left out: `ast.iter_child_nodes`, in a third of the time."""
    nodes: list[ast.AST] = []
    for name in FIELDS[type(node)]:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            nodes.append(value)
        elif isinstance(value, list):
            nodes += [item for item in value if isinstance(item, ast.AST)]
    return nodes


def parameters_of(arguments: ast.arguments) -> list[ast.arg]:
    """Parameters of a function."""
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return parameters + [argument for argument in (arguments.vararg, arguments.kwarg) if argument]


def acts_in_notes(note: ast.expr) -> bool:
    """Whether evaluating an annotation may do something."""
    return any(isinstance(node, ast.Call | ast.NamedExpr) for node in ast.walk(note))


def beginnings(dotted: str) -> set[str]:
    """The prefixes of a dotted name, itself included."""
    parts = dotted.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
