"""Samples that both models of a pair get right, and each one's accuracy on them under a shift: ImageNet-CL.

    both_correct   1 where the standard and the robust model of a pair are right on the clean sample, else 0; under the
                   robust one's name
    cl_accuracy    of the samples with both right: 1 where a model is right under a shift, else 0

Pairs are an arm `standard` and an arm `robust`, of the same dataset and seed; a sample that one of them gets wrong is
in no list of that pair, and lists of two pairs differ. Shifts are written `patch_shuffle/5`, domain shifts
`stylised/0`; keys are compared without the dataset's name, since a domain has its own. With
`path`, a file of the release (`intersection_alexnet_alexnet-r.npy`: file names of pictures), the samples are those
whose keys end with one of its names, whatever was predicted here. `keys` gives a list from two Parquet files.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373 (ImageNet-CL), https://github.com/anguyen8/shape-bias, `data/`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import _units

CLEAN = "identity/0"


class Options(declare.Options):
    standard: str = Field("", description="standard model of each pair, MODEL-TRAINER")
    robust: str = Field("", description="robust model of each pair, MODEL-TRAINER")
    shifts: list[str] = Field([], description="tested shifts, SHIFT/SEVERITY; of a domain shift the severity is 0")
    path: str = Field("", description="file of the release with names of pictures; empty: those that both have right")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records of both models of each pair, on the clean set and under all shifts.

    Raises:
        ParamsError: no pair is named, or none of the benchmark's weights are of it.
    """
    return [
        _records(name, shift, params)
        for pair in _pairs(params)
        for name in pair
        for shift in (CLEAN, *params["shifts"])
    ]


def _pairs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [
        (_units.partner(name, params["standard"]), name)
        for name in params["checkpoints"]
        if params["standard"] and _units.arm(name) == params["robust"]
    ]
    if not pairs:
        raise ParamsError(
            f"common_correct: standard is {params['standard']!r} and robust {params['robust']!r}; expected two arms of "
            "the benchmark, as convnet-erm"
        )
    return pairs


def _records(weights: str, shift: str, params: Mapping[str, Any]) -> Ref:
    name, _, severity = shift.partition("/")
    stream = f"{params['dataset']}/{params['split']}/{name}"
    return refs.records(Ref("checkpoints", weights), "plain", stream, severity)


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield which samples both get right, and what becomes of them."""
    params = job.params
    columns = {"dataset": params["dataset"], "split": params["split"]}
    for pair in _pairs(params):
        tables = [job.records(_records(name, CLEAN, params)) for name in pair]
        common = keys(*tables)
        for key in _right(tables[0]):
            yield Observation("both_correct", key, float(key in common), pair[1], **columns)
        counted = _listed(tables[0], params["path"]) if params["path"] else common
        for name in pair:
            for shift in params["shifts"]:
                kind, _, severity = shift.partition("/")
                condition = {**columns, "shift": kind, "severity": float(severity) or None}
                for key, correct in _right(job.records(_records(name, shift, params))).items():
                    if key in counted:
                        yield Observation("cl_accuracy", key, float(correct), name, **condition)


def _right(table: pa.Table) -> dict[str, bool]:
    rows = zip(table.column("key").to_pylist(), table.column("correct").to_pylist(), strict=True)
    return {key.partition("/")[2]: bool(correct) for key, correct in rows}


def keys(standard: pa.Table, robust: pa.Table) -> set[str]:
    """The samples that two models get right, of their records: keys without the dataset's name.

    Raises:
        DataError: the records are of other samples.
    """
    standard_right, robust_right = _right(standard), _right(robust)
    if set(standard_right) != set(robust_right):
        raise DataError(
            f"records of {len(standard_right)} and of {len(robust_right)} samples; "
            "a pair is compared on one list of samples"
        )
    return {key for key, correct in standard_right.items() if correct and robust_right[key]}


def _listed(table: pa.Table, released: str) -> set[str]:
    names = {Path(name).stem for name in names_of(Path(released).expanduser())}
    listed = {key for key in _right(table) if key.rpartition("/")[2] in names}
    if len(listed) != len(names):
        raise DataError(
            f"{released} lists {len(names)} pictures, of which {len(listed)} are in the tested split; bring all of "
            "ImageNet's validation pictures under their own names"
        )
    return listed


def names_of(file: Path) -> list[str]:
    """The file names of a released list, a NumPy array of texts.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    try:
        listed = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no readable list of ImageNet-CL: {error}") from None
    if listed.ndim != 1 or listed.dtype.kind != "U":
        raise DataError(f"{file} holds {listed.dtype} of shape {listed.shape}; expected file names")
    return [str(name) for name in listed]
