"""MMDT's adversarial images with a question each, from the Parquet files of the hub: three tasks, which are groups.

The judge decides whether an answer is robust; `phrases` whether it is the attack's (of `attribute`, whether the second
answer, to the question about the target, is yes: `mmdt_results` writes it behind `SECOND`). `meta.surrogate` and
`meta.algorithm` are the network that an image was made against, and how.

Source: AI-secure/MMDT at 68be1c8, mmdt/perspectives/adv/generate_image_to_text.py and eval_image_to_text.py: config
`adv`, splits object, attribute and spatial.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _hub_files
from shiftbench.systems.mmdt.datasets import _hub
from shiftbench.systems.mmdt.metrics import _adversarial

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = _hub.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = _hub.LICENCE, _hub.CITATION
REDISTRIBUTE = False
IN_ORDER = True
SECOND = "Asked about the target:"
_COMMON = ("id", "image", "label", "surrogate_model", "algorithm")
COLUMNS = {
    "object": (*_COMMON, "origin_object"),
    "attribute": (*_COMMON, "object", "origin_attribute"),
    "spatial": (*_COMMON, "object_a", "object_b", "origin_relation"),
}


class Options(declare.Options):
    path: str = Field("", description="folder of AI-Secure/MMDecodingTrust-I2T")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must supply: path -> description."""
    about = f"MMDT's adversarial images, {{{','.join(_adversarial.TASKS)}}}-*.parquet"
    return {_hub.folder(params["path"], "adv"): about} if params["path"] else {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions about adversarial images: `image`, `text`, `meta`.

    Raises:
        ParamsError: no path.
        DataError: a file or column is missing.
    """
    for task in sorted(_adversarial.TASKS):
        for number, row in enumerate(_hub.rows(params["path"], "adv", task, COLUMNS[task])):
            origin, target = row[f"origin_{_WORD[task]}"], row["label"]
            meta = {
                "group": task,
                "task": task,
                "graders": ["judge", "phrases"],
                "phrases": [f"{SECOND} yes" if task == "attribute" else target],
                "answer": origin,
                "target": target,
                "id": str(row["id"]),
                "surrogate": row["surrogate_model"],
                "algorithm": row["algorithm"],
            }
            fields = {
                "image": _hub_files.picture(row["image"], f"{params['path']}, {task}, row {number}"),
                "text": _adversarial.QUESTIONS[task].format(**{**row, "word": origin}),
                "meta": meta,
            }
            yield Sample(f"{params['name']}/{split}/{task}/{number:06d}", fields)


_WORD = {"object": "object", "attribute": "attribute", "spatial": "relation"}
