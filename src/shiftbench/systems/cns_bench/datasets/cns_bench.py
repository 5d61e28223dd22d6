"""CNS-Bench: ImageNet classes as a diffusion model draws them, along paths of rising scale of one nuisance.

    datasets:
      cartoon: {use: cns_bench, path: /data/cns_bench, nuisance: cartoon_style}
    shifts:
      cartoon_style: {use: cns_scale, path: /data/cns_bench, severities: [0.5, 1, 1.5, 2, 2.5]}

`path` holds `annotations_cns.json` and the images of `benchmark/cns_bench.zip` (folders NUISANCE/CLASS/). The dataset
is the images at one scale, by default 0; the shift `cns_scale` gives the same paths at the others. Every path must
have all six scales; one that has not is a bad sample (`on_error: skip` counts it). So is an annotation file that does
not list `images` images (192,168 as published). Labels are ImageNet's; `restricted` names its hundred classes alone,
so that predictions are made among these. Nothing is downloaded; CC0 1.0 as the annotation file declares, which is
checked.

Source: Dunkel et al., "CNS-Bench: Benchmarking Image Classifier Robustness Under Continuous Nuisance Shifts", ICCV
2025, arXiv 2507.17651; data doi:10.17617/3.MAGNKP.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import imagenet
from shiftbench.plugins.datasets._pictures import read_array
from shiftbench.systems.cns_bench.datasets import _cns

TASK = "classification"
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "CC0-1.0"
DECLARED = "CC0 1.0"
CITATION = (
    "Dunkel et al., CNS-Bench: Benchmarking Image Classifier Robustness Under Continuous Nuisance Shifts, ICCV 2025, "
    "arXiv:2507.17651, doi:10.17617/3.MAGNKP"
)
REDISTRIBUTE = True
IN_ORDER = True


class Options(declare.Options):
    path: str = Field("", description="folder with `annotations_cns.json` and the images")
    nuisance: str = Field("cartoon_style", description="nuisance, a folder of images")
    scale: float = Field(0.0, ge=0, le=2.5, description="scale of the nuisance: 0 to 2.5 in steps of 0.5")
    images: int = Field(192_168, ge=0, description="number of images that the annotation file must list")
    restricted: bool = Field(
        False, description="name the hundred classes that have images alone, instead of all thousand"
    )
    licence: str = Field("", description="licence of your files; empty: the one that the annotation file must declare")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """ImageNet's class names: all, or those that there are images of."""
    names = imagenet.classes({}, {})
    return tuple(names[label] for label in _labels(params)) if params["restricted"] else names


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield the images of a nuisance at one scale: `image` uint8 (h, w, 3), `label`, and where they belong in `meta`.

    Raises:
        ParamsError: no folder, nuisance or scale of that name.
        DataError: the annotation file is missing, broken, or of another licence.
    """
    folder, annotations = _read(params)
    if params["scale"] not in _cns.SCALES:
        raise ParamsError(f"cns_bench: scale is {params['scale']}; allowed are {_cns.SCALES}")
    if len(annotations.images) != params["images"]:
        yield DataError(
            f"{folder / _cns.ANNOTATIONS} lists {len(annotations.images):,} images, expected {params['images']:,}; "
            "set `images:` if this is meant, or `on_error: skip` to have it noted"
        )
    index = {label: at for at, label in enumerate(_labels(params))}
    for (label, seed), path in annotations.paths(params["nuisance"]).items():
        key = f"cns_bench/{params['nuisance']}/{label:03d}_{seed:04d}"
        missing = _cns.missing_scales(path)
        if missing:
            yield DataError(f"{key}: the path has no image at scale {missing[0]:g}; it needs all six")
            continue
        yield _sample(key, folder, path[params["scale"]], index[label])


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must supply: path -> description."""
    folder = Path(params["path"]).expanduser()
    return {str(folder / _cns.ANNOTATIONS): "the annotation file, beside the images"}


def _read(params: dict[str, Any]) -> tuple[Path, _cns.Annotations]:
    if not params["path"]:
        raise ParamsError(f"cns_bench: option path is missing; give the folder of {_cns.ANNOTATIONS}")
    folder = Path(params["path"]).expanduser()
    annotations = _cns.read(folder)
    if annotations.licence != DECLARED and not params["licence"]:
        raise DataError(
            f"{folder / _cns.ANNOTATIONS} declares the licence {annotations.licence!r}, not {DECLARED!r}; "
            "state it as `licence:`"
        )
    return folder, annotations


def _labels(params: dict[str, Any]) -> list[int]:
    if not params["restricted"]:
        return list(range(1000))
    return sorted({image.label for image in _read(params)[1].images})


def _sample(key: str, folder: Path, image: _cns.Image, label: int) -> Sample | DataError:
    try:
        pixels = read_array(folder / image.file, key)
    except DataError as error:
        return error
    meta = {"nuisance": image.nuisance, "class": image.label, "seed": image.seed}
    return Sample(key, {"image": pixels, "label": label, "meta": {**meta, "scale": image.scale}})
