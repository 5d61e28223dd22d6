"""Data sets of the hub in small, MMDT's and So-Fake's: Parquet files as the hub has them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from makers.small_files import Made, encoded, picture

ROWS = 30
ANSWERS = {"identification": "cat", "attribute": "red", "count": "{'cat': 2, 'dog': 1}", "spatial": "left"}


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


SO_FAKE = "0123456789abcdef0123456789abcdef01234567"
SYNTHETIC = (
    "image_{:05d}_A_tampered_sign_in_a_reddit_thread_seedream.png",
    "image_{:04d}_1743630583.jpg",
    "{:04d}_image3.png",
    "real_reddit_{:04d}_20250513_231642.png",
)
"""Names of synthetic pictures in the second revision of So-Fake-OOD: prompts, numbers, of GPT-4o `real_reddit`."""
SECOND_ORDER = ("real", "tampered", "full_synthetic")
"""Names of the integer labels in the second revision of So-Fake-OOD."""


def so_fake_rows(count: int, names: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Return rows of So-Fake's sets, a third of each class; labels are numbers where `names` gives their order."""
    rows = []
    for number in range(count):
        kind_name = ("real", "full_synthetic", "tampered")[number % 3]
        mask = np.zeros((48, 64), np.uint8)
        mask[8:30, 10:40] = 255
        coded = {"bytes": encoded(Image.fromarray(mask)), "path": None}
        named = {
            "real": f"reddit_{number:05d}.jpg",
            "full_synthetic": SYNTHETIC[number // 3 % len(SYNTHETIC)].format(number),
            "tampered": f"{number:05d}_openai_tampered.png",
        }
        rows.append(
            {
                "image": _image(number),
                "mask": coded if kind_name == "tampered" else None,
                "label": kind_name if names is None else names.index(kind_name),
                "generator": None if kind_name == "real" else ("flux", "imagen")[number // 3 % 2],
                "source": None,
                "filename": named[kind_name],
            }
        )
    return rows


def so_fake_files(
    root: Path, split: str, rows: list[dict[str, Any]], names: tuple[str, ...] | None = None, revision: str = SO_FAKE
) -> None:
    """Write a split as a download of the hub leaves it: Parquet with its features, and of which revision it is."""
    table = pa.Table.from_pylist(rows)
    if names is not None:
        feature = {"names": list(names), "_type": "ClassLabel"}
        info = json.dumps({"info": {"features": {"label": feature}}})
        table = table.replace_schema_metadata({"huggingface": info})
    file = f"data/{split}-00000-of-00001.parquet"
    (root / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, root / file, row_group_size=8)
    metadata_file = root / ".cache/huggingface/download" / f"{file}.metadata"
    metadata_file.parent.mkdir(parents=True, exist_ok=True)
    metadata_file.write_text(f"{revision}\nabc\n1.0\n")


def so_fake_set(root: Path) -> Made:
    """So-Fake-Set: labels are texts; train and validation."""
    for split, count in (("train", 60), ("validation", 24)):
        rows = so_fake_rows(100, None)
        so_fake_files(root, split, rows[:count] if split == "train" else rows[-count:])
    return {}, {"path": str(root), "revision": SO_FAKE, "side": 32}


def so_fake_ood(root: Path) -> Made:
    """So-Fake-OOD: labels are numbers, in the order of its second revision."""
    so_fake_files(root, "test", so_fake_rows(30, SECOND_ORDER), SECOND_ORDER)
    return {}, {"path": str(root), "revision": SO_FAKE, "side": 32}


def forged_fashion_mnist(tmp: Path) -> Made:
    """Quilts of OpenCV's digits, which are fewer and smaller than garments."""
    return {}, {"of": "opencv_digits", "square": [6, 10]}
