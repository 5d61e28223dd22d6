"""Helpers of datasets that are made from the shards of others."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample

NATIVE = ("train", "val", "test")
Licence = Annotated[str, Field(description="licence of the result, which follows from its parts")]


def needs(params: Mapping[str, Any], datasets: Iterable[str]) -> list[Ref]:
    """The shards of the split that is made, of each dataset."""
    return [refs.shards(name, params.get("split", "train")) for name in datasets]


def folders(inputs: Mapping[Ref, Path]) -> dict[str, Path]:
    """The folder of the shards of each dataset, by its name."""
    return {ref.parts[0]: path.parent for ref, path in inputs.items() if ref.kind == "shards"}


def renamed(sample: Sample, name: str) -> Sample:
    """A sample under its key after a dataset's name: `other/mnist/test/000123`."""
    return replace(sample, key=f"{name}/{sample.key}")
