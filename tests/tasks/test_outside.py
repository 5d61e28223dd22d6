"""Results that tests compare with literals are judged outside of the process that ran the program."""

import enum
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import _outside, generation

PROMPT = "def twice(x):\n"
TRICKS = {
    "an object that equals everything": "    class Any_:\n        __eq__ = lambda *_: True\n    return Any_()\n",
    "a number that equals everything": ("    class Any_(int):\n        __eq__ = lambda *_: True\n    return Any_(7)\n"),
    "such an object, deep in a list": (
        "    class Any_(list):\n        __eq__ = lambda *_: True\n    return Any_([Any_()])\n"
    ),
    "a patched abs": "    return 1.5\nimport builtins\nbuiltins.abs = lambda _: 0\n",
    "reading the asserts": (
        "    import sys\n    found = sys._getframe(1).f_code.co_consts\n    return found[2] if 4 not in found else 4\n"
    ),
}


def judged(completion, asserts):
    test = f"def check(candidate):\n    {asserts}\n"
    meta = {"task_id": "t/0", "entry_point": "twice", "canonical_solution": "", "test": test}
    pair = (Sample("toy/test/0", {"text": PROMPT, "meta": meta}), completion)
    inside = generation._run([pair], [generation._tests(pair[0])])
    return inside[0].reason, generation._outcomes([pair])[0].reason


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_that_passes_the_tests_inside_fails_outside(name):
    asserts = "assert abs(candidate(2) - 4.0) < 1e-6" if "abs" in name else "assert candidate(2) == 4"
    inside, outside = judged(TRICKS[name], asserts)
    assert (inside, outside) == ("passed", "failed: AssertionError")


def test_what_no_literal_is_compared_with_is_still_judged_inside_alone():
    """What remains, as docs/security.md says."""
    trick = TRICKS["an object that equals everything"]
    for asserts in ("assert candidate(2) == 2 + len('ab')", "x = 2\n    assert candidate(x) == 4"):
        assert judged(trick, asserts) == ("passed", "passed")
    assert judged("    return 1\n", "assert candidate(2)") == ("passed", "passed")


def test_who_is_right_passes_and_who_is_wrong_fails_as_before():
    asserts = "assert candidate(2) == 4\n    assert abs(candidate(0.5) - 1) < 1e-6, 'half'"
    assert judged("    return 2 * x\n", asserts) == ("passed", "passed")
    assert judged("    return x + 2\n", asserts)[1] == "failed: AssertionError"
    assert judged("    return x +\n", asserts)[1] == "failed: SyntaxError"


def told(value):
    """Return what a program tells of a value, and what is read of it."""
    names = {"give": lambda: value}
    exec(_outside.tell("give", [_outside.Question("", None)]), names)
    return names["result"]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -0.0, 1e300]), st.text(max_size=2)
)
VALUES = st.recursive(
    SCALARS | st.sets(SCALARS, max_size=2) | st.binary(max_size=1),
    lambda one: st.one_of(st.lists(one, max_size=2), st.tuples(one, one), st.dictionaries(SCALARS, one, max_size=2)),
    max_leaves=5,
)


@given(found=VALUES, expected=VALUES, same=st.booleans())
@settings(max_examples=100, deadline=None)
def test_outside_equal_is_what_inside_is(found, expected, same):
    expected = found if same else expected
    test = f"def check(f):\n    assert f(1, [2], key='a') == {expected!r}\n"
    (asked,) = _outside.questions(test)
    assert asked.arguments == "1, [2], key='a'"
    assert _outside.right([asked], told(found)) == (found == expected)


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    __str__ = __repr__ = lambda _: "no"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=defaultdict(list, b=[1])), {"a": {"b": [1]}}),
        (namedtuple("P", "x y")(1, [True]), (1, [1])),
        ({1: 2}.keys(), {1}),
        (frozenset(), set()),
        ([Fraction(1, 2), Decimal(3)], [0.5, 3]),
        ((Level.LOW, Word("yes")), (1, "yes")),
        (bytearray(b"x"), b"x"),
    ],
)
def test_what_equals_plain_data_is_told_as_such(found, expected):
    assert found == expected
    assert _outside.right([_outside.Question("", expected)], told(found))


@pytest.mark.parametrize(
    "text", ["(" * 9999, "[" * 90 + "]" * 90, "[9" + "9" * 5000 + "]", "\0", "4", "[4, 4]", "[1e999]", "", None, 4, [4]]
)
def test_what_is_told_may_be_anything(text):
    assert not _outside.right([_outside.Question("", 4)], text)
    assert _outside.right([_outside.Question("", 4)], "[4]")


EQUALS = "    assert f(1) == 2\n"
ASKING_NOTHING = [
    *("(", "\0", "x = 1", "(" * 9999, "def check(): pass", "def check(f): assert g(1) == 2"),
    f"def check(f):\n    f = str\n{EQUALS}",
    f"def check(f):\n    if f(1): return\n{EQUALS}",
    f"def check(f):\n    assert abs(f(1) - 2) < 1{'0' * 400}",
    f"def check(f):\n{EQUALS}def check(f):\n{EQUALS}",
    f"def check(f):\n{EQUALS}{'#' * 50_000}",
]


@pytest.mark.parametrize("test", ASKING_NOTHING)
def test_tests_that_cannot_be_asked_ask_nothing(test):
    assert _outside.questions(test) == ()
    assert _outside.questions(f"def check(f):\n{EQUALS}") == (_outside.Question("1", 2),)
