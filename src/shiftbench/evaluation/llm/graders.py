r"""Graders: whether a text answers a question rightly; each is a function of the text and of what the sample states.

    exact     the text is the reference, but for case, white space and ( ) . , -
    number    the last number of the text (that of the last \boxed{} where there is one) equals the reference
    boxed     what stands in the last \boxed{} is the reference, but for white space
    math      the last \boxed{} is equivalent to the reference, by MATH's comparison of LaTeX (`latex.py`)
    choice    the letter that is named, or the one choice whose text occurs, is the reference's
    close     as `choice`, and the number chosen is one more or one less than the reference's
    phrases   one of the reference's phrases occurs, whatever the case
    judge     what a language model, whose recorded answer comes with the completion, said of it (`read_verdict`)

A verdict is True, False, or None: the grader finds nothing in the text that it could judge. Who counts takes None for
wrong; graders that differ on one answer show in the verdicts (metric `grader_disagreement`).

What a sample states (its `meta`): `graders`, names, of which the first decides; `answer`, the reference; for `choice`
and `close` `choices`, texts whose letters are A, B, ...; for `phrases` `phrases`; and `answer_after`, a mark such as
`</think>` behind which the answer stands: a text without it has no answer.

Source: `exact` is the reward of Yvonne511/spatial-vlm-investigator (lower case, strip `( ) . , -`), on both sides;
`number` is the usual last-number rule of GSM8K evaluations (lm-evaluation-harness, `flexible-extract`), compared as
decimals; letters as in lm-evaluation-harness's `multi_choice_regex`, a lone letter or one in brackets. Case is folded
and Unicode composed (NFKC), so that all scripts are compared alike.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from shiftbench.base.errors import DataError, suggest
from shiftbench.evaluation.llm import latex

Verdict = bool | None
Meta = Mapping[str, Any]

JUDGE = "judge"
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
_LETTER = re.compile(r"\(([A-Z])\)|(?:answer|option|choice)(?: is)?:? ?([A-Z])\b|^ *([A-Z])\b(?:[.):]|$)", re.MULTILINE)
_YES = re.compile(r"\b(yes|no)\b")
_STRIPPED = str.maketrans("", "", "().,-")


def answer_of(text: str, meta: Meta) -> str | None:
    """Part of a text that is graded: behind the last `answer_after`; None where that is missing."""
    mark = meta.get("answer_after")
    if not mark:
        return text
    _, found, answer = text.rpartition(mark)
    return answer if found else None


def exact(text: str, meta: Meta) -> Verdict:
    """Whether a text is the reference; None for a text without a letter or digit."""
    found = _plain(text)
    return found == _plain(meta["answer"]) if found else None


def number(text: str, meta: Meta) -> Verdict:
    """Whether the last number of a text equals the reference; None if there is no number."""
    inside = _in_box(text)
    found = _NUMBER.findall(text if inside is None else inside)
    return _decimal(found[-1]) == _decimal(meta["answer"]) if found else None


def boxed(text: str, meta: Meta) -> Verdict:
    """Whether the last box of a text contains the reference; None if there is no box."""
    found = _in_box(text)
    return None if found is None else "".join(found.split()) == "".join(meta["answer"].split())


def math(text: str, meta: Meta) -> Verdict:
    """Whether the last box of a text equals the reference; None if there is no box."""
    found = _in_box(text)
    return None if found is None else latex.equivalent(found, meta["answer"])


def choice(text: str, meta: Meta) -> Verdict:
    """Whether a text chooses the reference's letter; None if it names no letter, or the texts of several."""
    found = _chosen(text, meta)
    return None if found is None else found == meta["answer"]


def close(text: str, meta: Meta) -> Verdict:
    """Whether a text chooses a whole number that is one off the reference's; None if it chooses nothing."""
    found = _chosen(text, meta)
    if found is None:
        return None
    one, other = (_whole(letter, meta["choices"]) for letter in (found, meta["answer"]))
    return one is not None and other is not None and abs(one - other) == 1


def phrases(text: str, meta: Meta) -> Verdict:
    """Whether one of the phrases occurs; None for an empty text."""
    found = _folded(text)
    return any(_folded(one) in found for one in meta["phrases"]) if found else None


GRADERS: dict[str, Callable[[str, Meta], Verdict]] = {
    "exact": exact,
    "number": number,
    "boxed": boxed,
    "math": math,
    "choice": choice,
    "close": close,
    "phrases": phrases,
}
NEEDED = {
    "exact": ("answer",),
    "number": ("answer",),
    "boxed": ("answer",),
    "math": ("answer",),
    "choice": ("answer", "choices"),
    "close": ("answer", "choices"),
    "phrases": ("phrases",),
    JUDGE: (),
}
"""Fields of a sample that each grader needs; the judge's answers come from the model."""


def grade(name: str, text: str, meta: Meta) -> Verdict:
    """Verdict of one grader on a whole text: on its answer, None where it has none."""
    answer = answer_of(text, meta)
    return None if answer is None else GRADERS[name](answer, meta)


def correct(text: str, meta: Meta) -> bool:
    """Whether the first of the sample's graders accepts a text."""
    return grade(meta["graders"][0], text, meta) is True


def read_verdict(answer: str) -> Verdict:
    """First yes or no in a judge's recorded answer; None if there is neither."""
    found = _YES.search(_folded(answer))
    return None if found is None else found[1] == "yes"


def check(meta: Meta, where: str) -> None:
    """Refuse a sample that its graders cannot grade.

    Raises:
        DataError: no grader, one that does not exist, or one whose reference is missing or none of its kind.
    """
    names = meta.get("graders")
    if not isinstance(names, list) or not names:
        raise DataError(f"{where}: meta.graders is {names!r}; expected names, of which the first decides")
    for name in names:
        if name not in NEEDED:
            raise DataError(f"{where}: there is no grader {name!r}; {suggest(str(name), NEEDED)}")
        lacking = [field for field in NEEDED[name] if not meta.get(field)]
        if lacking:
            raise DataError(f"{where}: the grader {name} needs meta.{lacking[0]}, which is not there")
    if "number" in names and not _NUMBER.fullmatch(meta["answer"]):
        raise DataError(f"{where}: meta.answer is {meta['answer']!r}; the grader number expects a number")
    if {"choice", "close"} & set(names) and not 0 <= ord(meta["answer"][0]) - ord("A") < len(meta["choices"]):
        raise DataError(
            f"{where}: meta.answer is {meta['answer']!r}; expected one of the letters of {len(meta['choices'])} choices"
        )


def _chosen(text: str, meta: Meta) -> str | None:
    """Letter that a text names last, else that of the one choice whose text occurs."""
    letters = [next(filter(None, groups)) for groups in _LETTER.findall(text)]
    if letters:
        return str(letters[-1])
    named = [at for at, one in enumerate(meta["choices"]) if _plain(one) in _plain(text)]
    return chr(ord("A") + named[0]) if len(named) == 1 else None


def _whole(letter: str, choices: Sequence[str]) -> int | None:
    """The whole number that is the choice of a letter."""
    at = ord(letter) - ord("A")
    said = str(choices[at]) if at < len(choices) else ""
    return int(said) if said.isdecimal() else None


def _in_box(text: str) -> str | None:
    """Content of the last box whose braces are closed."""
    _, mark, rest = text.rpartition(r"\boxed{")
    depth = 1
    for at, letter in enumerate(rest if mark else ""):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if not depth:
            return rest[:at]
    return None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _plain(text: str) -> str:
    return " ".join(_folded(text).translate(_STRIPPED).split())


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "")).normalize()
    except InvalidOperation:
        return None
