"""Images collected for labels, retrieved (`web`) and generated ones (`synth`), marked in `meta`.

    datasets:
      collected: {use: collected, of: known}        # made: a stand-in
      yours: {use: collected, folder: /data/lapt/id}  # with web/LABEL/UID.jpg and synth/LABEL/UID.jpg

Made from another dataset, each of its images stands for a retrieved one, and a copy for a generated one: each pixel
is (1 - `blend`) of its own and `blend` of a grey level drawn evenly, in whole 256ths. In your own folder either of
`web` and `synth` may be missing; a label is a folder's name, as the dataset that is tested has it (`classes:
imagenet` has the names and the order of a dataset of ours), and a tenth of the images, by the hash of their keys, is
val.

Source: Zhang et al., LAPT, ECCV 2024 (arXiv:2407.08966), section 3.1 (SDXL with the bare label as prompt, and LAION
images nearest to it; the authors' own images were not released). The noisy copies are ours.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _made
from shiftbench.plugins.datasets._pictures import class_samples, list_classes

TASK = "classification"
NATIVE = _made.NATIVE
SOURCES: tuple[str, ...] = ()
LICENCE = "that of the dataset that it is made from, or the terms of the user's own images"
CITATION = "that of the dataset that it is made from"
REDISTRIBUTE = False
KINDS = ("synth", "web")
VAL = 0.1


class Options(declare.Options):
    of: str = Field("digits", description="data set that images are made from")
    blend: float = Field(0.4, ge=0, le=1, description="share of noise in a generated image")
    folder: str = Field(
        "", description="your own images, instead of made ones: web/LABEL/UID.jpg and synth/LABEL/UID.jpg"
    )
    classes: str = Field("", description="data set with the names and order of your labels; empty: the sorted folders")
    licence: fields.Licence = ""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards of the same split of the other dataset; nothing for folders of yours."""
    return [] if params["folder"] else _made.needs(params, [params["of"]])


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The dataset whose classes the labels are."""
    return [("datasets", params["classes"])] if params["classes"] else []


def wants(split: str, params: Mapping[str, Any]) -> dict[str, str]:
    """The user's folder."""
    return {params["folder"]: "web/LABEL/UID.jpg and synth/LABEL/UID.jpg"} if params["folder"] else {}


def classes(
    params: Mapping[str, Any], sources: Mapping[str, Path], inputs: Mapping[Ref, Path] | None = None
) -> tuple[str, ...]:
    """The other dataset's class names, or the labels that have a folder, sorted."""
    if params["classes"]:
        dataset = registry.find("datasets", params["classes"])
        return tuple(
            dataset.CLASSES if hasattr(dataset, "CLASSES") else dataset.classes(registry.defaults(dataset), {})
        )
    if params["folder"]:
        return tuple(sorted({name for folder in _folders(params).values() for name in list_classes(folder)}))
    return tuple(shards.manifest(_made.folders(inputs or {})[params["of"]])["classes"])


def samples(
    split: str, sources: Mapping[str, Path], params: Mapping[str, Any], inputs: Mapping[Ref, Path] | None = None
) -> Iterator[Sample | DataError]:
    """Yield one split, `meta.source` `web` or `synth`.

    Raises:
        ParamsError: `blend` is outside 0 to 1.
        DataError: your folder holds neither `web` nor `synth`.
    """
    if not 0 <= params["blend"] <= 1:
        raise ParamsError(f"collected: blend is {params['blend']}; expected 0 to 1")
    if params["folder"]:
        yield from _yours(split, params)
        return
    for sample in shards.read(_made.folders(inputs or {})[params["of"]]):
        yield _with_source(_made.renamed(sample, f"{params['name']}/web"), "web")
        noisy = _made.renamed(sample, f"{params['name']}/synth")
        yield _with_source(noisy.with_field("image", _blend(noisy, params["blend"])), "synth")


def _blend(sample: Sample, blend: float) -> np.ndarray[Any, Any]:
    image = sample.fields["image"]
    share = np.uint16(round(256 * blend))
    grey = RandomStream(0, "collected", "noise", sample.key).words16(image.size) >> 8
    total = (256 - share) * image.astype(np.uint16) + share * grey.reshape(image.shape)
    pixels: np.ndarray[Any, Any] = (total >> 8).astype(np.uint8)
    return pixels


def _with_source(sample: Sample, source: str) -> Sample:
    return sample.with_field("meta", {**(sample.fields.get("meta") or {}), "source": source})


def _folders(params: Mapping[str, Any]) -> dict[str, Path]:
    root = Path(params["folder"]).expanduser()
    folders = {kind: root / kind for kind in KINDS if (root / kind).is_dir()}
    if not folders:
        raise DataError(f"{root} holds neither `web` nor `synth`; expected one of them, with a folder for each label")
    return folders


def _yours(split: str, params: Mapping[str, Any]) -> Iterator[Sample | DataError]:
    labels = {name: label for label, name in enumerate(classes(params, {}))}
    for kind, folder in _folders(params).items():
        for sample in class_samples(f"{params['name']}/{kind}", folder, labels):
            if isinstance(sample, DataError):
                yield sample
            elif (splits.unit("val", sample.key) < VAL) == (split == "val") and split != "test":
                yield _with_source(sample, kind)
