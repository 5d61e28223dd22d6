"""Stimuli and answers in the layout of rgeirhos/texture-vs-shape: names, folders and columns are the release's."""

import csv
from pathlib import Path

from makers.small_files import Made, picture

CONFLICTS = ("airplane1-bicycle2", "airplane10-airplane1", "cat7-elephant3", "oven2-cat1")
SINGLE = ("airplane1", "cat7", "oven2")
HEAD = ("subj", "session", "trial", "rt", "object_response", "category", "condition", "imagename")


def texture_vs_shape(tmp: Path) -> Made:
    """Four conflicts, one of them none, and three silhouettes."""
    for folder, names in (("style-transfer-preprocessed-512", CONFLICTS), ("filled-silhouettes", SINGLE)):
        for number, name in enumerate(names):
            category = name.split("-")[0].rstrip("0123456789")
            file = tmp / "clone/stimuli" / folder / category / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture(900 + 10 * len(names) + number, (16, 16)).convert("RGB").save(file)
    return {}, {"path": str(tmp / "clone"), "complete": False}


def answers(folder: Path, name: str, given: dict[str, str]) -> None:
    """Write a file of answers, stimulus -> answer, into a folder of `raw-data`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(HEAD)
        for at, (stimulus, answer) in enumerate(given.items()):
            category = stimulus.split("-")[0].rstrip("0123456789")
            shown = f"{at:04d}_s5n_dnn_0_{category}_00_{stimulus}.png"
            rows.writerow(("alexnet", 1, at + 1, "NaN", answer, category, 0, shown))
