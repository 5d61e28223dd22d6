"""Scopes of a definition: what each name in a function, a class or a comprehension is."""

import ast
from dataclasses import dataclass, field

from shiftbench.provenance import special_names
from shiftbench.provenance.module_names import Function, bound, children, imported, own_nodes, parameters_of


@dataclass(slots=True)
class Scope:
    """The names of a function, a lambda, a comprehension or a class."""

    kind: str
    parameters: frozenset[str] = frozenset()
    numbers: dict[str, int | None] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    outer: frozenset[str] = frozenset()  # `global`
    shown: bool = False  # its names are data


def scope_of(node: Function | ast.Lambda, body: list[ast.stmt] | list[ast.expr], package: str) -> Scope:
    """Scope of a function or a lambda."""
    parameters = frozenset(one.arg for one in parameters_of(node.args))
    inner = [one for statement in body for one in own_nodes(statement)]
    outer = {name for one in inner if isinstance(one, ast.Global | ast.Nonlocal) for name in one.names}
    global_names = {name for one in inner if isinstance(one, ast.Global) for name in one.names}
    names = [name for statement in body for name in bound(statement) if name not in outer]
    imported_names: dict[str, set[str]] = {}
    for one in inner:
        for name, dotted in imported(one, package):
            imported_names.setdefault(name, set()).add(dotted)
    counts = {name: names.count(name) for name in imported_names}
    imports = {
        name: next(iter(dotted))
        for name, dotted in imported_names.items()
        if len(dotted) == 1 and counts[name] == 1 and name not in parameters
    }
    free = dict.fromkeys(name for name in names if name not in parameters and name not in imports)
    shown = any(map(_shows_locals, body))
    return Scope("function", parameters, dict.fromkeys(free), imports, frozenset(global_names), shown)


def _shows_locals(node: ast.AST) -> bool:
    if isinstance(node, ast.Name) and node.id in special_names.SHOWS_LOCALS:
        return True
    if isinstance(node, ast.Attribute) and node.attr in special_names.SHOWS_LOCALS_OF_FRAMES:
        return True
    return any(map(_shows_locals, children(node)))
