"""Replies of a vision-language model that was asked elsewhere, looked up by sample and prompt.

    theirs: {use: vlm_replies, path: data/own/spatial/replies/theirs.jsonl}                trainer `given`

A JSON object a line: `key`, the sample's, `prompt`, the text that it was asked, and `completions`, the greedy one
first, then those that were drawn. Other phrasings and methods of several calls ask other prompts about the same image,
each with a line of its own, so that replies can be evaluated under the shifts and methods that they were made for.

`recording` writes such a file: a predictor that asks your function for what is not there yet. Around it any method asks
all of its calls:

    def ask(sample):
        system, user = _prompts.turns(sample.fields["text"])
        return [my_vlm(system, user, sample.fields["image"])]

    options = {**registry.defaults(two_call), "form": "released"}
    two_call.wrap(recording(Path("theirs.jsonl"), ask), options, {})(samples)

`turns` of `methods/_prompts.py` splits what a method asks into system text and message; a question without a method has
no system text.

Source: none; the official scripts keep prompts and replies in one JSON file for each model.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given

TASK = "free_text"
Replies = dict[tuple[str, str], tuple[str, ...]]
Ask = Callable[[Sample], Sequence[str]]
"""(a sample whose text is the prompt) -> completions, the greedy one first."""


class Options(declare.Options):
    path: str = Field("", description="JSON Lines file with the replies")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks replies up: `completions`.

    Raises:
        ModelError: the file is another one, a line is none of that form, or a prompt has no reply.
    """
    file = _given.check(weights, params["path"])
    replies = read(file)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        missing = [sample for sample in samples if _place(sample) not in replies]
        if missing:
            raise ModelError(
                f"{file} has no reply for {missing[0].key!r} to {missing[0].fields['text'][:80]!r}, and for "
                f"{len(missing) - 1} more; ask the model for them (`recording` of vlm_replies)"
            )
        return _outputs(samples, replies)

    return predict


def recording(file: Path, ask: Ask) -> nets.Predictor:
    """A predictor that asks for what the file lacks, and appends each reply to it."""
    replies = read(file) if file.is_file() else {}

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        with file.open("a", encoding="utf-8") as stream:
            for sample in samples:
                if _place(sample) not in replies:
                    replies[_place(sample)] = tuple(ask(sample))
                    key, prompt = _place(sample)
                    line = {"key": key, "prompt": prompt, "completions": replies[_place(sample)]}
                    stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        return _outputs(samples, replies)

    return predict


def read(file: Path) -> Replies:
    """The replies of a file.

    Raises:
        ModelError: a line of another form; names file and line.
    """
    replies: Replies = {}
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                reply = json.loads(line)
                place = (str(reply["key"]), str(reply["prompt"]))
                replies[place] = tuple(map(str, reply["completions"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ModelError(
                    f"{file}, line {number}: expected a JSON object with key, prompt and completions: {error!r}"
                ) from None
    return replies


def _place(sample: Sample) -> tuple[str, str]:
    return sample.key, sample.fields["text"]


def _outputs(samples: Sequence[Sample], replies: Replies) -> nets.Outputs:
    completions = np.empty(len(samples), object)
    for row, sample in enumerate(samples):
        completions[row] = replies[_place(sample)]
    return {"completions": completions}
