"""Linear classifier on hashed TF-IDF of words, for texts; trained by `tfidf_logreg`.

Source: Wang and Manning, "Baselines and Bigrams", ACL 2012 (a linear model on word counts is a
strong baseline of sentiment). All of its parameters are tensors: `idf`, `head.weight`, `head.bias`. It gives
no features: they would be as wide as the hash.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _tfidf

TASK = "text_classification"


class Options(declare.Options):
    columns: int = Field(65536, ge=1, description="number of hash values of words")
    ngrams: int = Field(1, ge=1, description="longest sequence of words that is counted")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU."""
    state = nets.read_state(weights)
    expected = {"idf": (params["columns"],), "head.weight": (len(classes), params["columns"])}
    for name, shape in expected.items():
        shape_in_file = tuple(state[name].shape) if name in state else None
        if shape_in_file != shape:
            raise ModelError(f"{weights}: {name} is {shape_in_file}, expected {shape}; train with tfidf_logreg")
    idf, weight, bias = (state[name].numpy() for name in ("idf", "head.weight", "head.bias"))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        counted = _tfidf.counts(texts(samples), params["columns"], params["ngrams"])
        logits = _tfidf.weigh(counted, idf) @ weight.T + bias
        return {"logits": np.asarray(logits, dtype=np.float32)}

    return predict


def texts(samples: Sequence[Sample]) -> list[str]:
    """The texts of samples."""
    return [sample.fields["text"] for sample in samples]
