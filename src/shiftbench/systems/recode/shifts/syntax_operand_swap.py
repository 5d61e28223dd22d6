"""Syntax, OperandSwap: the first comparison is mirrored, `a > b` to `b < a`.

Source: Wang et al. 2023 (ReCode), https://arxiv.org/abs/2212.10264, section 3.3, after NatGen;
see `_syntax`. Deterministic. Takes no random words.
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
    return _syntax.changed(__name__, value, severity, rng, _mirrored)


_MIRROR = {ast.Lt: ">", ast.Gt: "<", ast.LtE: ">=", ast.GtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
_LOOSE = (ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda, ast.NamedExpr)


def _mirrored(code: _code.Code, rng: RandomStream) -> Iterator[list[_code.Edit]]:
    for statement in _syntax.in_scope(code):
        for node in ast.walk(statement):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _MIRROR:
                left, right = (_operand(one) for one in (node.comparators[0], node.left))
                yield [(*code.span(node), f"{left} {_MIRROR[type(node.ops[0])]} {right}")]


def _operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, _LOOSE) else text
