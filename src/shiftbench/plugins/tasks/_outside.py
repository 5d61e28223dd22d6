"""Tests that compare results with literals, judged outside of the process that ran the program.

A program and its tests share a process, in which an object that equals everything, a patched `abs` or a look at the
tests passes. So the program is asked again, in a process that has the calls and not what they should return; what
it tells is compared here, as plain data. Asked is what an `assert` of `check` compares with a literal, or with a number
up to a tolerance, for arguments that are literals; all else is judged inside alone.
"""

import ast
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST = 50_000  # characters of tests that are read; longer answers could not be told
_NUMBER = (int, float, complex)
_TELL = """

def _plainly_(value):
    import builtins as b, numbers as n
    from collections.abc import Set
    if value is None or b.isinstance(value, (b.bool, b.complex)):
        return value
    for kind in (b.str, b.int, b.float, b.bytes, b.bytearray):
        if b.isinstance(value, kind):
            plain = {b.str: b.str.__str__, b.int: b.int.__int__, b.float: b.float.__float__}
            return plain.get(kind, b.bytes)(value)
    if b.isinstance(value, n.Number):
        return b.int(value) if value == b.int(value) else b.float(value)
    if b.isinstance(value, b.dict):
        return {_plainly_(key): _plainly_(one) for key, one in b.dict.items(value)}
    for kind, made in ((b.list, b.list), (b.tuple, b.tuple), (Set, b.set)):
        if b.isinstance(value, kind):
            return made(_plainly_(one) for one in value)
    raise b.AssertionError("a result is no plain data")

"""


@dataclass(frozen=True, slots=True)
class Question:
    """A call of the tests.

    Attributes:
        arguments: as code: what stands between the call's parentheses, literals all.
        expected: what it should return.
        within: how far a number may be from that, exclusive; None: it must be equal.
    """

    arguments: str
    expected: object
    within: float | None = None

    def right(self, answer: object) -> bool:
        """Whether plain data is the expected answer."""
        if self.within is None:
            return answer == self.expected
        if not isinstance(answer, _NUMBER) or not isinstance(self.expected, _NUMBER):
            return False
        return abs(answer - self.expected) < self.within


@functools.lru_cache(maxsize=4096)
def questions(test: str) -> tuple[Question, ...]:
    r"""The questions of tests that define `check(candidate)`, in their order.

    Example:
        >>> questions("def check(f):\n    assert f(1) == [2]\n    assert f(3)\n")
        (Question(arguments='1', expected=[2], within=None),)
    """
    try:
        tree = ast.parse(test if len(test) <= _LONGEST else "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    checks = [
        assertion for assertion in tree.body if isinstance(assertion, ast.FunctionDef) and assertion.name == "check"
    ]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        return ()
    called = checks[0].args.args[0].arg
    if any(_turns(node, called) for node in ast.walk(checks[0])):
        return ()
    asserts = [assertion.test for assertion in checks[0].body if isinstance(assertion, ast.Assert)]
    return tuple(question for assertion in asserts if (question := _question(assertion, called)))


def _turns(node: ast.AST, called: str) -> bool:
    """Whether a node of `check` may leave it before its end, or call another thing by the candidate's name."""
    stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == called
    return stored or isinstance(node, ast.Return)


def _question(test: ast.expr, called: str) -> Question | None:
    """The question of `called(...) == literal`, or `is`, or `abs(called(...) - literal) < literal`."""
    try:
        match test:
            case ast.Compare(left=call, ops=[ast.Eq() | ast.Is()], comparators=[expected]):
                return _asked(call, called, ast.literal_eval(expected))
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(left=call, op=ast.Sub(), right=expected)]),
                ops=[ast.Lt()],
                comparators=[tolerance],
            ):
                return _asked(call, called, ast.literal_eval(expected), float(ast.literal_eval(tolerance)))
    except (ValueError, TypeError, RecursionError, MemoryError, OverflowError):  # no literals
        return None
    return None


def _asked(call: ast.expr, called: str, expected: object, tolerance: float | None = None) -> Question | None:
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        return None
    if call.func.id != called:
        return None
    for value in (*call.args, *(keyword.value for keyword in call.keywords)):
        ast.literal_eval(value)
    arguments = [*call.args, *call.keywords]
    return Question(", ".join(map(ast.unparse, arguments)), expected, tolerance)


def tell(entry_point: str, asked: Sequence[Question]) -> str:
    """Code for the end of a program that leaves the answers in `result`, as text."""
    calls = "".join(f"    _plainly_({entry_point}({one.arguments})),\n" for one in asked)
    return f"{_TELL}result = [\n{calls}]\nresult = __import__('builtins').repr(result)\n"


def right(asked: Sequence[Question], text: Any) -> bool:
    """Whether the output of a program, any value of JSON, is the text of the right answers."""
    usual = len(repr([one.expected for one in asked]))
    if not isinstance(text, str) or len(text) > 1000 * len(asked) + 10 * usual:
        return False
    try:
        answers = ast.literal_eval(text)
        return len(answers) == len(asked) and all(one.right(given) for one, given in zip(asked, answers, strict=True))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, OverflowError):
        return False
