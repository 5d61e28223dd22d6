"""Test-time augmentation: words that the training texts lack are replaced by synonyms that these have.

Source: none; a stand-in without a language model for the in-context rewriting of O'Brien et al. 2024, arXiv:2402.08225,
which says a text as if it came from the training domain. Labels of the training texts are not looked at. Synonyms are
WordNet's, as the word is spelled; where several are known, each rewrite draws one. `_tta` has what is done with
the rewrites.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins.shifts import _wordnet
from shiftbench.systems.llm_tta.methods import _synonyms, _tta

SEES = "sample"
TASKS = ("text_classification",)


class Options(_tta.Options):
    pass


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """WordNet and the training texts of the model."""
    return [refs.sources(_wordnet.SOURCE), refs.shards(params["dataset"], "train")]


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _tta.Averaging:
    """The predictor with its rewriter."""
    wordnet = _wordnet.load(inputs[refs.sources(_wordnet.SOURCE)].parent)
    train = shards.read(_tta.training_folder(inputs))
    known_words = vocabulary(sample.fields["text"] for sample in train)

    @cache
    def options(word: str) -> tuple[str, ...]:
        if word.lower() in known_words:
            return ()
        return tuple(other for other in wordnet.synonyms(word) if other in known_words)

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [rewrites(sample, params, options) for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)


def vocabulary(texts: Any) -> frozenset[str]:
    """The words of texts, in lower case."""
    return frozenset(word.lower() for text in texts for word in _synonyms.WORD.findall(text))


def rewrites(sample: Sample, params: Mapping[str, Any], options: _synonyms.Replacements) -> list[str]:
    """The k texts, in which every word that has options is replaced."""
    words, text = _tta.words(params, "tta_id_vocab", sample), sample.fields["text"]
    return [_synonyms.replace_words(text, 1.0, options, words) for _ in range(params["k"])]
