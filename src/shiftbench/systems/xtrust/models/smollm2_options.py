"""SmolLM2-135M-Instruct on items with options: log-probabilities, and what it answers, out of the record.

An item's instruction is the turn of the system, its text the user's; `meta.shots` of its demonstrations come before.
Of each option counts the log-probability of its shortest beginning that no other option has, in the item's language
(`evaluation/llm/option_model.py`): the `logits`. `completions` are the first tokens that it writes, up
to a line break, one for each item; after demonstrations none are recorded. Nothing is generated here: `shiftbench
answers --config systems/xtrust` records what is missing.

Source: Ben Allal et al. 2025, https://arxiv.org/abs/2502.02737 (the model); options by likelihood as in Brown et al.
2020, https://arxiv.org/abs/2005.14165, section 2.4. Weights: `pretrained`, the sha256 of the model's file, which keys
of answers name.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import source_files
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.evaluation.llm.client import Message, Request
from shiftbench.plugins import declare
from shiftbench.systems.xtrust.models import _answers

TASK = "text_classification"
ANSWERS = Path(__file__).parents[1] / "recorded"
ASSETS = ("../recorded/smollm2_135m.jsonl",)
_DIGEST = "llm.sha256"


class Options(declare.Options):
    llm: str = Field("smollm2_135m", description="language model whose answers are recorded")
    max_new_tokens: int = Field(10, ge=1, description="first tokens that it writes")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State instead of the language model: the sha256 of its file, uint8 (32,)."""
    (file,) = source_files.load_source(str(params["llm"])).files.values()
    return {_DIGEST: torch.frombuffer(bytearray.fromhex(file.sha256), dtype=torch.uint8)}


def asks(samples: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[Request]:
    """Requests to the language model, one for each sample."""
    return [_request(sample, params["max_new_tokens"]) for sample in samples]


def _request(sample: Sample, most: int) -> Request:
    meta = sample.fields["meta"]
    demonstrations = meta["demonstrations"][: meta.get("shots", 0)]
    turns: list[Message] = [("system", meta["instruction"])]
    for text, answer in demonstrations:
        turns += [("user", text), ("assistant", answer)]
    turns.append(("user", sample.fields["text"]))
    decoding: dict[str, float | int | str | bool] = {
        "options": json.dumps(_answers.words(sample), ensure_ascii=False),
        "temperature": 0.0,
        "max_new_tokens": 0 if demonstrations else most,
        "stop": "\n",
    }
    template = json.dumps([meta["instruction"], demonstrations], ensure_ascii=False)
    return Request(tuple(turns), hashlib.sha256(template.encode()).hexdigest()[:12], decoding)


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `logits` float32 (n, C), and `completions`.

    Raises:
        DataError: an answer is not recorded or has other options, when it is called.
    """
    answers = answer_cache.Answers(ANSWERS)
    command = "shiftbench answers --config systems/xtrust"
    recorded = client.Cached(answers, client.identity(params["llm"]), command=command)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        replies = [json.loads(text) for text in recorded(asks(samples, params, inputs))]
        scores = [_scores(*pair) for pair in zip(samples, replies, strict=True)]
        texts = np.empty(len(samples), object)
        texts[:] = [(reply["text"],) for reply in replies]
        return {"logits": _answers.logits(scores, classes), "completions": texts}

    return predict


def _scores(sample: Sample, reply: dict[str, Any]) -> dict[str, float]:
    """The log-probability of each option's class."""
    names = _answers.names(sample)
    if len(names) != len(reply["logs"]):
        raise DataError(f"{sample.key} has {len(names)} options, and {len(reply['logs'])} are recorded")
    return dict(zip(names, reply["logs"], strict=True))
