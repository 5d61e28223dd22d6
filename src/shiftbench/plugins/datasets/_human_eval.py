"""HumanEval's problems as samples of the task `generation`; whole prompts, or with the first half of the solution.

Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374. The file is taken as it is, with its known faults:
upstream's pull request 23 (https://github.com/openai/human-eval/pull/23) lists prompts and tests that disagree,
among them problems 32, 38, 47, 50, 75, 83, 95, 116, 163.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample

SOURCE = "human_eval"
LICENCE = "MIT"
CITATION = "Chen et al., Evaluating Large Language Models Trained on Code, arXiv:2107.03374, 2021"
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


def samples(name: str, file: Path, *, partial: bool) -> Iterator[Sample]:
    """Yield all problems as `name/test/NUMBER`; both forms of one are of one cluster, and resampled together.

    Raises:
        DataError: a line lacks a field; the message gives its number.
    """
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            lacking = [field for field in FIELDS if field not in row]
            if lacking:
                raise DataError(f"{file.name}, line {number + 1} has no {lacking[0]!r}")
            yield sample(f"{name}/test/{number:03d}", row, partial=partial)


def sample(key: str, row: dict[str, str], *, partial: bool) -> Sample:
    """One problem; `partial`: the prompt goes on with the first floor(L / 2) of the L lines of the solution."""
    start, rest = _half(row["canonical_solution"]) if partial else ("", row["canonical_solution"])
    meta = {name: row[name] for name in ("task_id", "entry_point", "test")}
    meta |= {"canonical_solution": rest, "cluster": row["task_id"]}
    return Sample(key, {"text": row["prompt"] + start, "meta": meta})


def _half(solution: str) -> tuple[str, str]:
    lines = solution.rstrip("\n").split("\n")
    half = len(lines) // 2
    start = "".join(f"{line}\n" for line in lines[:half])
    return start, solution[len(start) :]
