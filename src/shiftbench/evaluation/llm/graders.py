r"""Graders decide whether a text answers a question correctly; each takes the text and the sample's `meta`.

    exact     the text is the reference, but for case, white space and ( ) . , -
    number    the last number of the text (that of the last \boxed{} where there is one) equals the reference
    boxed     the content of the last \boxed{} is the reference, but for white space
    math      the last \boxed{} is equivalent to the reference, by MATH's comparison of LaTeX (`latex.py`)
    choice    the named letter, or the only choice whose text occurs, is the reference's
    close     as `choice`, and the number chosen is one more or one less than the reference's
    phrases   one of the reference's phrases occurs, whatever the case
    judge     the recorded verdict of a language model, which comes with the completion (`read_verdict`)

A verdict is True, False, or None: the grader finds nothing in the text to judge. Counts treat None as wrong; metric
`grader_disagreement` shows answers on which graders differ.

A sample's `meta` has: `graders`, names, of which the first decides; `answer`, the reference; for `choice` and `close`
`choices`, texts whose letters are A, B, ...; for `phrases` `phrases`; and `answer_after`, a mark such as `</think>`
before the answer: a text without the mark has no answer.

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
    """Part of a text that is graded: after the last `answer_after`; None: that mark is missing."""
    mark = meta.get("answer_after")
    if not mark:
        return text
    _, separator, answer = text.rpartition(mark)
    return answer if separator else None


def exact(text: str, meta: Meta) -> Verdict:
    """Whether a text is the reference; None for a text without a letter or digit."""
    plain = _plain(text)
    return plain == _plain(meta["answer"]) if plain else None


def number(text: str, meta: Meta) -> Verdict:
    """Whether the last number of a text equals the reference; None if there is no number."""
    boxed_text = _in_box(text)
    numbers = _NUMBER.findall(text if boxed_text is None else boxed_text)
    return _decimal(numbers[-1]) == _decimal(meta["answer"]) if numbers else None


def boxed(text: str, meta: Meta) -> Verdict:
    """Whether the last box of a text contains the reference; None if there is no box."""
    boxed_text = _in_box(text)
    return None if boxed_text is None else "".join(boxed_text.split()) == "".join(meta["answer"].split())


def math(text: str, meta: Meta) -> Verdict:
    """Whether the last box of a text equals the reference; None if there is no box."""
    boxed_text = _in_box(text)
    return None if boxed_text is None else latex.equivalent(boxed_text, meta["answer"])


def choice(text: str, meta: Meta) -> Verdict:
    """Whether a text chooses the reference's letter; None if it names no letter, or the texts of several."""
    letter = _choice_letter(text, meta)
    return None if letter is None else letter == meta["answer"]


def close(text: str, meta: Meta) -> Verdict:
    """Whether a text chooses a whole number that is one off the reference's; None if it chooses nothing."""
    chosen = _choice_letter(text, meta)
    if chosen is None:
        return None
    chosen_number, true_number = (_choice_number(letter, meta["choices"]) for letter in (chosen, meta["answer"]))
    return chosen_number is not None and true_number is not None and abs(chosen_number - true_number) == 1


def phrases(text: str, meta: Meta) -> Verdict:
    """Whether one of the phrases occurs; None for an empty text."""
    folded = _fold(text)
    return any(_fold(phrase) in folded for phrase in meta["phrases"]) if folded else None


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
    match = _YES.search(_fold(answer))
    return None if match is None else match[1] == "yes"


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
        missing = [field for field in NEEDED[name] if not meta.get(field)]
        if missing:
            raise DataError(f"{where}: the grader {name} needs meta.{missing[0]}, which is not there")
    if "number" in names and not _NUMBER.fullmatch(meta["answer"]):
        raise DataError(f"{where}: meta.answer is {meta['answer']!r}; the grader number expects a number")
    if {"choice", "close"} & set(names) and not 0 <= ord(meta["answer"][0]) - ord("A") < len(meta["choices"]):
        raise DataError(
            f"{where}: meta.answer is {meta['answer']!r}; expected one of the letters of {len(meta['choices'])} choices"
        )


def _choice_letter(text: str, meta: Meta) -> str | None:
    """Letter that a text names last, else that of the one choice whose text occurs."""
    letters = [next(filter(None, groups)) for groups in _LETTER.findall(text)]
    if letters:
        return str(letters[-1])
    occurring = [number for number, one in enumerate(meta["choices"]) if _plain(one) in _plain(text)]
    return chr(ord("A") + occurring[0]) if len(occurring) == 1 else None


def _choice_number(letter: str, choices: Sequence[str]) -> int | None:
    """The whole number that is the choice of a letter."""
    index = ord(letter) - ord("A")
    text = str(choices[index]) if index < len(choices) else ""
    return int(text) if text.isdecimal() else None


def _in_box(text: str) -> str | None:
    """Content of the last box whose braces are closed."""
    _, mark, rest = text.rpartition(r"\boxed{")
    depth = 1
    for index, letter in enumerate(rest if mark else ""):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if not depth:
            return rest[:index]
    return None


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _plain(text: str) -> str:
    return " ".join(_fold(text).translate(_STRIPPED).split())


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "")).normalize()
    except InvalidOperation:
        return None
