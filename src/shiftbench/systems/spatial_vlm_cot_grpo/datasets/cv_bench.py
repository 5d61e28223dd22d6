"""CV-Bench from the hub's Parquet files, one of its four tasks: `cv_bench_depth: {use: cv_bench, task: Depth, ...}`.

The folder has `test_2d.parquet` (Count, Relation) and `test_3d.parquet` (Depth,
Distance), or the one `test.parquet` of its first release. The text is the column `prompt`, question and lettered
options; the answer is its letter. `group` is the source, ADE20K, COCO or Omni3D, over which the official score is
(2-D: mean of the first two; total: mean of 2-D and 3-D), where the paper's total is the mean of the four tasks. Counts
have a second grader, whether the option chosen is off by one (`close_call_rate`).

`batch: 5` is what the official script has.

Source: columns by the data set's card at the hub; batches of Yvonne511/spatial-vlm-investigator,
eval_paligemma_cvbench.py (`evaluate_cvbench`; its notebooks have 50).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _hub_files

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "Apache-2.0"
CITATION = "Tong et al., Cambrian-1: A Fully Open, Vision-Centric Exploration of Multimodal LLMs, arXiv:2406.16860"
REDISTRIBUTE = False
IN_ORDER = True
TASKS = ("Count", "Relation", "Depth", "Distance")
COLUMNS = ("idx", "task", "image", "question", "choices", "answer", "prompt", "source")
_ANSWER = re.compile(r"\(([A-F])\)")


class Options(declare.Options):
    path: str = Field("", description="folder of nyu-visionx/CV-Bench with its Parquet files")
    task: Literal["Count", "Relation", "Depth", "Distance"] = Field("Depth", description="task of the questions")
    batch: int = Field(1, ge=1, description="size of the batches; last items that do not fill one are left out")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide."""
    description = "CV-Bench, test_2d.parquet and test_3d.parquet"
    return {str(Path(params["path"]).expanduser()): description} if params["path"] else {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions: `image` uint8 (h, w, 3), `text`, `meta`.

    Raises:
        ParamsError: no path, or another task.
        DataError: an answer that is no letter of an option; names the row.
    """
    if params["task"] not in TASKS:
        raise ParamsError(f"cv_bench: task is {params['task']!r}; {suggest(params['task'], TASKS)}")
    if params["batch"] < 1:
        raise ParamsError(f"cv_bench: batch is {params['batch']}; expected 1 at least")
    full: list[Sample] = []
    for file in _hub_files.files(params["path"], "test*.parquet"):
        for row in _hub_files.rows(file, COLUMNS):
            if row["task"] != params["task"]:
                continue
            full.append(_sample(row, f"{file}, idx {row['idx']}", split, params))
            if len(full) == params["batch"]:
                yield from full
                full = []


def _sample(row: dict[str, Any], where: str, split: str, params: dict[str, Any]) -> Sample:
    letter, choices = _ANSWER.fullmatch(str(row["answer"]).strip()), list(row["choices"])
    if not letter or ord(letter[1]) - ord("A") >= len(choices):
        raise DataError(
            f"{where}: answer is {row['answer']!r}; expected a letter in brackets of {len(choices)} options"
        )
    meta = {
        "group": row["source"],
        "family": row["task"].lower(),
        "graders": ["choice"],
        "answer": letter[1],
        "choices": choices,
        "question": row["question"],
        "idx": row["idx"],
    }
    if row["task"] == "Count":
        meta["graders"] = ["choice", "close"]
    fields = {"image": _hub_files.picture(row["image"], where), "text": row["prompt"], "meta": meta}
    return Sample(f"{params['name']}/{split}/{int(row['idx']):06d}", fields)
