r"""The official reading of an answer: the first letter a to e that stands alone is the option that was chosen.

Of the last line, in lower case: the first of `\(([a-z])\)`, else of `\b([a-z])\b`, if it is one of a to e; so that the
article "a" counts as option A. A completion becomes its letter in capitals; without one it stays as it is.

Source: Yvonne511/spatial-vlm-investigator, model/pali_cvbench_eval_check.ipynb, `extract_choice_answer` and
`normalize_answer`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets

SEES = "sample"
TASKS = ("free_text",)
LETTERS = "abcde"
_FORMS = (re.compile(r"\(([a-z])\)"), re.compile(r"\b([a-z])\b"))


def wrap(predictor: nets.Predictor, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.Predictor:
    """The predictor with the letters of its completions."""

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        outputs = predictor(samples)
        letters = np.empty(len(samples), object)
        for row, texts in enumerate(outputs["completions"]):
            letters[row] = tuple(letter(text) for text in texts)
        return {**outputs, "completions": letters}

    return predict


def letter(text: str) -> str:
    """The option that a completion chooses, `A` to `E`; a completion without one as it is.

    Example:
        >>> letter("It is a lamp, so (B)."), letter("it is a lamp"), letter("the lamp")
        ('B', 'A', 'the lamp')
    """
    line = text.lower().strip().split("\n")[-1].strip()
    for form in _FORMS:
        if match := form.search(line):
            return match[1].upper() if match[1] in LETTERS else text
    return text
