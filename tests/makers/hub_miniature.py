"""MMDT's two data sets in small: Parquet files as the hub has them, thirty rows of each split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from makers.small_files import Made, encoded, picture

ROWS = 30
ANSWERS = {
    "identification": "cat",
    "attribute": "red",
    "count": "{'cat': 2, 'dog': 1}",
    "spatial": "left",
}


def parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a file of rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def _image(seed: int) -> dict[str, Any]:
    return {"bytes": encoded(picture(seed)), "path": None}


def mmdt_i2t(root: Path) -> Made:
    """Images of one scenario, each asked of two tasks, in two files."""
    tasks = list(ANSWERS)
    for part in range(2):
        rows = [
            {
                "img_id": f"{part}-{number // 2}",
                "image": _image(100 * part + number // 2),
                "task": tasks[number % 4],
                "question": f"What is it, {number}?",
                "answer": ANSWERS[tasks[number % 4]],
            }
            for number in range(ROWS)
        ]
        parquet(root / "ood" / f"original-{part:05d}-of-00002.parquet", rows)
    return {}, {"path": str(root)}


def mmdt_i2t_adv(root: Path) -> Made:
    """Adversarial images of three tasks."""
    own: dict[str, dict[str, Any]] = {
        "object": {"origin_object": "cat"},
        "attribute": {"object": "car", "origin_attribute": "red"},
        "spatial": {"object_a": "cat", "object_b": "dog", "origin_relation": "above"},
    }
    for at, (task, fields) in enumerate(own.items()):
        rows = [
            {
                "id": number,
                "image": _image(200 * at + number),
                "label": "below",
                "surrogate_model": "clip",
                "algorithm": "pgd",
                **fields,
            }
            for number in range(ROWS)
        ]
        parquet(root / "adv" / f"{task}-00000-of-00001.parquet", rows)
    return {}, {"path": str(root)}


def mmdt_t2i(root: Path) -> Made:
    """Prompts of one style, the original one."""
    rows = [
        {
            "id": number,
            "task": "count",
            "meta_prompt": f"two cats and a dog, {number}",
            "objects": [{"object": "cat", "counts": "2"}, {"object": "dog", "counts": "1"}],
        }
        for number in range(ROWS)
    ]
    parquet(root / "ood/original-00000-of-00001.parquet", rows)
    return {}, {"path": str(root)}
