"""What a model is asked in one or two calls, by `form`: in the words of the small decoder, or as the paper asks.

`words` is the small decoder's (`models/patch_decoder.py`). `paper` has the two prompts and system texts of section
III-C before the sample's question, as one text; a model that takes turns splits it at the blank lines.

Source: section III-C of the paper, which states prompts and system texts; the order in the second call (graph, request,
question) is that of CoT/CV_Bench_Kluster_Batch_Scene_graph.py. The texts here are ours in other words, what they ask
for is the same. "Describe objects" is the paper's section III-F.
"""

from __future__ import annotations

from typing import NamedTuple

from shiftbench.errors import ParamsError, near

SKILLED = (
    "You are proficient in visual and spatial reasoning: counting, relations, depth, distances."
)
GRAPH = (
    "For the image and its question write a scene graph in JSON: the objects that matter to the question, their "
    "attributes that do, and the relations among them that do. Put it into a fenced code block."
)
DESCRIBE = "Describe the objects in this image: colour, shape, size, place, places relative to each other, material."
USE = "Use the image and the scene graph as context and answer the question."
TAGS = "Put the final answer between <answer> and </answer>; of lettered options give the letter alone."


class Prompts(NamedTuple):
    """Templates with {question} and {graph}.

    Attributes:
        graph: first of two calls; never asks for the answer.
        answer: second of two calls.
        single: graph and answer in one call.
        describe: first of two calls, without a graph.
        mark: word between graph and answer of a single call; "" : there is none.
    """

    graph: str
    answer: str
    single: str
    describe: str
    mark: str


FORMS = {
    "words": Prompts(
        graph="{question}\ngraph:",
        answer="{question}\ngiven {graph}",
        single="{question}\nthink:",
        describe="{question}\ngraph:",
        mark=" so ",
    ),
    "paper": Prompts(
        graph=f"{SKILLED}\n\n{{question}}\n\n{GRAPH}",
        answer=f"{SKILLED} {TAGS}\n\nScene Graph: {{graph}}\n\n{USE}\n\n{{question}}",
        single=f"{SKILLED} {TAGS}\n\n{{question}}\n\n{GRAPH} Then answer.",
        describe=f"{{question}}\n\n{DESCRIBE}",
        mark="",
    ),
}


def of(form: str) -> Prompts:
    """Return the prompts of a form.

    Raises:
        ParamsError: another form.
    """
    if form not in FORMS:
        raise ParamsError(f"form is {form!r}; {near(form, FORMS)}")
    return FORMS[form]
