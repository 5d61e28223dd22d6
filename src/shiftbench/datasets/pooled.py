"""Several domains of one task as one dataset: images with boxes of the same classes, for training on many sources.

    datasets:
      not_a: {use: pooled, of: [zone_b, zone_c]}

Source: none. It is made from the shards of the others, split by split; all have the same classes (`united` is for
classes that differ). `meta` of a sample holds `domain`, the dataset that it comes from; groups and clusters stay.
`each` keeps so many samples per dataset of the train split: two sources with half as many each are as much as one.
Licence and `redistribute` follow from the parts: state them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench.data import shards, splits
from shiftbench.datasets import _made
from shiftbench.errors import ParamsError
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "detection"
NATIVE = _made.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE = "those of the datasets that it is made from"
CITATION = "those of the datasets that it is made from"
REDISTRIBUTE = False
PARAMS: dict[str, object] = {"of": ["zone_scenes"], "each": 0, "licence": ""}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the shards of the same split of all parts."""
    return _made.needs(params, params["of"])


def classes(
    params: Mapping[str, Any], sources: Mapping[str, Path], inputs: Mapping[Ref, Path]
) -> tuple[str, ...]:
    """Return the classes, which all parts have.

    Raises:
        ParamsError: two parts have other classes.
    """
    found = {
        name: shards.manifest(folder)["classes"] for name, folder in _made.folders(inputs).items()
    }
    first = params["of"][0]
    for name, own in found.items():
        if own != found[first]:
            raise ParamsError(
                f"pooled: {name} has other classes than {first}; `united` is for those that differ"
            )
    return tuple(found[first])


def samples(
    split: str, sources: Mapping[str, Path], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> Iterator[Sample]:
    """Yield one split of all parts, each sample with its key after the own name."""
    folders, each = _made.folders(inputs), params["each"] if split == "train" else 0
    for part in params["of"]:
        for sample in splits.subset(shards.read(folders[part]), each or None):
            assert isinstance(sample, Sample)  # noqa: S101 - shards hold no errors
            meta = {**(sample.fields.get("meta") or {}), "domain": part}
            yield _made.renamed(sample.with_field("meta", meta), params["name"])
