"""Answers that are read out of completions, as logits: what the two extractors of texts share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.systems.xtrust.methods import _extraction
from shiftbench.systems.xtrust.models import _answers

Predictor = Callable[[Sequence[Sample]], nets.Outputs]
Read = Callable[[Sample, str], str]
"""A sample and what was written for it -> the class of the answer."""


def reading(predictor: Predictor, read: Read, inputs: Mapping[Ref, Path]) -> Predictor:
    """A predictor whose answers are read out of the completions of another.

    Args:
        predictor: gives `completions`, one for each sample.
        read: the extractor.
        inputs: of the method; the weights are the first.
    """
    classes = nets.classes_of(next(iter(inputs.values())))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = _texts(predictor(samples))
        answers = [read(*pair) for pair in zip(samples, texts, strict=True)]
        return {"logits": _answers.logits([{answer: 1.0} for answer in answers], classes)}

    return predict


def _texts(outputs: Mapping[str, Any]) -> list[str]:
    if "completions" not in outputs:
        raise ModelError(
            "there is nothing to read: the model gives no completions, only "
            f"{', '.join(sorted(outputs))}; use the method plain"
        )
    return [texts[0] for texts in outputs["completions"]]


def by_table(sample: Sample, text: str) -> str:
    """Answer of a text by our table of the sample's task and language."""
    meta = sample.fields["meta"]
    return _extraction.table(meta["task"], meta["language"]).answer(text)
