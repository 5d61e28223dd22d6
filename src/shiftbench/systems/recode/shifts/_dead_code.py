"""Code that never runs: one of the function's statements in a branch or loop that is not taken.

It is one of the whole solution's, as in the original, so that it may show a line that is asked for.
Statements that would change what the function is (`yield`, `global`) or that would not compile there (`break`) are
not taken, nor those of functions within it, whose names would become local.
"""

import ast
from collections.abc import Iterator

from shiftbench.base.rng import RandomStream
from shiftbench.systems.recode.shifts import _code, _syntax

WRAPS = ("if False:", "while False:", "for _ in range(0):")
_REFUSED = (
    *(ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal, ast.Break, ast.Continue),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
)


def inserted(code: _code.Code, rng: RandomStream, *, last: bool) -> Iterator[list[_code.Edit]]:
    """Yield insertions of dead code, in random order: before a random statement, or before the last one."""
    places = [node for node in _syntax.in_scope(code) if _syntax.own_line(code, node)]
    most = sum(1 for _ in ast.walk(code.function)) / 2
    donors = [node for node in _syntax.in_scope(code, whole=True) if _usable(node, most)]
    if not places or not donors:
        return
    for _ in range(_syntax.TRIES):
        donor, place, wrap = (float(draw) for draw in rng.uniform(3))
        node = donors[int(donor * len(donors))]
        target = places[-1] if last else places[int(place * len(places))]
        body = [f"    {line}" for line in ast.unparse(node).split("\n")]
        yield [_syntax.before(code, target, [WRAPS[int(wrap * len(WRAPS))], *body])]


def _usable(node: ast.stmt, most: float) -> bool:
    inner = list(ast.walk(node))
    multiline = any(isinstance(one, ast.Constant) and "\n" in str(one.value) for one in inner)
    return len(inner) <= most and not multiline and not any(isinstance(one, _REFUSED) for one in inner)
