"""SceneGraph CoT: a first call asks for a scene graph, a second answers from image, question and that graph.

The graph is read from the first reply by `graph_rule` (`_graphs.py`); the first call never asks for the answer. The
answer is read from the second reply, its first completion; an empty graph is passed on as it is. With `describe` the
first call asks for a description of the objects instead, and all of the reply is passed on: the paper's control.

Source: section III-C of the paper; `describe` section III-F.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.systems.spatial_vlm_cot_grpo.methods import _graphs, _prompts

SEES = "sample"
TASKS = ("free_text",)
PARAMS: dict[str, object] = {"form": "words", "graph_rule": "paper", "describe": False}


def wrap(predictor: nets.Predictor, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.Predictor:
    """Return what calls a predictor twice and gives `completions`, one answer for each sample.

    Raises:
        ParamsError: another form or rule.
    """
    prompts, rule = _prompts.of(params["form"]), params["graph_rule"]
    _graphs.extracted("", rule)
    first = prompts.describe if params["describe"] else prompts.graph

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        replies = said(predictor, samples, [_prompts.filled(first, one) for one in samples])
        graphs = [reply if params["describe"] else _graphs.extracted(reply, rule) for reply in replies]
        asked = [_prompts.filled(prompts.answer, one, graph) for one, graph in zip(samples, graphs, strict=True)]
        return answers(said(predictor, samples, asked))

    return predict


def said(predictor: nets.Predictor, samples: Sequence[Sample], texts: Sequence[str]) -> list[str]:
    """Return the first completion of each prompt that stands in the place of a sample's text."""
    asked = [one.with_field("text", text) for one, text in zip(samples, texts, strict=True)]
    return [str(own[0]) for own in predictor(asked)["completions"]]


def answers(replies: Sequence[str], mark: str = "") -> nets.Outputs:
    """Return `completions`, object (n,) of one answer each."""
    found = np.empty(len(replies), object)
    for at, reply in enumerate(replies):
        found[at] = (_graphs.answer(reply, mark),)
    return {"completions": found}
