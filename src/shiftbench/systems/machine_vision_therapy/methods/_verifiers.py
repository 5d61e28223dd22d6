"""Verifiers of a query's class, given one true and one false example: P(True) for each question.

    features    distances of images in the features of another network: the stand-in at embedded scale
    language    a language model that sees no image, out of its record: what a prompt's wording alone says
    vlm         a vision-language model that takes several images, through transformers (`_vlm.py`)

A verifier is called with the queries and a list of `_prompts.Ask`; it returns P(True), float64, one for each. The mean
over exemplars is taken by who asks.

Source: Huang et al. 2024, arXiv:2312.02546, section 3.2: P(True) is the softmax over the two next-token logits of True
and False. `features` is ours: sigmoid(scale (cos(q, e+) - cos(q, e-))) on features centred by the support's mean.
"""

import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from shiftbench.base.sample import Sample
from shiftbench.evaluation.llm.client import Request
from shiftbench.systems.machine_vision_therapy.methods import _prompts
from shiftbench.systems.machine_vision_therapy.methods._prompts import Ask

Floats = NDArray[np.float64]
Verifier = Callable[[Sequence[Sample], Sequence[Ask]], Floats]


class Features:
    """Compares a query's features with those of a positive and a negative exemplar.

    Args:
        of: features of samples by key, float (d,) each.
        support: those of the support set, (m, d).
        scale: of the difference of cosines.
    """

    def __init__(self, of: Callable[[Sequence[Sample]], Floats], support: Floats, scale: float) -> None:
        self._of, self._scale = of, scale
        self.mean = support.mean(axis=0)
        self.support = unit(support - self.mean)

    def queries(self, samples: Sequence[Sample]) -> Floats:
        """The directions of queries, (n, d)."""
        return unit(self._of(samples) - self.mean)

    def __call__(self, samples: Sequence[Sample], asks: Sequence[Ask]) -> Floats:
        """P(True) of each question."""
        own = self.queries(samples)[[ask.query for ask in asks]]
        more, less = (
            np.einsum("nd,nd->n", own, self.support[[getattr(ask, side) for ask in asks]])
            for side in ("positive", "negative")
        )
        probabilities: Floats = expit(self._scale * (more - less))
        return probabilities


def unit(vectors: Floats) -> Floats:
    """Vectors of length 1; one of length 0 stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Floats = vectors / np.where(lengths > 0, lengths, 1.0)
    return units


class Language:
    """A language model that sees no image: each image is the word `[image]`, so that equal classes are equal questions.

    Args:
        answer: recorded answers to requests, as `evaluation/llm/option_model.py` gives them.
        names: of the classes.
        words: see `_prompts.WORDS`.
    """

    def __init__(self, answer: Callable[[Sequence[Request]], list[str]], names: Sequence[str], words: str) -> None:
        self._answer, self._names, self._words = answer, names, words

    def __call__(self, samples: Sequence[Sample], asks: Sequence[Ask]) -> Floats:  # noqa: ARG002 - it sees none
        """P(True) of each question."""
        requests = [request(self._names[a.hat], self._names[a.candidate], self._words) for a in asks]
        logs = np.array([json.loads(answer)["logs"] for answer in self._answer(requests)])
        return p_true(logs.reshape(-1, 2))


def p_true(logs: Floats) -> Floats:
    """P(True) of the log-probabilities, or logits, of True and of False, (n, 2).

    Example:
        >>> p_true(np.log([[0.3, 0.1]])).round(6).tolist()
        [0.75]
    """
    probabilities: Floats = softmax(logs, axis=1)[:, 0]
    return probabilities


def request(hat: str, candidate: str, words: str) -> Request:
    """The question about a candidate to a language model without vision."""
    text = "\n".join(_prompts.lines(hat, candidate, words)).replace(_prompts.IMAGE, "[image]")
    options = json.dumps([_prompts.TRUE, _prompts.FALSE])
    decoding: dict[str, float | int | str | bool] = {"options": options, "temperature": 0.0, "max_new_tokens": 0}
    return Request((("user", text.rstrip()),), template(words, options), decoding)


def template(words: str, options: str) -> str:
    """Hash of a wording, so that another wording is asked again."""
    wording = json.dumps([_prompts.lines("{hat}", "{candidate}", words), options])
    return hashlib.sha256(wording.encode()).hexdigest()[:12]
