"""Several domains of one task as one dataset: images with boxes of the same classes, for training on many sources.

    datasets:
      not_a: {use: pooled, of: [zone_b, zone_c]}

Source: none. It is made from the shards of the others, split by split; all have the same classes (`united` is for
classes that differ). `meta` of a sample holds `domain`, the dataset that it comes from; groups and clusters stay.
With `as_many_as` the train split has as many samples in all as the smallest of the named datasets, equally many of each
part (its remainder is left out), so that sources of any size can be compared.
Licence and `redistribute` follow from the parts: state them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _made

TASK = "detection"
NATIVE = _made.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE = "those of the datasets that it is made from"
CITATION = "those of the datasets that it is made from"
REDISTRIBUTE = False
IN_ORDER = True


class Options(declare.Options):
    of: list[str] = Field(["zone_scenes"], min_length=1, description="datasets that are joined")
    each: int = Field(0, ge=0, description="number of training samples of each dataset; 0: all")
    as_many_as: list[str] = Field(
        [], description="datasets; the smallest gives the number of training samples; []: `each` does"
    )
    licence: _made.Licence = ""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards of the same split of all parts, and for training of those that it shall be as many as."""
    if params["each"] and params["as_many_as"]:
        raise ParamsError("pooled: each and as_many_as say the same; give one of them")
    counted = params["as_many_as"] if params.get("split", "train") == "train" else []
    return _made.needs(params, dict.fromkeys([*params["of"], *counted]))


def classes(params: Mapping[str, Any], sources: Mapping[str, Path], inputs: Mapping[Ref, Path]) -> tuple[str, ...]:
    """The classes, which all parts have."""
    folders = _made.folders(inputs)
    by_part = {name: shards.manifest(folders[name])["classes"] for name in params["of"]}
    first = params["of"][0]
    for name, own in by_part.items():
        if own != by_part[first]:
            raise ParamsError(f"pooled: {name} has other classes than {first}; `united` is for those that differ")
    return tuple(by_part[first])


def samples(
    split: str, sources: Mapping[str, Path], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> Iterator[Sample]:
    """Yield one split of all parts, each sample with its key after the own name."""
    folders = _made.folders(inputs)
    each = _each(params, folders) if split == "train" else 0
    for part in sorted(params["of"], key="{}/".format):
        for sample in shards.read(folders[part], keys=_chosen(folders[part], each)):
            meta = {**(sample.fields.get("meta") or {}), "domain": part}
            yield _made.renamed(sample.with_field("meta", meta), params["name"])


def _each(params: Mapping[str, Any], folders: Mapping[str, Path]) -> int:
    """Number of training samples that each part keeps; 0: all."""
    if not params["as_many_as"]:
        return int(params["each"])
    fewest = min(int(shards.manifest(folders[name])["samples"]) for name in params["as_many_as"])
    if fewest < len(params["of"]):
        raise ParamsError(
            f"pooled: the smallest of {', '.join(params['as_many_as'])} has {fewest} training samples, which "
            f"{len(params['of'])} parts cannot share"
        )
    return fewest // len(params["of"])


def _chosen(folder: Path, each: int) -> set[str] | None:
    """The keys that are kept, a nested part by their hash (`splits.subset`); None: all."""
    if not each:
        return None
    keys = (entry.key for entry in shards.index(folder))
    return set(sorted(keys, key=lambda key: splits.unit("subset", key))[:each])
