"""A perturbation of the syntax of given code: dead code, another variable name, loops, mirrored comparisons.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen; `_syntax` says which
code is given and how the result is formatted. The severity is a seed.
"""

import ast
import keyword
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.recode.shifts import _code, _syntax

FIELD = None
TASK = "generation"
LEVELS: dict[int, float] = {}
RANGE = _code.RANGE
CHANGES: dict[str, _syntax.Change] = {
    "dead_code": lambda code, own: _dead_code(code, own, last=False),
    "dead_code_last": lambda code, own: _dead_code(code, own, last=True),
    "for_while": lambda code, _: _for_while(code),
    "operand_swap": lambda code, _: _mirrored(code),
    "rename_naive": lambda code, _: _renamed(code, lambda _: "VAR_0"),
    "rename_random": lambda code, own: _renamed(code, lambda name: _random(len(name), own)),
}


class Options(declare.Options):
    change: Literal["", "dead_code", "dead_code_last", "for_while", "operand_swap", "rename_naive", "rename_random"] = (
        Field("", description="change of the syntax")
    )


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Name of the change."""
    return {"CHANGE": options["change"]}


def apply(value: Sample, severity: float, rng: RandomStream, *, change: str) -> Sample:
    """A prompt whose given code has another syntax."""
    return _syntax.with_edits(f"syntax_{change}", value, severity, rng, CHANGES[change])


# ------------------------------------------------------------------ dead code

_WRAPS = ("if False:", "while False:", "for _ in range(0):")
_REFUSED = (
    *(ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal, ast.Break, ast.Continue),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom),
)


def _dead_code(code: _code.Code, rng: RandomStream, *, last: bool) -> Iterator[list[_code.Edit]]:
    """Yield insertions of code that never runs, in random order: before a random statement, or before the last one.

    The code is a statement of the whole solution, as in the original, so it may show a line of the missing part. It is
    in a branch or loop that is not taken. Statements that would change the function's kind (`yield`, `global`), that
    would not compile there (`break`), or that belong to inner functions are left out.
    """
    places = [node for node in _syntax.in_scope(code) if _syntax.own_line(code, node)]
    most = sum(1 for _ in ast.walk(code.function)) / 2
    donors = [node for node in _syntax.in_scope(code, whole=True) if _is_usable(node, most)]
    if not places or not donors:
        return
    for _ in range(_syntax.TRIES):
        donor, place, wrap = (float(draw) for draw in rng.uniform(3))
        node = donors[int(donor * len(donors))]
        target = places[-1] if last else places[int(place * len(places))]
        body = [f"    {line}" for line in ast.unparse(node).split("\n")]
        yield [_syntax.insertion(code, target, [_WRAPS[int(wrap * len(_WRAPS))], *body])]


def _is_usable(node: ast.stmt, most: float) -> bool:
    inner = list(ast.walk(node))
    multiline = any(isinstance(one, ast.Constant) and "\n" in str(one.value) for one in inner)
    return len(inner) <= most and not multiline and not any(isinstance(one, _REFUSED) for one in inner)


# ------------------------------------------------------------------ names of variables


def _renamed(code: _code.Code, new: Callable[[str], str]) -> Iterator[list[_code.Edit]]:
    """Yield the edits that rename a variable of the given code, the most frequent one first.

    Uses in the rest of the solution change, too. Variables are arguments and what the function assigns, but not
    imports, functions, classes, types, or names in an f-string or a `global`.
    """
    words = set(re.findall(r"\w+", code.whole))
    for name in _frequent(code):
        replacement = new(name)
        if replacement.isidentifier() and not keyword.iskeyword(replacement) and replacement not in words:
            yield [(*span, replacement) for span in _uses(code, name)]


def _frequent(code: _code.Code) -> list[str]:
    """The variables of the given code, most frequent first, then in order of their first use."""
    nodes = list(ast.walk(code.function))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    variables = stored | {argument.arg for argument in _arguments(code.function)}
    excluded = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            excluded |= {name_node.id for name_node in ast.walk(node) if isinstance(name_node, ast.Name)}
        elif isinstance(node, ast.Global | ast.Nonlocal):
            excluded |= set(node.names)
        elif isinstance(node, ast.keyword) and node.arg:
            excluded.add(node.arg)
    uses = sorted(
        (place, name) for name in variables - excluded for place in _uses(code, name) if place[1] <= len(code.text)
    )
    count = Counter(name for _, name in uses)
    return [name for name, _ in count.most_common()]  # equal ones in the order in which they were met


def _arguments(function: _code.Function) -> list[ast.arg]:
    return [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def _uses(code: _code.Code, name: str) -> list[tuple[int, int]]:
    spans = []
    for node in ast.walk(code.function):
        if isinstance(node, ast.Name) and node.id == name:
            spans.append(code.span(node))
        elif isinstance(node, ast.arg) and node.arg == name:
            start = code.span(node)[0]
            spans.append((start, start + len(name)))
    return spans


def _random(length: int, rng: RandomStream) -> str:
    uniforms = rng.uniform(length)
    return "".join(_ALL[int(uniform * (len(_ALL) if position else 52))] for position, uniform in enumerate(uniforms))


_ALL = string.ascii_letters + string.digits


# ------------------------------------------------------------------ loops


def _for_while(code: _code.Code) -> Iterator[list[_code.Edit]]:
    """Yield the edits that make a `for` loop a `while` loop, or the other way round, the first loop first.

    `for x in xs` counts through a list of xs. `while c` iterates over `iter(lambda: bool(c), False)`. Only the loop's
    head changes, since the prompt may not contain its body.
    """
    for node in sorted(code.statements(), key=code.span):
        if not isinstance(node, ast.For | ast.While):
            continue
        first = node.body[0]
        body = code.whole.rfind("\n", 0, code.span(first)[0]) + 1
        has_head = body <= len(code.text) and first.lineno > node.lineno
        if has_head and _syntax.own_line(code, node):
            yield _while(code, node) if isinstance(node, ast.For) else _for(code, node)


def _while(code: _code.Code, node: ast.For) -> list[_code.Edit]:
    names = {name for name in code.names if name.startswith(("items", "place"))}
    items, place = ("items", "place") if not names else ("items_0", "place_0")
    line, _, head = _syntax.insertion(code, node, [f"{items} = list({ast.unparse(node.iter)})", f"{place} = -1"])
    start, end = code.span(node)[0], _head_end(code, node)
    body = code.whole.rfind("\n", 0, code.span(node.body[0])[0]) + 1
    indent = code.whole[body : code.span(node.body[0])[0]]
    steps = f"{indent}{place} += 1\n{indent}{ast.unparse(node.target)} = {items}[{place}]\n"
    return [(line, line, head), (start, end, f"while {place} + 1 < len({items}):"), (body, body, steps)]


def _for(code: _code.Code, node: ast.While) -> list[_code.Edit]:
    start, end = code.span(node)[0], _head_end(code, node)
    return [(start, end, f"for _ in iter(lambda: bool({ast.unparse(node.test)}), False):")]


def _head_end(code: _code.Code, node: ast.For | ast.While) -> int:
    """Position after the colon of a loop's head."""
    last = code.span(node.iter if isinstance(node, ast.For) else node.test)[1]
    return code.whole.index(":", last) + 1


# ------------------------------------------------------------------ comparisons

_MIRROR = {ast.Lt: ">", ast.Gt: "<", ast.LtE: ">=", ast.GtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
_LOOSE = (ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda, ast.NamedExpr)


def _mirrored(code: _code.Code) -> Iterator[list[_code.Edit]]:
    """Yield the edits that mirror a comparison, `a > b` to `b < a`, the first comparison first."""
    for statement in _syntax.in_scope(code):
        for node in ast.walk(statement):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _MIRROR:
                left, right = (_operand(side) for side in (node.comparators[0], node.left))
                yield [(*code.span(node), f"{left} {_MIRROR[type(node.ops[0])]} {right}")]


def _operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, _LOOSE) else text
