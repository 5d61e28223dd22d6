"""A language model that writes the code: completions recorded by content, from weights here or an endpoint.

A base model (`ask: completion`) is given the prompt as it is, to its last line end, and goes on with it. A chat model
(`ask: chat`) is asked to complete the function, and its answer is opened with the prompt itself. The completion is cut
before the next statement that begins a line when it is read; what is recorded is the raw answer. `samples` completions
per prompt have seeds 0, 1, ...; at temperature 0 they would be equal, and one is enough. `shiftbench answers --config
SCALE` records what is missing.

Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374, section 2 (sampling and stop sequences); Wang et al.
2023 (ReCode), https://arxiv.org/abs/2212.10264, section 4: greedy, or temperature 0.2. Differs: official code keeps
the longest completion that parses and cuts it behind the first function, which is a helper's where a prompt defines
one; the paper's ablation has top-p 0.95, too. Weights: `retrieval_index`, of which nothing is read.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.plugins import declare

TASK = "generation"
ANSWERS = Path(__file__).parents[1] / "recorded"
INSTRUCTION = "Complete this Python function. Answer with code alone.\n\n```python\n{prompt}```"
OPENING = "```python\n{prompt}"
WAYS = {"completion": "{prompt}", "chat": f"{INSTRUCTION}{OPENING}"}
"""Way to ask a model -> the template, whose hash is in the key of each answer."""
STOP = {"completion": "\ndef ", "chat": "```"}


class Options(declare.Options):
    llm: str = Field("smollm2_135m", description="language model, a name of the answer records")
    ask: Literal["completion", "chat"] = Field(
        "completion", description="let the model go on with the prompt, or ask it in a chat"
    )
    samples: int = Field(1, ge=1, description="completions of each prompt; more than one needs a temperature above 0")
    temperature: float = Field(
        0.0, ge=0, description="temperature of sampling; 0: the most probable token, one completion"
    )
    max_new_tokens: int = Field(300, ge=1, description="tokens of a completion at most")


def asks(samples: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[client.Request]:
    """Requests for samples, `samples` of them for each in turn.

    Raises:
        ParamsError: several samples at temperature 0, or no such way to ask.
    """
    way = params["ask"]
    if way not in WAYS:
        raise ParamsError(f"ask is {way!r} ({suggest(str(way), WAYS)})")
    if params["samples"] < 1 or (params["samples"] > 1 and params["temperature"] == 0):
        raise ParamsError(
            f"samples is {params['samples']} at temperature {params['temperature']:g}; expected 1, or more above 0"
        )
    decoding = {name: params[name] for name in ("temperature", "max_new_tokens")}
    decoding |= {"stop": STOP[way]}
    template = hashlib.sha256(WAYS[way].encode()).hexdigest()[:12]
    return [
        client.Request(_messages(sample.fields["text"], way), template, decoding, seed)
        for sample in samples
        for seed in range(params["samples"])
    ]


def _messages(prompt: str, way: str) -> tuple[client.Message, ...]:
    if way == "completion":
        return ((client.RAW, prompt),)
    return (("user", INSTRUCTION.format(prompt=prompt)), ("assistant", OPENING.format(prompt=prompt)))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `completions`, `samples` for each prompt.

    Raises:
        DataError: an answer is not recorded, when it is called.
    """
    answers = answer_cache.Answers(ANSWERS)
    command = "shiftbench answers --config SCALE"
    recorded = client.Cached(answers, client.identity(params["llm"]), command=command)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = iter(recorded(asks(samples, params, inputs)))
        completions = np.empty(len(samples), dtype=object)
        for number in range(len(samples)):
            completions[number] = tuple(cut(text) for text in itertools.islice(texts, params["samples"]))
        return {"completions": completions}

    return predict


def cut(text: str) -> str:
    r"""A completion up to the next statement that begins a line, or the end of the code block.

    Example:
        >>> cut("    return 1\n\nprint(2)\n")
        '    return 1\n\n'
    """
    lines = text.partition("```")[0].splitlines(keepends=True)
    body = itertools.takewhile(lambda line: not line[:1].strip() or line.startswith("#"), lines[1:])
    return "".join([*lines[:1], *body])
