"""A hundred classes of ImageNet that no ID class is related to, or a hundred that ImageNet-1k lacks; from your copies.

    datasets:
      familiar: {use: imagenet_concepts, root: /data/imagenet/val}
      unseen: {use: imagenet_concepts, part: unseen, root: /data/imagenet21k}

The validation set of ImageNet-1k and ImageNet-21k (winter 2021) are unpacked like `root`; folders of other synsets are
not read. `_concepts` says how the parts were chosen. ImageNet's validation set has 50 images of each synset, so that
both sides are of one size. Labels count the synsets of the part.

Source: Russakovsky et al. 2015, doi:10.1007/s11263-015-0816-y; Ridnik et al. 2021, arXiv:2104.10972; the choice of
classes is ours, since the lists of PT-OOD (2023, arXiv:2310.00847) were never released.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import SUFFIXES, read_array
from shiftbench.systems.pt_ood.datasets import _concepts

TASK = "classification"
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
ASSETS = ("familiar.txt", "unseen.txt", "held.txt")
LICENCE = "ImageNet's terms of access: non-commercial research and education"
CITATION = (
    "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 115(3), 2015, "
    "doi:10.1007/s11263-015-0816-y; Ridnik et al., ImageNet-21K Pretraining for the Masses, 2021, arXiv:2104.10972"
)
REDISTRIBUTE = False
IN_ORDER = True


class Options(declare.Options):
    root: str = Field("", description="folder with a folder of images per synset (`n01440764`)")
    part: Literal["familiar", "unseen", "held"] = Field("familiar", description="set of synsets, see `_concepts`")
    per_class: int = Field(50, ge=1, description="images of each synset, those of smallest hash")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The synsets of the part.

    Raises:
        ParamsError: there is no such part.
    """
    if params["part"] not in _concepts.PARTS:
        raise ParamsError(f"imagenet_concepts: part is {params['part']!r}; {suggest(params['part'], _concepts.PARTS)}")
    return _concepts.read(params["part"])


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield the images of the part: `image` uint8 (h, w) or (h, w, 3), `label` 0 to 99; a bad image as its error.

    Raises:
        ParamsError: no root.
        DataError: a synset's folder is missing or has fewer images than asked for.
    """
    labels = {synset: label for label, synset in enumerate(classes(params, sources))}
    for synset in sorted(labels):
        for key, file in _images_of_synset(_root(params) / synset, params["per_class"]):
            try:
                yield Sample(key, {"image": read_array(file, key), "label": labels[synset]})
            except DataError as error:
                yield error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide: path -> description."""
    description = "images in a folder per synset; systems/pt_ood/datasets/*.txt list which"
    return {str(_root(params)): description}


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("imagenet_concepts: option root is missing; give the folder that holds a folder per synset")
    return Path(params["root"]).expanduser()


def _images_of_synset(folder: Path, count: int) -> list[tuple[str, Path]]:
    """Key and file of the images of a synset, in the order of keys."""
    files = [file for file in folder.glob("*") if file.suffix.lower() in SUFFIXES]
    keyed = [(f"imagenet_concepts/{folder.name}/{_stem(file)}", file) for file in files]
    if len(keyed) < count:
        raise DataError(
            f"{folder} holds {len(keyed)} images, expected {count} or more; bring the synset, or lower per_class"
        )
    return sorted(sorted(keyed, key=lambda one: splits.unit("subset", one[0]))[:count])


def _stem(file: Path) -> str:
    return file.stem.replace(".", "_")
