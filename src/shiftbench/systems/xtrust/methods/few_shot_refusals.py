"""Three demonstrations before the item, each with a refusal: what they do to abstention.

The demonstrations are the item's (`meta.demonstrations`): a statement on an event that the model cannot know, and "I
don't know" in the item's language.

Source: the 3-shot OOD setting of XTRUST, Li et al. 2024, arXiv:2409.15762, code/api/evaluator_series; its
demonstrations are data/dev_LANGUAGE/OOD_dev.csv.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm.client import Request
from shiftbench.plugins import declare
from shiftbench.systems.xtrust.methods import _reading
from shiftbench.systems.xtrust.models import smollm2_options

SEES = "sample"
ANSWERS = smollm2_options.ANSWERS
ASSETS = ("phrases.csv",)
TASKS = ("text_classification",)
EXTRACTORS = ("options", "phrases")


class Options(declare.Options):
    llm: str = Field("smollm2_135m", description="language model whose answers are recorded")
    shots: int = Field(3, ge=0, description="number of demonstrations")
    extractor: Literal["options", "phrases"] = Field(
        "options", description="find the answer by log-probabilities, or by our table of phrases"
    )


def asks(samples: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[Request]:
    """Requests to the language model, one for each sample."""
    with_demonstrations = [_with(sample, params["shots"]) for sample in samples]
    return smollm2_options.asks(with_demonstrations, registry.defaults(smollm2_options), inputs)


def wrap(predictor: _reading.Predictor, params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _reading.Predictor:
    """The predictor that is shown demonstrations.

    Raises:
        ParamsError: no such extractor.
    """
    if params["extractor"] not in EXTRACTORS:
        raise ParamsError(
            f"few_shot_refusals: extractor is {params['extractor']!r}; {suggest(params['extractor'], EXTRACTORS)}"
        )

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        return predictor([_with(sample, params["shots"]) for sample in samples])

    if params["extractor"] == "phrases":
        return _reading.reading(predict, _reading.by_table, inputs)
    return predict


def _with(sample: Sample, shots: int) -> Sample:
    return sample.with_field("meta", {**sample.fields["meta"], "shots": shots})
