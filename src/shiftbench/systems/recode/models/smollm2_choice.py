"""SmolLM2-135M-Instruct as a judge of bodies: the one to which it gives the highest mean log-probability per token.

It chooses among the right body, four bodies of other problems and three mutants (`_choices`); the choice is then
executed. Scores are recorded by content in `recorded/recode/`; nothing is computed here unless `generate` is set,
which adds what is missing. The prompt is given as it is, without a chat template; of a body the first `tokens`
count.

Source: Ben Allal et al. 2025, https://arxiv.org/abs/2502.02737 (the model); scoring answers by likelihood as in
Brown et al. 2020, https://arxiv.org/abs/2005.14165, section 2.4. Weights: `retrieval_index`.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base import refs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.systems.recode.models import _bodies, _choices

TASK = "generation"
ANSWERS = Path(__file__).parents[1] / "recorded"
"""No asset: what stands under a key never changes, and `generate` writes there while it runs."""
PARAMS: dict[str, object] = {"llm": "smollm2_135m", "tokens": 64, "generate": False}
Score = Callable[[str, Sequence[str]], list[float]]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the language model, where it is asked."""
    return [refs.sources(params["llm"])] if params["generate"] else []


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """Return the predictor.

    Raises:
        ModelError: the weights hold no problems.
        DataError: scores are not recorded, when it is called.
    """
    problems = _bodies.unpacked(weights)
    record = answer_cache.Answers(ANSWERS)
    made: list[Score] = []

    def scored(prompt: str, bodies: list[str]) -> list[float]:
        key = _key(params, prompt, bodies)
        known = record.get(key)
        if known is None:
            if not params["generate"]:
                raise DataError(
                    f"{record.file(key.model)} holds no scores of a prompt that begins {prompt[:60]!r}; "
                    "set the model's option `generate` to add them"
                )
            if not made:
                folder = inputs[refs.sources(params["llm"])].parent
                made.append(scorer(params["llm"], folder, params["tokens"]))
            known = json.dumps([round(one, 6) for one in made[0](prompt, bodies)])
            record.put(key, known)
        found: list[float] = json.loads(known)
        return found

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        found = np.empty(len(samples), dtype=object)
        for at, sample in enumerate(samples):
            bodies = _choices.bodies(sample, problems)
            found[at] = (bodies[int(np.argmax(scored(sample.fields["text"], bodies)))],)
        return {"completions": found}

    return predict


def _key(params: Mapping[str, Any], prompt: str, bodies: list[str]) -> answer_cache.Key:
    decoding: dict[str, int | str] = {"score": "mean_log_probability", "tokens": params["tokens"]}
    return answer_cache.Key(client.identity(params["llm"]), "plain", decoding, 0, json.dumps([prompt, bodies]))


def scorer(name: str, folder: Path, most: int) -> Score:
    """Return what gives the mean log-probability per token of each text after a prompt.

    Args:
        name: the original that holds the model.
        folder: where it lies.
        most: tokens of a text that count.
    """
    import torch

    from shiftbench.evaluation.llm import local_model

    tokens, net = local_model.load(folder)
    taken = inspect.signature(net.forward).parameters
    past = "cache" if "cache" in taken else "past_key_values"  # as its version says

    def score(prompt: str, bodies: Sequence[str]) -> list[float]:
        head = tokens(prompt, add_special_tokens=False)["input_ids"]
        tails = [tokens(body, add_special_tokens=False)["input_ids"][:most] or [0] for body in bodies]
        width = max(map(len, tails))
        with torch.inference_mode():
            shared = net(input_ids=torch.tensor([head]), use_cache=True, logits_to_keep=1)
            cache = shared.past_key_values
            cache.batch_repeat_interleave(len(tails))
            rows = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails])
            places = torch.arange(len(head), len(head) + width).expand(len(tails), -1)
            found = net(input_ids=rows, position_ids=places, **{past: cache})
            first = shared.logits[:, -1:].expand(len(tails), -1, -1)
            logs = torch.cat([first, found.logits[:, :-1]], 1).log_softmax(-1)
            each = logs.gather(-1, rows[..., None])[..., 0]
        return [float(row[: len(tail)].mean()) for row, tail in zip(each, tails, strict=True)]

    return score
