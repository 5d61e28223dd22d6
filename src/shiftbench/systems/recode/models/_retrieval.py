"""Coders that look a solution up: that of the clean problem whose view is nearest to the prompt's, by TF-IDF.

A view is limited, the first words of the docstring or the function's name, so that what is perturbed is all that they
see. TF-IDF is scikit-learn's (smooth idf, L2), over words or over character n-grams within words; case counts in
both. Of equally near ones the first counts.

Source: none; stand-ins for language models (tokens against sub-words), see the card of ReCode.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.recode.models import _bodies

TASK = "generation"
VIEWS = ("docstring", "name")
UNITS: dict[str, dict[str, Any]] = {
    "words": {"token_pattern": r"\S+"},
    "letters": {"analyzer": "char_wb", "ngram_range": (1, 4)},
}
"""Options of scikit-learn's vectoriser, by the unit that it counts."""


class Options(declare.Options):
    by: Literal["", "words", "letters"] = Field("", description="compare words, or character n-grams within words")
    view: Literal["docstring", "name"] = Field("docstring", description="part of the prompt that is seen")
    words: int = Field(12, ge=1, description="words of the docstring that are seen")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The unit that is counted."""
    return {"BY": options["by"]}


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `completions`, one for each prompt.

    Args:
        weights: made by `retrieval_index`.
        params: `by`, and `view` and `rng`, how many of the docstring are seen.
        classes: none.
        device: all is done on the CPU.
        inputs: none.

    Raises:
        ModelError: the weights hold no problems.
        ParamsError: no such view.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if params["view"] not in VIEWS:
        raise ParamsError(f"view is {params['view']!r} ({suggest(str(params['view']), VIEWS)})")
    problems = _bodies.unpacked(weights)
    model = TfidfVectorizer(lowercase=False, **UNITS[params["by"]])
    index = model.fit_transform([prompt_view(one.prompt, one.entry, params) for one in problems])

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        views = [prompt_view(s.fields["text"], s.fields["meta"]["entry_point"], params) for s in samples]
        likeness = (model.transform(views) @ index.T).toarray()
        nearest = np.argmax(np.round(likeness, 9), axis=1)
        completions = np.empty(len(samples), dtype=object)
        for number, (sample, neighbour) in enumerate(zip(samples, nearest, strict=True)):
            completions[number] = (_bodies.fitted(problems[neighbour], sample),)
        return {"completions": completions}

    return predict


def prompt_view(prompt: str, entry: str, params: Mapping[str, Any]) -> str:
    """The part of a prompt that a coder sees."""
    if params["view"] == "name":
        return entry.replace("_", " ")
    return " ".join(_bodies.docstring(prompt, entry).split()[: params["words"]])
