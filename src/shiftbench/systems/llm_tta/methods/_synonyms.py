"""Test-time augmentation by synonyms of WordNet, as the word is spelled: a baseline without a language model.

    substitute    each word that has synonyms is replaced by one of them with probability `share`
    insert        behind each word, with probability `share`, a synonym of a random word of the text is put

Source: the baselines of O'Brien et al. 2024, arXiv:2402.08225, where BERT chooses the words (nlpaug). Here they are the
synonym replacement and the random insertion of Wei and Zou 2019 (EDA), arXiv:1901.11196. `_tta` combines the rewrites.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _wordnet
from shiftbench.systems.llm_tta.methods import _tta

SEES = "sample"
TASKS = ("text_classification",)
WORD = re.compile(r"[^\W\d_]+")
Replacements = Callable[[str], Sequence[str]]
"""A word -> its possible replacements; () if it has none."""


class Options(_tta.Options):
    edit: Literal["substitute", "insert"] = Field("substitute", description="replace words, or insert synonyms")
    share: float = Field(0.3, ge=0, le=1, description="probability that a word is replaced, or followed by a synonym")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """WordNet."""
    return [refs.sources(_wordnet.SOURCE)]


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _tta.Averaging:
    """Predictor with its rewriter.

    Raises:
        ParamsError: `edit` is neither `substitute` nor `insert`.
    """
    if params["edit"] not in EDITS:
        raise ParamsError(f"edit is {params['edit']!r}; {suggest(params['edit'], EDITS)}")
    wordnet = _wordnet.load(inputs[refs.sources(_wordnet.SOURCE)].parent)

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [rewrites(sample, params, wordnet) for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)


def rewrites(sample: Sample, params: Mapping[str, Any], wordnet: _wordnet.WordNet) -> list[str]:
    """The k texts; all use one random stream."""
    words, text = _tta.words(params, f"tta_{params['edit']}", sample), sample.fields["text"]
    edit = EDITS[params["edit"]]
    return [edit(text, params["share"], wordnet.synonyms, words) for _ in range(params["k"])]


def replace_words(text: str, share: float, options: Replacements, rng: RandomStream) -> str:
    """Text in which each word that has options is replaced by one of them with probability `share`.

    A capital at the beginning stays. Takes 16-bit words, two for each word of the text.
    """
    numbers = iter(_uniforms(text, rng))

    def other(match: re.Match[str]) -> str:
        chance, choice = next(numbers)
        others = options(match[0]) if chance < share else ()
        return match_case(others[int(choice * len(others))], match[0]) if others else match[0]

    return WORD.sub(other, text)


def insert_words(text: str, share: float, options: Replacements, rng: RandomStream) -> str:
    """Text in which, behind each word with probability `share`, an option of a random word of it is put.

    Takes 16-bit words, two for each word of the text.
    """
    every = [others for word in WORD.findall(text) if (others := options(word))]
    numbers = iter(_uniforms(text, rng))

    def more(match: re.Match[str]) -> str:
        chance, choice = next(numbers)
        if chance >= share or not every:
            return match[0]
        place = float(choice) * len(every)
        others = every[int(place)]
        return f"{match[0]} {others[int((place % 1) * len(others))]}"

    return WORD.sub(more, text)


EDITS = {"substitute": replace_words, "insert": insert_words}


def match_case(word: str, model: str) -> str:
    """A word with a capital at its beginning if `model` has one."""
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def _uniforms(text: str, rng: RandomStream) -> NDArray[np.float32]:
    return rng.uniform((len(WORD.findall(text)), 2))
