"""Published answers to So-Fake's images: `theirs: {use: forgery_predictions, path: theirs}`, with trainer `given`.

Rows of a file are found by the
column `key`, the keys of samples, or else by `filename`, the file names on the hub. An image's class is told by one of

- `logits`: a list of numbers, in the order of the classes;
- `prediction`: the name of a class, real, full_synthetic or tampered (logits of 1 and 0: no area under the ROC curve);
- `answer`: a text in So-Fake-R1's format (`_answers.py`); one that does not parse stops the evaluation, since it is no
  class, and what its author counts it as is to be stated as a `prediction`.

A mask is told by the column `mask`, a picture (its bytes, or a struct with `bytes`) that is white where tampered, of
any size; else by the box of an `answer`, in pixels of the samples; an image without either has none.

Nothing but the index and one row group of masks is in memory. It answers for these images alone (`REEVALUABLE`).

Source: none; a layout of ours, since neither weights nor predictions of So-Fake-R1 (arXiv:2505.18660) are released.
"""

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _pictures
from shiftbench.plugins.models import _boxes, _foreign, _given, _images, _published
from shiftbench.systems.so_fake.models import _answers

TASK = "forgery"
REEVALUABLE = False
TOLD = ("logits", "prediction", "answer")
KEPT = 2
"""Row groups of masks in memory."""


class Options(declare.Options):
    path: str = Field("", description="folder with a Parquet file for each data set, `DATASET.parquet`")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State that identifies the folder in a file of weights.

    Raises:
        ParamsError: no path is given.
        ModelError: the folder is not there.
    """
    return _given.folder_state(_published.folder(params, "forgery_predictions"))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each image.

    Raises:
        ModelError: the files are others, one is missing or of another layout, or has no row for an image.
    """
    folder = _published.folder(params, "forgery_predictions")
    _given.check_folder(weights, folder)

    @functools.lru_cache(maxsize=1)  # one data set after the other: only one is held
    def of(dataset: str) -> Published:
        return Published(folder / f"{dataset}.parquet", classes)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        published = [of(sample.key.partition("/")[0]).prediction(sample) for sample in samples]
        outputs = {"logits": np.stack([logits for logits, _ in published])}
        if any(mask is not None for _, mask in published):
            outputs["masks"] = _boxes.ragged(
                [_or_none(mask, image_sample) for (_, mask), image_sample in zip(published, samples, strict=True)]
            )
        return outputs

    return predict


def _or_none(mask: NDArray[np.bool_] | None, sample: Sample) -> NDArray[np.bool_]:
    return np.zeros(sample.fields["image"].shape[:2], bool) if mask is None else mask


class Published:
    """The answers of one file.

    Args:
        file: Parquet.
        classes: names, in the order of the logits.
    """

    def __init__(self, file: Path, classes: Sequence[str]) -> None:
        if not file.is_file():
            raise ModelError(
                f"{file} is not there; published predictions answer for the images that they were made for alone"
            )
        with _foreign.reading(file, "predictions"):
            self._opened = pq.ParquetFile(file)
        self.file, self.classes = file, list(classes)
        available = self._opened.schema_arrow.names
        key_columns = [name for name in ("key", "filename") if name in available]
        value_columns = [name for name in TOLD if name in available]
        if not key_columns or not value_columns:
            raise ModelError(
                f"{file} has the columns {', '.join(available)}; expected key or filename, and one of {', '.join(TOLD)}"
            )
        self._by, self._kind, self._masked = key_columns[0], value_columns[0], "mask" in available
        table = self._opened.read(columns=[self._by, self._kind])
        self._rows = {str(name): row for row, name in enumerate(table[self._by].to_pylist())}
        if len(self._rows) < len(table):
            raise ModelError(f"{file} has a {self._by} twice; expected one row for each image")
        self._values = table[self._kind]
        sizes = [self._opened.metadata.row_group(group).num_rows for group in range(self._opened.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self._masks = functools.lru_cache(maxsize=KEPT)(self._group)

    def prediction(self, sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Logits (C,) and mask (h, w) of an image, None where it has none."""
        name = sample.key if self._by == "key" else sample.fields["meta"].get("filename")
        if str(name) not in self._rows:
            raise ModelError(f"{self.file} has no row for {self._by} {name!r}")
        row = self._rows[str(name)]
        value = self._values[row].as_py()
        shape = sample.fields["image"].shape[:2]
        if self._kind == "answer":
            answer = _answers.parse(str(value))
            if answer is None:
                raise ModelError(
                    f"{self.file}: the answer to {name!r} is not in the format; state the class that it counts as in a "
                    "column `prediction`"
                )
            label = self._class(_answers.LABELS[answer.label].lower(), name)
            logits = np.eye(len(self.classes), dtype=np.float32)[label]
            if answer.box and not self._masked:
                return logits, _mask_of_box(answer.box, shape)
            return logits, self._mask(row, shape)
        if self._kind == "prediction":
            logits = np.eye(len(self.classes), dtype=np.float32)[self._class(str(value), name)]
        else:
            logits = np.asarray(value, dtype=np.float32)
        return logits, self._mask(row, shape)

    def _class(self, value: str, name: object) -> int:
        if value not in self.classes:
            raise ModelError(f"{self.file}: {name!r} is called {value!r}; {suggest(value, self.classes)}")
        return self.classes.index(value)

    def _group(self, group: int) -> list[Any]:
        read: list[Any] = self._opened.read_row_group(group, columns=["mask"])["mask"].to_pylist()
        return read

    def _mask(self, row: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        if not self._masked:
            return None
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        value = self._masks(group)[row - int(self._starts[group])]
        data = value.get("bytes") if isinstance(value, dict) else value
        if not data:
            return None
        pixels = _pictures.read_array(io.BytesIO(data), f"{self.file}, row {row}, mask")
        grey = _images.to_grey(_images.to_colour(pixels))
        return _images.resize(grey, *shape, "nearest") >= 128


def _mask_of_box(box: _answers.Box, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask of a box: the pixels whose middles lie in it."""
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
    inside: NDArray[np.bool_] = ((y >= box[1]) & (y <= box[3]))[:, None] & ((x >= box[0]) & (x <= box[2]))
    return inside
