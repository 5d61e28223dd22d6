"""A coder that looks solutions up by words of what it sees; see `_retrieval`.

Source: none; a stand-in for a language model, see the card of ReCode. Weights: `retrieval_index`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.inference import nets
from shiftbench.refs import Ref
from shiftbench.systems.recode.models import _retrieval

TASK = "generation"
PARAMS: dict[str, object] = {**_retrieval.PARAMS}


def load(
    weights: Path,
    params: Mapping[str, Any],
    classes: Sequence[str],
    device: str,
    inputs: Mapping[Ref, Path],
) -> nets.Predictor:
    """Return the predictor.

    Raises:
        ModelError: the weights hold no problems.
        ParamsError: no such view.
    """
    return _retrieval.load(weights, params, _vectorizer)


def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(lowercase=False, token_pattern=r"\S+")
