"""ImageNet-1k (ILSVRC 2012), and sets with its classes, from your own copy in ImageFolder layout.

    datasets:
      imagenet: {root: /data/imagenet}

`root` holds `train/` and `val/`, each with a folder per synset (n01440764 ...); `val` is the test split.
A label is the position of its folder's synset among the thousand in `imagenet_synsets.txt`, so that a
set with fewer classes (ImageNet-R, -A; `complete: false`) keeps ImageNet's labels. Class names are
torchvision's. Source: Russakovsky et al. 2015, doi:10.1007/s11263-015-0816-y. The images may not be
passed on.

With `shorter: 256, side: 224` every image is resized (bilinear, its shorter side), its middle square is
cut and grey ones become colour, as for ImageNet-C.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _options
from shiftbench.plugins.datasets._pictures import class_samples, list_classes, square

TITLE = "ImageNet-1k"
TASK = "classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
ASSETS = ("imagenet_synsets.txt",)
LICENCE = "ImageNet's terms of access: non-commercial research and education"
CITATION = (
    "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 115(3), 2015, "
    "doi:10.1007/s11263-015-0816-y"
)
REDISTRIBUTE = False
FOLDERS = {"train": "train", "test": "val"}


class Options(declare.Options):
    root: fields.Root = ""
    complete: bool = Field(True, description="whether all thousand classes must be there")
    shorter: _options.Shorter = 0
    side: _options.Side = 0


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The thousand class names, in the order of the synsets."""
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` uint8 (h, w) or (h, w, 3) of any size, `label` 0 to 999."""
    if not params["root"]:
        raise ParamsError("imagenet: option root is missing; give the folder that holds train/ and val/")
    folder = Path(params["root"]).expanduser() / FOLDERS[split]
    labels = _labels(folder, complete=params["complete"])
    images = class_samples(f"{params.get('name', 'imagenet')}/{split}", folder, labels)
    yield from (square(sample, params["shorter"], params["side"]) for sample in images)


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    folder = Path(params["root"]).expanduser() / FOLDERS[split]
    return {str(folder): "images in a folder per synset"}


def fault(split: str, params: dict[str, Any]) -> str:
    """What is wrong with the user's folder of a native split, from its folders' names alone; empty if nothing is."""
    folder = Path(params["root"]).expanduser() / FOLDERS[split]
    try:
        _labels(folder, complete=params["complete"])
    except DataError as error:
        return str(error)
    return ""


def _labels(folder: Path, *, complete: bool) -> dict[str, int]:
    synsets = Path(__file__).with_name(ASSETS[0]).read_text(encoding="ascii").split()
    names = list_classes(folder)
    unknown = sorted(set(names) - set(synsets))
    if unknown:
        raise DataError(
            f"{folder} holds the folder {unknown[0]!r}, which is no synset of ImageNet-1k "
            "(expected n01440764 to n15075141); move it away"
        )
    if complete and len(names) < len(synsets):
        missing = sorted(set(synsets) - set(names))
        raise DataError(
            f"{folder} lacks {len(missing)} of 1000 synsets, first {missing[0]}; set complete: false if this is meant"
        )
    return {synset: synsets.index(synset) for synset in names}
