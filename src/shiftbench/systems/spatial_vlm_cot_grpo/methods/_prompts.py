"""Prompts of one or two calls, by `form`, and the filling of a template for a sample.

    words      the small decoder's (`models/patch_decoder.py`)
    paper      the texts of section III-C of the paper, word for word
    released   those of the released scripts for CV-Bench, word for word; the paper's numbers were made with them
    sat        the same, with the direct question of the released script for SAT

In a prompt of the last three forms the system text is the first paragraph, and the user's message is what follows the
first blank line (`turns`). Paper and scripts differ: the script's first call has another system text, asks for a fence,
and lists options in one line; its second call asks for the letter alone.

Source: section III-C of the paper, `describe` section III-F; Yvonne511/spatial-vlm-investigator at a4f863d (MIT by its
CoT README), CoT/CV_Bench_Kluster_Batch_Scene_graph.py (`graph`, `answer`), CoT/CV_Bench_kluster_batch.py and
CoT/SAT_kluster_batch.py (`direct`). Differs: neither has the text of a single call or the paper's of a direct one;
`single` puts the parts of the two calls together, and `direct` of the form `paper` is the sample's text.
"""

import re
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample

PAPER_GRAPH_SYSTEM = (
    "You are an AI assistant proficient in visual and spatial reasoning with tasks involving counting, relations, "
    "depth, distances, etc., and generate scene graphs based on images and questions. Think and then answer."
)
PAPER_GRAPH = (
    "For the provided image and its associated question, think and generate a scene graph in JSON format that includes "
    "the following: (1) Objects relevant to answering the question, (2) Object attributes relevant to answering the "
    "question, (3) Object relationships relevant to answering the question."
)
PAPER_ANSWER_SYSTEM = (
    "You are an AI assistant proficient in visual and spatial reasoning with tasks involving counting, relations, "
    "depth, distances, etc. Think and then answer. Final answer should be provided between <answer> and </answer> tags."
)
PAPER_ANSWER = "Use the image and scene graph as context and answer the following question."
DESCRIBE = (
    "Describe the objects in this image: their color, shape, size, location, relative location, reflectance and "
    "material (glossy is metallic, matte is rubber)."
)
GRAPH_SYSTEM = "You are an AI assistant that generates scene graphs based on images and questions."
GRAPH = (
    "\nFor the provided image and its associated question, think and generate a scene graph in JSON format that "
    "includes the following:\n"
    "1. Objects that are relevant to answering the question\n"
    "2. Object attributes that are relevant to answering the question\n"
    "3. Object relationships that are relevant to answering the question\n"
    "Enclose the final scene graph in ```\nscene_graph_here\n```\n"
)
ANSWER_SYSTEM = (
    "You are an AI assistant proficient in Visual and Spatial reasoning with tasks involving counting, relations, "
    "depth, distances, etc. Think based on the image and the JSON scene graph and then answer. Final answer should be "
    "provided between <answer> </answer> tags. All questions are multiple choice, provide the letter (A, B, C, or D) "
    "of the correct answer after thinking."
)
ANSWER = "\nUse the image and scene graph as context and answer the following question:\n"
LETTER = "Answer with the option's letter from the given choices directly."
DIRECT_SYSTEM = (
    "Final answer should be provided between <answer> </answer> tags. All questions are multiple choice, just provide "
    "the letter (A, B, C, or D) of the correct answer."
)
SAT_SYSTEM = (
    "You are solving a spatial aptitude test. Analyze the image(s) carefully and select the best answer from the given "
    "options. Your final answer should be just the letter (A, B, C, D, or E) between <answer> </answer> tags."
)


class Prompts(NamedTuple):
    """Templates with {text}, the sample's, {question} and {options}, its parts, and {graph}.

    Attributes:
        graph: first of two calls; never asks for the answer.
        answer: second of two calls.
        single: graph and answer in one call.
        describe: first of two calls, without a graph.
        direct: the answer alone in one call.
        mark: word between graph and answer of a single call; "" : there is none.
    """

    graph: str
    answer: str
    single: str
    describe: str
    direct: str
    mark: str = ""


_RELEASED = Prompts(
    graph=f"{GRAPH_SYSTEM}\n\n{{question}} {{options}}\n\n{GRAPH}",
    answer=f"{ANSWER_SYSTEM}\n\nScene Graph: {{graph}}\n\n{ANSWER}\n{{question}} {{options}}\n\n{LETTER}",
    single=f"{ANSWER_SYSTEM}\n\n{{question}} {{options}}\n\n{GRAPH}\n{LETTER}",
    describe=f"{GRAPH_SYSTEM}\n\n{{question}} {{options}}\n\n{DESCRIBE}",
    direct=f"{DIRECT_SYSTEM}\n\n{{question}} Select from the following choices. {{options}}",
)
Form = Annotated[
    Literal["words", "paper", "released", "sat"],
    Field(description="wording of the prompts: ours, the paper's or the released ones"),
]
FORMS = {
    "words": Prompts(
        graph="{text}\ngraph:",
        answer="{text}\ngiven {graph}",
        single="{text}\nthink:",
        describe="{text}\ngraph:",
        direct="{text}",
        mark=" so ",
    ),
    "paper": Prompts(
        graph=f"{PAPER_GRAPH_SYSTEM}\n\n{{text}}\n\n{PAPER_GRAPH}",
        answer=f"{PAPER_ANSWER_SYSTEM}\n\nScene Graph: {{graph}}\n\n{PAPER_ANSWER}\n\n{{text}}",
        single=f"{PAPER_ANSWER_SYSTEM}\n\n{{text}}\n\n{PAPER_GRAPH}",
        describe=f"{PAPER_GRAPH_SYSTEM}\n\n{{text}}\n\n{DESCRIBE}",
        direct="{text}",
    ),
    "released": _RELEASED,
    "sat": _RELEASED._replace(direct=f"{SAT_SYSTEM}\n\n{{text}}"),
}
_FIELD = re.compile(r"\{(text|question|options|graph)\}")


def of(form: str) -> Prompts:
    """The prompts of a form.

    Raises:
        ParamsError: another form.
    """
    if form not in FORMS:
        raise ParamsError(f"form is {form!r}; {suggest(form, FORMS)}")
    return FORMS[form]


def filled(template: str, sample: Sample, graph: str = "") -> str:
    """The prompt of a sample; options are "(A) one (B) other".

    Raises:
        DataError: the template has question and options, and the sample's `meta` lacks one of them.
    """
    meta = sample.fields.get("meta") or {}

    def part(name: str) -> str:
        if name in ("text", "graph"):
            return graph if name == "graph" else str(sample.fields["text"])
        field = "choices" if name == "options" else name
        if field not in meta:
            raise DataError(
                f"sample {sample.key!r} has no meta.{field}, which this form of prompts lists; give it, or take the "
                "form `paper`"
            )
        return lettered(meta[field]) if name == "options" else str(meta[field])

    return _FIELD.sub(lambda match: part(match[1]), template)


def lettered(choices: list[str]) -> str:
    """Options in one line.

    Example:
        >>> lettered(["lamp", "sofa"])
        '(A) lamp (B) sofa'
    """
    return " ".join(f"({chr(ord('A') + index)}) {choice}" for index, choice in enumerate(choices))


def turns(prompt: str) -> tuple[str, str]:
    r"""System text and user's message of a prompt of the forms `paper`, `released` and `sat`.

    Example:
        >>> turns("You are brief.\n\nWhat is it?\n\nSay it.")
        ('You are brief.', 'What is it?\n\nSay it.')
    """
    system, _, user = prompt.partition("\n\n")
    return system, user
