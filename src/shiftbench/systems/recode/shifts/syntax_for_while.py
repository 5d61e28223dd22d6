"""Syntax, ForWhileTransformer: the first loop becomes a `while`, or a `for`.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen; see `_syntax`. `for
x in xs` becomes a count through a list of them, `while c` a `for` over `iter(lambda: bool(c), False)`; only the
loop's head is written anew, since its body may not be given. Deterministic. Takes no random words.
"""

import ast
from collections.abc import Iterator

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.recode.shifts import _code, _syntax

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
PARAMS: dict[str, object] = {}


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """Return a prompt whose given code is written otherwise.

    Raises:
        RangeError: the severity is no whole number in 0 to 10.
        DataError: no code prompt.
    """
    return _syntax.changed(__name__, value, severity, rng, _turned)


def _turned(code: _code.Code, rng: RandomStream) -> Iterator[list[_code.Edit]]:
    given = sorted(code.statements(), key=code.span)
    for node in given:
        if not isinstance(node, ast.For | ast.While):
            continue
        first = node.body[0]
        body = code.whole.rfind("\n", 0, code.span(first)[0]) + 1
        whole = body <= len(code.text) and first.lineno > node.lineno  # the head is given
        if whole and _syntax.own_line(code, node):
            yield _while(code, node) if isinstance(node, ast.For) else _for(code, node)


def _while(code: _code.Code, node: ast.For) -> list[_code.Edit]:
    names = {name for name in code.names if name.startswith(("items", "place"))}
    items, place = ("items", "place") if not names else ("items_0", "place_0")
    line, _, head = _syntax.before(code, node, [f"{items} = list({ast.unparse(node.iter)})", f"{place} = -1"])
    start, end = code.span(node)[0], _head_end(code, node)
    body = code.whole.rfind("\n", 0, code.span(node.body[0])[0]) + 1
    indent = code.whole[body : code.span(node.body[0])[0]]
    steps = f"{indent}{place} += 1\n{indent}{ast.unparse(node.target)} = {items}[{place}]\n"
    return [(line, line, head), (start, end, f"while {place} + 1 < len({items}):"), (body, body, steps)]


def _for(code: _code.Code, node: ast.While) -> list[_code.Edit]:
    start, end = code.span(node)[0], _head_end(code, node)
    return [(start, end, f"for _ in iter(lambda: bool({ast.unparse(node.test)}), False):")]


def _head_end(code: _code.Code, node: ast.For | ast.While) -> int:
    """Return the place behind the colon of a loop's head."""
    last = code.span(node.iter if isinstance(node, ast.For) else node.test)[1]
    return code.whole.index(":", last) + 1
