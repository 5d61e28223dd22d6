"""CV-Bench and SAT in small: Parquet files with the names and columns that the hub has."""

from pathlib import Path
from typing import Any

from makers.hub_miniature import parquet
from makers.small_files import Made, encoded, picture

DEPTH = (
    "Which object is closer to the camera taking this photo, the {} (highlighted by a red box) or the {} "
    "(highlighted by a blue box)?"
)
DISTANCE = (
    "Estimate the real-world distances between objects in this image. Which object is closer to the table (highlighted "
    "by a red box), the {} (highlighted by a blue box) or the {} (highlighted by a green box)?"
)
RELATION = "Considering the relative positions of the {} and the {} in the image provided, where is it?"


def question(task: str, number: int) -> tuple[str, list[str], str, str]:
    """Return question, choices, answer and source of the item of a number."""
    if task == "Count":
        counts = ["4", "3", "0", "7"][number % 2 :]
        return "How many lamps are in the image?", counts, "(B)", ("ADE20K", "COCO")[number % 2]
    things = ["bookcase", "lamp"][:: 1 - 2 * (number % 2)]
    answer = "(A)" if number % 3 else "(B)"
    if task == "Relation":
        return RELATION.format(*things), ["left", "right"], answer, ("ADE20K", "COCO")[number % 2]
    return (DEPTH if task == "Depth" else DISTANCE).format(*things), things, answer, "Omni3D"


def row(task: str, idx: int) -> dict[str, Any]:
    """Return a row as the hub has it."""
    asked, choices, answer, source = question(task, idx)
    listed = "\n".join(f"({chr(65 + at)}) {one}" for at, one in enumerate(choices))
    return {
        "idx": idx,
        "type": "2D" if task in ("Count", "Relation") else "3D",
        "task": task,
        "image": {"bytes": encoded(picture(idx)), "path": None},
        "question": asked,
        "choices": choices,
        "answer": answer,
        "prompt": f"{asked} Select from the following choices.\n{listed}",
        "filename": f"img/{idx}.png",
        "source": source,
        "source_dataset": source,
        "source_filename": f"{idx}.png",
    }


def cv_bench(root: Path) -> Made:
    """Seven items of each task, in the two files of the second release."""
    for name, tasks in (("2d", ("Count", "Relation")), ("3d", ("Depth", "Distance"))):
        rows = [
            row(task, 7 * (2 * (name == "3d") + at) + number) for at, task in enumerate(tasks) for number in range(7)
        ]
        parquet(root / f"test_{name}.parquet", rows)
    return {}, {"path": str(root)}


def sat(root: Path) -> Made:
    """Thirty rows of train, ten of val and of test; each fifth has two images."""
    for split, count in (("train", 30), ("val", 10), ("test", 10)):
        rows = [
            {
                "image_bytes": [
                    encoded(picture(1000 * len(split) + 2 * number + part), "JPEG")
                    for part in range(1 + (number % 5 == 4))
                ],
                "question": f"Which is closer to the camera, {number}?",
                "answers": ["a cup, blue", "a lamp"],
                "question_type": ("relative_depth", "object_movement")[number % 5 == 4],
                "correct_answer": ("a cup, blue", "a lamp")[number % 2],
            }
            for number in range(count)
        ]
        parquet(root / f"SAT_{split}.parquet", rows)
    return {}, {"path": str(root)}
