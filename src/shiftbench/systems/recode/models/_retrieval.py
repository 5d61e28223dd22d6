"""Coders that look a solution up: that of the clean problem whose view is nearest to the prompt's, by TF-IDF.

A view is limited, the first words of the docstring or the function's name, so that what is perturbed is all that they
see. TF-IDF is scikit-learn's (smooth idf, L2), over words or over character n-grams within words; case counts in
both. Of equally near ones the first counts.

Source: none; stand-ins for language models (tokens against sub-words), see the card of ReCode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.errors import ParamsError, near
from shiftbench.inference import nets
from shiftbench.sample import Sample
from shiftbench.systems.recode.models import _bodies

VIEWS = ("docstring", "name")
PARAMS: dict[str, object] = {"view": "docstring", "words": 12}


def load(weights: Path, params: Mapping[str, Any], vectorizer: Callable[[], Any]) -> nets.Predictor:
    """Return the predictor: `completions`, one for each prompt.

    Args:
        weights: made by `retrieval_index`.
        params: `view` and `words`, how many of the docstring are seen.
        vectorizer: makes scikit-learn's vectorizer of the words of a view, or of their letters.

    Raises:
        ModelError: the weights hold no problems.
        ParamsError: no such view.
    """
    if params["view"] not in VIEWS:
        raise ParamsError(f"view is {params['view']!r} ({near(str(params['view']), VIEWS)})")
    problems = _bodies.unpacked(weights)
    model = vectorizer()
    known = model.fit_transform([seen(one.prompt, one.entry, params) for one in problems])

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        views = [seen(s.fields["text"], s.fields["meta"]["entry_point"], params) for s in samples]
        likeness = (model.transform(views) @ known.T).toarray()
        nearest = np.argmax(np.round(likeness, 9), axis=1)
        found = np.empty(len(samples), dtype=object)
        for at, (sample, place) in enumerate(zip(samples, nearest, strict=True)):
            found[at] = (_bodies.fitted(problems[place], sample),)
        return {"completions": found}

    return predict


def seen(prompt: str, entry: str, params: Mapping[str, Any]) -> str:
    """Return what a coder sees of a prompt."""
    if params["view"] == "name":
        return entry.replace("_", " ")
    return " ".join(_bodies.docstring(prompt, entry).split()[: params["words"]])
