"""MMDT's OOD images with a question each, from the Parquet files of the hub: one scenario.

`group` is the task; questions about one image share a `cluster`. `meta.row` is the place of the question among those
of its task, by which stored answers are found (`models/mmdt_results.py`).

Source: AI-secure/MMDT at 68be1c8, mmdt/perspectives/ood/generate_image_to_text.py: config `ood`, columns img_id,
image, task, question, answer.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _hub_files
from shiftbench.systems.mmdt.datasets import _hub
from shiftbench.systems.mmdt.metrics import _answers, _ood

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = _hub.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = _hub.LICENCE, _hub.CITATION
REDISTRIBUTE = False
IN_ORDER = True
SCENARIOS = (_ood.ORIGINAL, *_ood.STYLES, *_ood.CORRUPTIONS)
COLUMNS = ("img_id", "image", "task", "question", "answer")


class Options(declare.Options):
    path: str = Field("", description="folder of AI-Secure/MMDecodingTrust-I2T")
    scenario: Literal[
        "original", "Van_Gogh", "oil_painting", "watercolour_painting", "zoom_blur", "gaussian_noise", "pixelate"
    ] = Field("original", description="style or corruption of the images; original: none")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must supply: path -> description."""
    about = f"MMDT's images, {params['scenario']}-*.parquet among them"
    return {_hub.folder(params["path"], "ood"): about} if params["path"] else {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions: `image` uint8 (h, w, 3), `text`, the question with what is asked behind it, and `meta`.

    Raises:
        ParamsError: no path, or another scenario.
        DataError: a task that is unknown, or a count whose answer is no dictionary; names the row.
    """
    scenario, counts = params["scenario"], Counter[str]()
    if scenario not in SCENARIOS:
        raise ParamsError(f"mmdt_i2t: scenario is {scenario!r}; {suggest(scenario, SCENARIOS)}")
    for number, row in enumerate(_hub.rows(params["path"], "ood", scenario, COLUMNS)):
        place, task = f"{params['path']}, {scenario}, row {number}", row["task"]
        if task not in _ood.SUFFIXES:
            raise DataError(f"{place}: task is {task!r}; {suggest(task, _ood.SUFFIXES)}")
        if task == "count":
            _answers.true_counts(row["answer"])
        meta = {
            "group": task,
            "task": task,
            "cluster": str(row["img_id"]),
            "graders": ["judge"],
            "answer": row["answer"],
            "question": row["question"],
            "scenario": scenario,
            "img_id": str(row["img_id"]),
            "row": counts[task],
        }
        counts[task] += 1
        fields = {
            "image": _hub_files.picture(row["image"], place),
            "text": row["question"] + _ood.SUFFIXES[task],
            "meta": meta,
        }
        yield Sample(f"{params['name']}/{split}/{number:06d}", fields)
