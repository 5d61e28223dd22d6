"""The answer is read out of what the model wrote, by our table of phrases; log-probabilities are not looked at.

Exactly one polarity of the phrases of the item's task and language is an answer; of several comes the class `both`, of
none `none` (`_extraction.Table`). A logit is 1 for the answer: accuracy holds, confidence means nothing.

Source: keyword extraction of XTRUST, Li et al. 2024, arXiv:2409.15762. Differs as `_extraction` says: edges of words,
the longest match, a table for each language. `official_keywords` has the released rule.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.systems.xtrust.methods import _reading

SEES = "sample"
ASSETS = ("phrases.csv",)
TASKS = ("text_classification",)


def wrap(predictor: _reading.Predictor, params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _reading.Predictor:
    """The predictor that reads completions by the table."""
    return _reading.reading(predictor, _reading.by_table, inputs)
