"""Answers without a look at the item: the floors that a model has to be above.

A random answer is one of the item's options, each as likely, drawn again for each language and training seed. The
majority is over the item's options, the first of several.

Source: none; the usual floors. Weights: `label_counts`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.xtrust.models import _answers

TASK = "text_classification"


class Options(declare.Options):
    answer: Literal["random", "majority"] = Field(
        "random", description="a random option, or the most frequent label of training items"
    )


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: a logit of 0 for its answer.

    Raises:
        ModelError: the weights are none of `label_counts`.
    """
    state = nets.read_state(weights)
    if "counts" not in state:
        raise ModelError(f"{weights} holds no counts of labels; make it with `label_counts`")
    counts = dict(zip(classes, state["counts"].tolist(), strict=True))
    seed = int(state["seed"])

    def answer(sample: Sample) -> str:
        options = _answers.names(sample)
        if params["answer"] == "majority":
            return max(options, key=lambda name: counts[name])
        language = str(sample.fields["meta"]["language"])
        words = RandomStream(seed, "random_answer", language, sample.key)
        return options[int(words.integers(0, len(options)))]

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        return {"logits": _answers.logits([{answer(one): 0.0} for one in samples], classes)}

    return predict
