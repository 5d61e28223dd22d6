"""Shape bias of released answers to the 1,280 stimuli: people and models of Geirhos et al. 2019, from their CSV files.

`released_shape_bias`, of each answer that names the shape or the texture of a stimulus whose two differ: 1 where it is
the shape. The mean is the shape bias, the number of answers that name either stands beside it. Rows have the weights
`texture-vs-shape/OBSERVER-released-s0`, OBSERVER as in the file's name (`alexnet`, `subject_01`), with `_pytorch` from
folders of trained CNNs (the other models ran in Caffe), and the dataset and split of the benchmark.

A file of https://github.com/rgeirhos/texture-vs-shape is called
`..._OBSERVER_session_1.csv` or `..._OBSERVER_session-1.csv` with `object_response`, `category` and `imagename`, whose
end is the stimulus (`..._airplane1-bicycle2.png`).

Source: Geirhos et al. 2019, arXiv:1811.12231, and the README of the repository (AlexNet of torchvision 25.3 %, VGG-16
9.2 %).
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

_FILE = re.compile(r".*-experiment_(?P<observer>.+)_session[_-]\d+")
_STIMULUS = re.compile(r".*?(?P<shape>[a-z]+)\d+-(?P<texture>[a-z]+)\d+\.png")
COLUMNS = ("object_response", "category", "imagename")


class Options(declare.Options):
    path: str = Field("", description="a clone of rgeirhos/texture-vs-shape")
    folders: list[str] = Field(
        ["style-transfer-512-nomask-experiment", "style-transfer-512-nomask-experiment-trained-CNNs"],
        description="folders of its `raw-data` that are read",
    )


class Answer(NamedTuple):
    """Answer to a stimulus, and the cues of the stimulus."""

    stimulus: str
    answer: str
    shape: str
    texture: str


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: files of the user are read."""
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield of each file and answer that names a cue whether it is the shape.

    Raises:
        ParamsError: no path.
        DataError: no file, or one of another form.
    """
    if not job.params["path"]:
        raise ParamsError("released_decisions: option path is missing; give a clone of rgeirhos/texture-vs-shape")
    root = Path(job.params["path"]).expanduser() / "raw-data"
    columns = {"dataset": job.params["dataset"], "split": job.params["split"]}
    for folder in job.params["folders"]:
        files = sorted((root / folder).glob("*.csv"))
        if not files:
            raise DataError(f"{root / folder} holds no CSV file; clone the repository again")
        for file in files:
            weights = f"texture-vs-shape/{observer(file)}-released-s0"
            for answer in cue_answers(answers(file)):
                value = float(answer.answer == answer.shape)
                yield Observation("released_shape_bias", answer.stimulus, value, weights, **columns)


def observer(file: Path) -> str:
    """Observer in a file's name, as a part of a checkpoint's name.

    Raises:
        DataError: the name is another.
    """
    match = _FILE.fullmatch(file.stem)
    if match is None:
        raise DataError(f"{file.name}: expected a name that ends with _OBSERVER_session_1.csv")
    name = re.sub(r"[^a-z0-9_.]", "_", match["observer"].lower())
    return f"{name}_pytorch" if file.parent.name.endswith("-trained-CNNs") else name


def answers(file: Path) -> list[Answer]:
    """The answers of a file.

    Raises:
        DataError: a column is missing, or a stimulus has another name.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{file} has no column {missing[0]}; it has {reader.fieldnames}")
        return [_answer(row, f"{file} line {reader.line_num}") for row in reader]


def _answer(row: Mapping[str, str], where: str) -> Answer:
    match = _STIMULUS.fullmatch(row["imagename"].rpartition("_")[2])
    if match is None or match["shape"] != row["category"]:
        raise DataError(
            f"{where}: the stimulus {row['imagename']!r} of category {row['category']!r}; expected a name that ends as "
            "_cat7-elephant3.png"
        )
    stimulus = row["imagename"].rpartition("_")[2].removesuffix(".png")
    return Answer(stimulus, row["object_response"], match["shape"], match["texture"])


def cue_answers(all_answers: list[Answer]) -> list[Answer]:
    """The answers that name one of two different cues."""
    return [
        answer
        for answer in all_answers
        if answer.shape != answer.texture and answer.answer in (answer.shape, answer.texture)
    ]
