"""Published per-sample predictions as a model: `theirs: {use: predictions, path: theirs.csv}`.

A CSV or Parquet file with a column `key` and either logits (columns `logit_0` ... or one list column
`logits`) or a column `prediction` (class name or index). It answers for the samples in it and cannot be
evaluated on anything else: `REEVALUABLE` is False, and the report says so. From predictions alone
come logits of 1 for the class and 0 for the others: accuracy holds, confidence and OOD scores mean nothing.
Source: none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _foreign, _given

TASK = "classification"
REEVALUABLE = False


class Options(declare.Options):
    path: str = Field("", description="your CSV or Parquet file")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each sample's key."""
    file = _given.check(weights, params["path"])
    logits, rows = read(file, classes)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        missing = [sample.key for sample in samples if sample.key not in rows]
        if missing:
            raise ModelError(
                f"{file} has no row for {missing[0]!r} ({len(missing)} of {len(samples)} samples of the batch); "
                "published predictions can only be evaluated on the samples that they were made for"
            )
        return {"logits": logits[[rows[sample.key] for sample in samples]]}

    return predict


def read(file: Path, classes: Sequence[str]) -> tuple[np.ndarray[Any, Any], dict[str, int]]:
    """Logits float32 (rows, classes) and the row of each key.

    Raises:
        ModelError: as `load`.
    """
    with _foreign.reading(file, "predictions"):
        table = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file)
    if "key" not in table.columns:
        raise ModelError(f"{file} has no column `key`; it has {', '.join(table.columns)}")
    keys = table["key"].cast(pl.String).to_list()
    rows = {key: row for row, key in enumerate(keys)}
    if len(rows) < len(keys):
        twice = next(key for row, key in enumerate(keys) if rows[key] != row)
        raise ModelError(f"{file} has the key {twice!r} twice; expected one row per sample")
    return _logits(table, classes, file), rows


def _logits(table: pl.DataFrame, classes: Sequence[str], file: Path) -> np.ndarray[Any, Any]:
    spread = _in_order([name for name in table.columns if name.startswith("logit_")], file)
    if "prediction" in table.columns and not spread and "logits" not in table.columns:
        return np.eye(len(classes), dtype=np.float32)[_indices(table["prediction"], classes, file)]
    if not spread and "logits" not in table.columns:
        raise ModelError(f"{file} has neither logits nor `prediction`; it has {', '.join(table.columns)}")
    rows = table.select(spread).rows() if spread else table["logits"].to_list()
    logits = _foreign.numbers(rows, str(file))
    if logits.shape != (len(table), len(classes)):
        raise ModelError(f"{file} has logits of shape {logits.shape}, expected ({len(table)}, {len(classes)})")
    return logits


def _in_order(names: Sequence[str], file: Path) -> list[str]:
    numbers = {name: name.removeprefix("logit_") for name in names}
    wrong = [name for name, number in numbers.items() if not number.isdecimal()]
    if wrong:
        raise ModelError(f"{file} has a column {wrong[0]!r}; expected logit_0, logit_1, ...")
    return sorted(names, key=lambda name: int(numbers[name]))


def _indices(column: pl.Series, classes: Sequence[str], file: Path) -> list[int]:
    index = {name: place for place, name in enumerate(classes)}
    index |= {str(place): place for place in range(len(classes)) if str(place) not in index}
    names = [str(value) for value in column.to_list()]
    unknown = next((value for value in names if value not in index), None)
    if unknown is not None:
        raise ModelError(f"{file} predicts the class {unknown!r}; {suggest(unknown, classes)}")
    return [index[value] for value in names]
