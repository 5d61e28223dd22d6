"""The most frequent variable of the given code, under another name; its uses in the rest of the solution follow.

Arguments and what the function assigns are variables; imports, functions, classes and types are none, nor what an
f-string or a `global` names.
"""

import ast
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator

from shiftbench.systems.recode.shifts import _code


def renamed(code: _code.Code, new: Callable[[str], str]) -> Iterator[list[_code.Edit]]:
    """Yield the edits that rename a variable, the most frequent one first."""
    taken = set(re.findall(r"\w+", code.whole))
    for name in _frequent(code):
        other = new(name)
        if other.isidentifier() and not keyword.iskeyword(other) and other not in taken:
            yield [(*place, other) for place in _places(code, name)]


def _frequent(code: _code.Code) -> list[str]:
    """Return the variables of the given code, most frequent first, then in order of their first use."""
    nodes = list(ast.walk(code.function))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    variables = stored | {argument.arg for argument in _arguments(code.function)}
    refused = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            refused |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        elif isinstance(node, ast.Global | ast.Nonlocal):
            refused |= set(node.names)
        elif isinstance(node, ast.keyword) and node.arg:
            refused.add(node.arg)
    uses = sorted(
        (place, name) for name in variables - refused for place in _places(code, name) if place[1] <= len(code.text)
    )
    count = Counter(name for _, name in uses)
    return [name for name, _ in count.most_common()]  # equal ones in the order in which they were met


def _arguments(function: _code.Function) -> list[ast.arg]:
    return [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def _places(code: _code.Code, name: str) -> list[tuple[int, int]]:
    found = []
    for node in ast.walk(code.function):
        if isinstance(node, ast.Name) and node.id == name:
            found.append(code.span(node))
        elif isinstance(node, ast.arg) and node.arg == name:
            start = code.span(node)[0]
            found.append((start, start + len(name)))
    return found
