"""MMDT's OOD prompts for pictures, from the Parquet files of the hub: one style.

`group` is the task; `meta.prompt` is the original prompt of the same id, against which helpfulness is scored.

Source: AI-secure/MMDT at 68be1c8, mmdt/perspectives/ood/generate_text_to_image.py and eval_text_to_image.py: config
`ood`, columns id, task, meta_prompt, objects.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.mmdt.datasets import _hub
from shiftbench.systems.mmdt.metrics import _ood

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = _hub.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = _hub.LICENCE, _hub.CITATION
REDISTRIBUTE = False
IN_ORDER = True
STYLES = (_ood.ORIGINAL, *_ood.T2I_STYLES)
COLUMNS = ("id", "task", "meta_prompt", "objects")


class Options(declare.Options):
    path: str = Field("", description="folder of AI-Secure/MMDecodingTrust-T2I")
    style: Literal["original", "Shake_", "Paraphrase_"] = Field("original", description="style of the prompts")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must supply: path -> description."""
    about = f"MMDT's prompts, original-*.parquet and {params['style']}-*.parquet among them"
    return {_hub.folder(params["path"], "ood"): about} if params["path"] else {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield prompts: `text`, `meta`.

    Raises:
        ParamsError: no path, or another style.
        DataError: a task that is unknown, or an id that has no original prompt; names the row.
    """
    style, path = params["style"], params["path"]
    if style not in STYLES:
        raise ParamsError(f"mmdt_t2i: style is {style!r}; {suggest(style, STYLES)}")
    originals = {(row["task"], row["id"]): row["meta_prompt"] for row in _hub.rows(path, "ood", _ood.ORIGINAL, COLUMNS)}
    for number, row in enumerate(_hub.rows(path, "ood", style, COLUMNS)):
        place, task = f"{path}, {style}, row {number}", row["task"]
        if task not in _ood.T2I_TASKS:
            raise DataError(f"{place}: task is {task!r}; {suggest(task, _ood.T2I_TASKS)}")
        if (task, row["id"]) not in originals:
            raise DataError(f"{place}: the id {row['id']!r} has no original prompt")
        meta = {
            "group": task,
            "task": task,
            "graders": ["judge"],
            "prompt": originals[task, row["id"]],
            "objects": [
                {key: value for key, value in one.items() if value is not None} for one in row["objects"] or ()
            ],
            "style": style,
            "id": str(row["id"]),
        }
        yield Sample(f"{params['name']}/{split}/{number:06d}", {"text": row["meta_prompt"], "meta": meta})
