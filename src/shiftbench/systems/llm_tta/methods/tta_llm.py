"""Test-time augmentation by a language model: a plain paraphrase, or in-context rewriting (`style: icr`).

ICR shows 16 unlabelled training texts, drawn once per `seed`, and asks for the text as if it were one of them. Answers
are read from `recorded/llm-tta/`: nothing is generated here, and `shiftbench answers --config SCALE` records what is
missing. The raw answer is what is recorded; it is cleaned when it is read. Without a rewrite in it, the text itself
counts.

Source: O'Brien et al. 2024, arXiv:2402.08225, section 3; `_rewriting` has what is asked, `_tta` what is done with the
rewrites. Differs: `longest` (theirs is 5) is 2 by default, since a small model that does not stop rambles.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.systems.llm_tta.methods import _rewriting, _tta

SEES = "sample"
ANSWERS = Path(__file__).parents[1] / "recorded"
ASSETS = ("../recorded/smollm2_135m.jsonl",)
TASKS = ("text_classification",)


class Options(_tta.Options):
    llm: str = Field("smollm2_135m", description="language model, one of `sources` or `endpoint:NAME`")
    style: Literal["icr", "paraphrase"] = Field("icr", description="in-context rewriting, or a plain paraphrase")
    exemplars: int = Field(16, ge=1, description="training texts that in-context rewriting shows")
    temperature: float = Field(0.3, ge=0, description="temperature of the language model")
    longest: float = Field(2.0, gt=0, description="tokens of an answer, at most, relative to those of the text")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The texts that examples are drawn from: the training texts of the model."""
    _rewriting.template(params["style"])
    return [refs.shards(params["dataset"], "train")] if params["style"] == "icr" else []


def asks(samples: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[client.Request]:
    """Requests to the language model, k for each sample in turn."""
    examples = _examples(params, inputs)
    return [request for sample in samples for request in _rewriting.requests(sample.fields["text"], examples, params)]


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _tta.Averaging:
    """The predictor with its rewriter."""
    one = rewriter(params, _examples(params, inputs))

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [one(sample.fields["text"]) for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)


def rewriter(params: Mapping[str, Any], examples: Sequence[str]) -> Callable[[str], list[str]]:
    """A function that returns the k recorded rewrites of a text.

    Args:
        params: see Options.
        examples: as `examples` gives them.
    """
    answers = answer_cache.Answers(ANSWERS)
    command = "shiftbench answers --config SCALE"
    replay = client.Cached(answers, client.identity(params["llm"]), command=command)

    def rewrites(text: str) -> list[str]:
        requests = list(_rewriting.requests(text, examples, params))
        return [_rewriting.clean(answer, text) for answer in replay(requests)]

    return rewrites


def examples(params: Mapping[str, Any], train: Path) -> list[str]:
    """The training texts that ICR shows; none for a paraphrase.

    Args:
        params: see Options.
        train: folder of the training shards.
    """
    if params["style"] != "icr":
        return []
    texts = [sample.fields["text"] for sample in shards.read(train)]
    return _rewriting.exemplars(texts, params["exemplars"], params["seed"])


def _examples(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[str]:
    return examples(params, _tta.training_folder(inputs)) if params["style"] == "icr" else []
