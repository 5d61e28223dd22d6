"""Answers in So-Fake-R1's format: `<think> ... </think><answer>LABEL[,(x1,y1),(x2,y2)]</answer>`; helper.

The label is REAL, FULL_SYNTHETIC or TAMPERED, in capitals; the box has its corners in pixels of what the model saw, the
upper left one first. What is no such text, as a whole, has no answer: a tag that is missing or occurs twice, another
label, words beside the label, a corner alone, a box that is empty or turned.

Source: So-Fake, arXiv:2505.18660, section on So-Fake-R1; where spaces may stand is ours (around the tags and in the
answer).
"""

import re
from typing import NamedTuple

from shiftbench.systems.so_fake.datasets._forging import CLASSES

LABELS = tuple(name.upper() for name in CLASSES)
Box = tuple[float, float, float, float]
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_CORNER = rf"\s*\({_NUMBER},{_NUMBER}\)\s*"
_FORM = re.compile(
    r"\s*<think>(?P<thought>.*)</think>\s*<answer>\s*"
    rf"(?P<label>{'|'.join(LABELS)})\s*(?:,{_CORNER},{_CORNER})?</answer>\s*",
    re.DOTALL,
)
_TAG = re.compile(r"</?(?:think|answer)>")


class Answer(NamedTuple):
    """An answer: the index of its class, and its box x0, y0, x1, y1 or None."""

    label: int
    box: Box | None


def parse(text: str) -> Answer | None:
    """The answer of a text; None if it is not in the format.

    Example:
        >>> parse("<think>a seam</think><answer>TAMPERED,(3,4),(10,12)</answer>")
        Answer(label=2, box=(3.0, 4.0, 10.0, 12.0))
        >>> parse("<answer>REAL</answer>") is None
        True
    """
    match = _FORM.fullmatch(text)
    if match is None or _TAG.search(match["thought"]):
        return None
    corners = [match[number] for number in range(3, 7)]
    label = LABELS.index(match["label"])
    if corners[0] is None:
        return Answer(label, None)
    x0, y0, x1, y1 = map(float, corners)
    return Answer(label, (x0, y0, x1, y1)) if x0 < x1 and y0 < y1 else None


def written(answer: Answer, thought: str = "") -> str:
    """An answer in the format."""
    box = "" if answer.box is None else ",({:g},{:g}),({:g},{:g})".format(*answer.box)
    return f"<think>{thought}</think><answer>{LABELS[answer.label]}{box}</answer>"
