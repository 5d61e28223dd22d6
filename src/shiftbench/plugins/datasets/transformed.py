"""Another dataset, each image turned, flipped or inverted: a related task over the same objects.

    datasets:
      mnist_rotated: {use: transformed, of: mnist, turn: 1, invert: true, prefix: "turned "}

Source: none of its own; permuted MNIST is the best known of its kind (Goodfellow et al. 2013, arXiv:1312.6211,
section 4.3). It is made from the shards of `of`, split by split, so `of` says how much there is; masks are turned and
flipped, too. With `prefix`, one network can distinguish both tasks. Its licence, and whether it may be passed on,
follow from `of`: state them (`licence`, `redistribute`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _made

TASK = "classification"
NATIVE = _made.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE = "that of the dataset that it is made from"
CITATION = "that of the dataset that it is made from"
REDISTRIBUTE = False
FLIPS = {"none": None, "left_right": 1, "up_down": 0}


class Options(declare.Options):
    of: str = Field("digits", description="dataset that is changed")
    turn: int = Field(1, description="quarter turns to the left; 0: none")
    flip: Literal["none", "left_right", "up_down"] = Field("none", description="direction in which images are mirrored")
    invert: bool = Field(False, description="replace each grey level by 255 minus it")
    prefix: str = Field("", description="text before each class name")
    licence: _made.Licence = ""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards of the same split of the other dataset."""
    return _made.needs(params, [params["of"]])


def classes(params: Mapping[str, Any], sources: Mapping[str, Path], inputs: Mapping[Ref, Path]) -> tuple[str, ...]:
    """The other dataset's class names, each after `prefix`."""
    about = shards.manifest(_made.folders(inputs)[params["of"]])
    return tuple(f"{params['prefix']}{name}" for name in about["classes"])


def samples(
    split: str, sources: Mapping[str, Path], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> Iterator[Sample]:
    """Yield one split, each sample with the other's key after the own name."""
    if params["flip"] not in FLIPS:
        raise ParamsError(f"transformed: flip is {params['flip']!r}; {suggest(params['flip'], FLIPS)}")
    for sample in shards.read(_made.folders(inputs)[params["of"]]):
        yield _made.renamed(_changed(sample, params), params["name"])


def _changed(sample: Sample, params: Mapping[str, Any]) -> Sample:
    for name in ("image", "mask"):
        if name in sample.fields:
            value = np.rot90(sample.fields[name], params["turn"])
            axis = FLIPS[params["flip"]]
            value = value if axis is None else np.flip(value, axis)
            value = 255 - value if params["invert"] and name == "image" else value
            sample = sample.with_field(name, np.ascontiguousarray(value))
    return sample
