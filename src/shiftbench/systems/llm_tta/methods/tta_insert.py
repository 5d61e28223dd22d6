"""Test-time augmentation: behind each word, with probability `share`, a synonym of a random word of the text is put.

Source: the baseline of O'Brien et al. 2024, arXiv:2402.08225, where BERT chooses the words (nlpaug); here it is the
random insertion of Wei and Zou 2019 (EDA), arXiv:1901.11196. Synonyms are WordNet's, as the word is spelled; `_tta` has
what is done with the rewrites.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _wordnet
from shiftbench.systems.llm_tta.methods import _replacing, _tta

SEES = "sample"
TASKS = ("text_classification",)
PARAMS: dict[str, object] = {**_tta.PARAMS, "share": 0.2}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return WordNet."""
    return [refs.sources(_wordnet.SOURCE)]


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _tta.Averaging:
    """Return the predictor with its rewriter."""
    net = _wordnet.load(inputs[refs.sources(_wordnet.SOURCE)].parent)

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [rewrites(sample, params, net) for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)


def rewrites(sample: Sample, params: Mapping[str, Any], net: _wordnet.WordNet) -> list[str]:
    """Return k texts; each draws on where the one before ended."""
    words, text = _tta.words(params, "tta_insert", sample), sample.fields["text"]
    return [_replacing.joined(text, params["share"], net.synonyms, words) for _ in range(params["k"])]
