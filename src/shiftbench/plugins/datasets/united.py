"""Several datasets as one, their classes side by side: the tasks of one network with a head for each.

    datasets:
      tasks: {use: united, of: [mnist, fashion_mnist]}

Source: none. It is made from the shards of the others, split by split. Classes are listed in the order of `of`, and a
name may occur in one of them only (`transformed` has a `prefix`): so a network that was trained here is restricted to a
task's own classes when it is evaluated on that task's dataset. `meta` of a sample holds `group`, the dataset that it
comes from, and `head`, the range of that dataset's labels (`10:20`), which a network with several heads may know.
The samples of a smaller `each` are among those of a larger one. Licence and `redistribute` follow from the
parts: state them.
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

TASK = "classification"
NATIVE = _made.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE = "those of the datasets that it is made from"
CITATION = "those of the datasets that it is made from"
REDISTRIBUTE = False


class Options(declare.Options):
    of: list[str] = Field(["digits", "noise_images"], min_length=1, description="datasets that are joined")
    each: int = Field(0, ge=0, description="number of samples of each dataset and split; 0: all")
    licence: _made.Licence = ""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards of the same split of all parts."""
    return _made.needs(params, params["of"])


def classes(params: Mapping[str, Any], sources: Mapping[str, Path], inputs: Mapping[Ref, Path]) -> tuple[str, ...]:
    """The class names of all parts, one part after the other."""
    names = [name for part in _parts(params, inputs).values() for name in part]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParamsError(
            f"united: class {twice[0]!r} is in two of {', '.join(params['of'])}; "
            "give one of them a `prefix` (datasets/transformed.py)"
        )
    return tuple(names)


def _parts(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> dict[str, list[str]]:
    folders = _made.folders(inputs)
    return {name: shards.manifest(folders[name])["classes"] for name in params["of"]}


def samples(
    split: str, sources: Mapping[str, Path], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> Iterator[Sample]:
    """Yield one split of all parts, each sample with its key after the own name."""
    folders, first = _made.folders(inputs), 0
    for part, names in _parts(params, inputs).items():
        meta = {"group": part, "head": f"{first}:{first + len(names)}"}
        for sample in splits.subset(shards.read(folders[part]), params["each"] or None):
            assert isinstance(sample, Sample)  # noqa: S101 - shards hold no errors
            own = {**(sample.fields.get("meta") or {}), **meta}
            moved = sample.with_field("label", sample.fields["label"] + first)
            yield _made.renamed(moved.with_field("meta", own), params["name"])
        first += len(names)
