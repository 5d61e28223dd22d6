r"""SceneGraph CoT: a first call asks for a scene graph, a second one answers from image, question and this graph.

The first call never asks for the answer. `graph_rule` extracts the graph from the first reply:

- `paper`, in this order: the last fenced code block; the last object in braces, with nested ones; the text between
  <code> and </code>; the whole reply.
- `released`, as the official script: the last fenced block; the whole reply; the last match of
  `({[\s\S]*?})(?:\s*$|\n)`; the text after the last "Scene Graph:". Each counts only if it is JSON, else the graph is
  "{}".

An empty graph is passed on unchanged. With `describe`, the first call asks for a description of the objects instead,
and the whole reply is passed on: the paper's control.

The answer is in the first completion of the second reply: between <answer> tags, else a letter in brackets, else the
whole reply without white space around it. A model that writes graph and answer in one sample puts a mark between them.

Source: section III-C of the paper; `describe` section III-F; Yvonne511/spatial-vlm-investigator,
CoT/CV_Bench_Kluster_Batch_Scene_graph.py, `extract_json_from_response` and `extract_answer`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.spatial_vlm_cot_grpo.methods import _prompts

SEES = "sample"
TASKS = ("free_text",)
RULES = ("paper", "released")
_FENCED = re.compile(r"```(?:json)?\s*([\s\S]*?)\s*```", re.IGNORECASE)
_CODE = re.compile(r"<code>\s*([\s\S]*?)\s*</code>", re.IGNORECASE)
_OBJECT = re.compile(r"({[\s\S]*?})(?:\s*$|\n)")
_LABEL = re.compile(r"Scene Graph:?\s*([\s\S]*)", re.IGNORECASE)
_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.IGNORECASE)
_LETTER = re.compile(r"\(([A-D])\)")


class Options(declare.Options):
    form: _prompts.Form = "words"
    graph_rule: Literal["paper", "released"] = Field(
        "paper", description="rule that finds the graph in the first reply"
    )
    describe: bool = Field(False, description="ask first for a description of the objects instead of a graph")


def wrap(predictor: nets.Predictor, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.Predictor:
    """Predictor that calls another one twice; its `completions` are one answer for each sample.

    Raises:
        ParamsError: another form or rule.
    """
    prompts, rule = _prompts.of(params["form"]), params["graph_rule"]
    graph_of("", rule)  # checks the rule
    first = prompts.describe if params["describe"] else prompts.graph

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        first_replies = replies_to(predictor, samples, [_prompts.filled(first, one) for one in samples])
        graphs = [reply if params["describe"] else graph_of(reply, rule) for reply in first_replies]
        texts = [_prompts.filled(prompts.answer, one, graph) for one, graph in zip(samples, graphs, strict=True)]
        return answers(replies_to(predictor, samples, texts))

    return predict


def replies_to(predictor: nets.Predictor, samples: Sequence[Sample], texts: Sequence[str]) -> list[str]:
    """First completion of each prompt, which replaces a sample's text."""
    questions = [sample.with_field("text", text) for sample, text in zip(samples, texts, strict=True)]
    return [str(completions[0]) for completions in predictor(questions)["completions"]]


def answers(replies: Sequence[str], mark: str = "") -> nets.Outputs:
    """`completions`, object (n,) of one answer each."""
    completions = np.empty(len(replies), object)
    for row, reply in enumerate(replies):
        completions[row] = (answer(reply, mark),)
    return {"completions": completions}


def graph_of(reply: str, rule: str = "paper") -> str:
    """Scene graph of a reply.

    Raises:
        ParamsError: another rule.
    """
    if rule not in RULES:
        raise ParamsError(f"graph_rule is {rule!r}; {suggest(rule, RULES)}")
    return _by_paper(reply) if rule == "paper" else _by_script(reply)


def _by_paper(reply: str) -> str:
    for graphs in (_FENCED.findall(reply), _in_braces(reply), _CODE.findall(reply)):
        if graphs:
            return str(graphs[-1]).strip()
    return reply


def _in_braces(reply: str) -> list[str]:
    """Objects in braces that are not inside another one."""
    objects, depth, start = [], 0, 0
    for index, letter in enumerate(reply):
        if letter == "{":
            start = start if depth else index
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
            if not depth:
                objects.append(reply[start : index + 1])
    return objects


def _by_script(reply: str) -> str:
    parts = [
        *(text.strip() for text in _FENCED.findall(reply)[-1:]),
        reply,
        *_OBJECT.findall(reply)[-1:],
        *(text.strip() for text in _LABEL.findall(reply)[-1:]),
    ]
    return next((part for part in parts if _is_json(part)), "{}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def answer(reply: str, mark: str = "") -> str:
    """Answer of a reply.

    Args:
        reply: text of a model.
        mark: a word between graph and answer; if the reply has it, the text after the last one counts.
    """
    if mark and mark in reply:
        reply = reply.rpartition(mark)[2]
    for form in (_ANSWER, _LETTER):
        if match := form.search(reply):
            return match[1].strip()
    return reply.strip()
