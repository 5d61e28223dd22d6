"""Answers in LaTeX: the release's own examples, answers of MATH-500, and a literal version of the released rule."""

import itertools

import numpy as np
import pytest

from shiftbench.evaluation.llm import graders, latex

EQUAL = [
    # Of hendrycks/math, modeling/math_equivalence_test.py.
    (r"\tfrac{1}{2} +\! \frac1{72}", r"\\dfrac{1}{2} +\frac{1}{72}"),
    (r"10\text{ units}", "10 "),
    ("10", r"\$10"),
    (r"\left(x-2\right)\left(x+2\right)", "(x-2)(x+2)"),
    ("0.1", ".1"),
    (r"10\%", "10"),
    (r"10\sqrt{3} + \sqrt4", r"10\sqrt3 + \sqrt{4}"),
    (r"\frac34i", r"\frac{3}{4}i"),
    (r"\tfrac83", r"\frac{8}{3}"),
    ("1/2", r"\frac{1}{2}"),
    # What a model writes of MATH-500's answers.
    (r"\dfrac{1}{2}", r"\frac{1}{2}"),
    (r"\frac12", r"\frac{1}{2}"),
    ("0.5", r"\frac{1}{2}"),
    ("90", r"90^\circ"),
    ("Evelyn", r"\text{Evelyn}"),
    ("10000", r"10,\!000"),
    ("10,000", r"10,\!000"),
    ("10{,}000", "10000"),
    (r"3\,000", "3000"),
    ("x = 5", "5"),
    ("$5$", "5"),
    (r"\(\frac{3}{4}\).", "0.75"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
    (r"\frac{1}{\sqrt2}", r"\dfrac1{\sqrt{2}}"),
    (r"-\frac{1}{2}", r"\frac{-1}{2}"),
    ("2.0", "2"),
    (r"6 - 5i", r"6-5i"),
    (r"\mathrm{(C)}", r"\text{(C)}"),
]
UNEQUAL = [
    (r"\tfrac{1}{2} + \frac1{72}", r"\\frac{1}{2} + 2/3"),
    ("10, 4, -2", "4, 10, -2"),
    (r"10\text{ units}", "100 "),
    ("0.1, 4, 2", "4, .1, 2"),
    ("5x - 7y + 11z + 4 = 0", "x + y - z + 2 = 0"),
    ("1/3", "0.33"),
    ("(1,234)", "1234"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    (r"-\frac{1}{2}", r"\frac{1}{2}"),
    (r"\frac{1}{0}", "0"),
    ("", "0"),
    ("x", "y"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal(one: str, other: str) -> None:
    assert latex.equivalent(one, other)
    assert latex.equivalent(other, one)
    assert graders.math(rf"so \boxed{{{one}}}.", {"answer": other}) is True


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_unequal(one: str, other: str) -> None:
    assert not latex.equivalent(one, other)
    assert not latex.equivalent(other, one)
    assert graders.math(rf"so \boxed{{{one}}}.", {"answer": other}) is False


def test_an_answer_without_a_box() -> None:
    assert graders.math("so 5", {"answer": "5"}) is None


def released(one: str, other: str) -> bool:
    """The rule of hendrycks/math, modeling/math_equivalence.py, `is_equiv`: what cannot be stripped is compared raw."""
    try:
        return _stripped(one) == _stripped(other)
    except (AssertionError, IndexError):
        return one == other


def _stripped(text: str) -> str:
    for old, new in (("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac")):
        text = text.replace(old, new)
    for old in (r"\left", r"\right", r"^{\circ}", r"^\circ", r"\$"):
        text = text.replace(old, "")
    if r"\text{ " in text:
        text, _ = _two(text.split(r"\text{ "))
    text = text.replace(r"\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    text = "0" + text if text[0] == "." else text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    roots = text.split(r"\sqrt")
    text = roots[0] + "".join(r"\sqrt" + (one if one[0] == "{" else f"{{{one[0]}}}{one[1:]}") for one in roots[1:])
    text = _fractions(text.replace(" ", ""))
    text = r"\frac{1}{2}" if text == "0.5" else text
    parts = text.split("/")
    try:
        if len(parts) == 2 and text == f"{int(parts[0])}/{int(parts[1])}":
            return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    except ValueError:
        pass
    return text


def _two(parts: list[str]) -> tuple[str, str]:
    assert len(parts) == 2
    return parts[0], parts[1]


def _fractions(text: str) -> str:
    first, *rest = text.split(r"\frac")
    for part in rest:
        if part[0] == "{":
            first += r"\frac" + part
        elif len(part) < 2:
            return text
        else:
            below = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
            first += rf"\frac{{{part[0]}}}{below}"
    return first


PIECES = (
    *(r"\frac", r"\dfrac", r"\tfrac", r"\sqrt", "{1}", "{2}", "1", "2", "3", ".5", "0.5", "1/2"),
    *("x", "=", " ", "+", "-", ",", r"\!", r"\left(", r"\right)", "(", ")", r"^\circ", r"^{\circ}"),
    *(r"\text{ cm}", r"\text{a}", r"\$", r"\%", r"\pi", "\n"),
)


def test_what_the_release_takes_for_equal_is_equal() -> None:
    random = np.random.default_rng(0)
    agreed = 0
    for _ in range(400):
        texts = ["".join(random.choice(PIECES, random.integers(1, 6))) for _ in range(12)]
        texts += [one for pair in EQUAL for one in pair][:: random.integers(3, 9)]
        for one, other in itertools.combinations(texts, 2):
            if released(one, other):
                agreed += 1
                assert latex.equivalent(one, other), (one, other)
    assert agreed > 200
    assert sum(released(*pair) for pair in EQUAL) >= 14, "further rules are ours"
    assert not any(released(*pair) for pair in UNEQUAL)


def test_normalising_is_done_once_and_for_all() -> None:
    random = np.random.default_rng(1)
    for _ in range(2000):
        text = "".join(random.choice(PIECES, random.integers(0, 9)))
        assert latex.equivalent(text, text)
