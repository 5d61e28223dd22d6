r"""Equality of two answers in LaTeX: `\dfrac12`, `0.5` and `\frac{1}{2}` are equal.

The normalisation of MATH's release, rule by rule: line breaks and `\!` go; `tfrac` and `dfrac` are `frac`; `\left`,
`\right`, degrees, `\$`, `\%` and a unit at the end (`\text{ cm}`) go; `.5` is `0.5`; a name of two letters at most
before the one `=` goes; arguments of `\frac` and `\sqrt` get their braces; blanks go; `a/b` is `\frac{a}{b}`.

Further rules. Of Minerva's evaluation (Lewkowycz et al. 2022, appendix D): `\text{Evelyn}` is `Evelyn`, `10{,}000` and
`10,000` are `10000`. Ours: thin spaces, signs of mathematical mode around the whole and a full stop behind it go; whole
numbers, decimals and fractions of whole numbers are compared as values, so that `0.25` is `\frac{1}{4}`. Nothing else
is computed: `\frac{2x}{2}` is not `x`.

Source: hendrycks/math at 985bdc1 (MIT), modeling/math_equivalence.py, `is_equiv`; answers equal there are equal here
(a test has a literal version). Minerva's rules as in EleutherAI/lm-evaluation-harness,
lm_eval/tasks/minerva_math/utils.py.
"""

import re
from fractions import Fraction

_MODES = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_REMOVED = ("\n", r"\!", r"\,", r"\;", r"\left", r"\right", r"^{\circ}", r"^\circ", r"\$", r"\%")
_UNIT = r"\text{ "
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\{([^{}]*)\}")
_RULES = (
    (re.compile(r"(^|[ {])\."), r"\g<1>0."),
    (re.compile(r"^[^=]{0,2}=([^=]*)$"), r"\1"),
    (re.compile(r"\\sqrt([^{\[\\ ])"), r"\\sqrt{\1}"),
    (re.compile(r" "), ""),
    (re.compile(r"\\frac([^{\\])"), r"\\frac{\1}"),
    (re.compile(r"\\frac(\{[^{}]*\})([^{\\])"), r"\\frac\1{\2}"),
    (re.compile(r"^(-?\d+)/(-?\d+)$"), r"\\frac{\1}{\2}"),
)
_FRACTION = re.compile(r"(-?)\\frac\{(-?\d+)\}\{(-?\d+)\}")
_DECIMAL = re.compile(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?")


def equivalent(one: str, other: str) -> bool:
    r"""Whether two answers are equal.

    Example:
        >>> equivalent(r"x = \dfrac12", "0.5"), equivalent(r"10,\!000", "10000"), equivalent("1/3", "0.33")
        (True, True, False)
    """
    one, other = normalise(one), normalise(other)
    return one == other or (_value(one) is not None and _value(one) == _value(other))


def normalise(text: str) -> str:
    """An answer in the form that is compared."""
    text = _bare(text)
    for old, new in (("tfrac", "frac"), ("dfrac", "frac"), ("{,}", ","), ("\\\\", "\\")):
        text = text.replace(old, new)
    for sign in _REMOVED:
        text = text.replace(sign, "")
    if text.count(_UNIT) == 1:
        text = text.partition(_UNIT)[0]
    text = _TEXT.sub(r"\1", text).strip()
    for pattern, new in _RULES:
        text = pattern.sub(new, text)
    return text


def _bare(text: str) -> str:
    """An answer without a full stop and the signs of mathematical mode around the whole."""
    text = text.strip().removesuffix(".").strip()
    for left, right in _MODES:
        inner = text.removeprefix(left).removesuffix(right)
        if len(text) - len(inner) == len(left) + len(right) and left not in inner:
            return inner.strip().removesuffix(".")
    return text


def _value(text: str) -> Fraction | None:
    """Value of a whole number, a decimal or a fraction of whole numbers; None: it is none of these."""
    if match := _FRACTION.fullmatch(text):
        sign, above, below = match.groups()
        return Fraction(int(sign + "1") * int(above), int(below)) if int(below) else None
    return Fraction(text.replace(",", "")) if _DECIMAL.fullmatch(text) else None
