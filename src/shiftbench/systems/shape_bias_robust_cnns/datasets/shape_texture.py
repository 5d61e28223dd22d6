"""Shapes of Fashion-MNIST filled with photographed textures: cues that agree, one alone, or two that contradict.

    datasets:
      shape_texture: {}
      shape_texture_conflict: {use: shape_texture, cue: conflict}

`cue` is `matched` (for training: class k has shape k and texture k), `shape` (the outline, flat), `texture` (a
whole crop without an outline) or `conflict` (the outline of the label, the texture of another class, the five others
equally often). `label` is the shape's class, of `texture` the texture's; `meta.group` the texture's class, as
`04_checkerboard`, and `meta.texture` its number; there is none in `shape`. Keys are the same for each cue, so that
they can be paired. Textures of training are crops of the left halves of photos, those of tests of the right halves;
`seen: near` takes 28 px of a photo as they are, `far` a quarter to a half of its shorter side, shrunk.

The first garments of each of six classes are taken.

Source: Geirhos et al. 2019, "ImageNet-trained CNNs are biased towards texture", arXiv:1811.12231 (the cue conflict);
Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; van der Walt et al. 2014. Differs: no style
transfer, the texture is cut out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.systems.shape_bias_robust_cnns.datasets import _cues

TASK = fashion_mnist.TASK
CLASSES = _cues.SHAPES
NATIVE = fashion_mnist.NATIVE
SOURCES = (*fashion_mnist.SOURCES, _scikit_photos.SOURCE)
LICENCE = "MIT (clothes); CC0 or public domain (photos; of page nothing is stated)"
CITATION = (
    f"{fashion_mnist.CITATION}; van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, "
    "2014, doi:10.7717/peerj.453"
)
REDISTRIBUTE = True
PART_OF = "shape_texture"
_OF_LABEL = {fashion_mnist.CLASSES.index(name): label for label, name in enumerate(CLASSES)}


class Options(declare.Options):
    cue: Literal["matched", "shape", "texture", "conflict"] = Field(
        "matched", description="cues that a picture has: shape and texture that agree, one of them, or a conflict"
    )
    seen: Literal["near", "far"] = Field(
        "near", description="texture at its own size, or shrunk from a quarter to a half of the photo"
    )
    per_class: int = Field(1200, ge=1, description="garments of each class in train, at most")
    test_per_class: int = Field(300, ge=1, description="garments of each class in test, at most")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (28, 28), `label` 0 to 5, `meta` with the texture.

    Raises:
        ParamsError: another cue, or another way to see textures.
    """
    for option, allowed in (("cue", _cues.CUES), ("seen", _cues.SEEN)):
        if params[option] not in allowed:
            raise ParamsError(f"shape_texture: {option} is {params[option]!r}; {suggest(params[option], allowed)}")
    most = params["per_class" if split == "train" else "test_per_class"]
    counts = [0] * len(CLASSES)
    for garment in fashion_mnist.samples(split, sources, {}):
        label = _OF_LABEL.get(int(garment.fields["label"]))
        if label is not None and counts[label] < most:
            yield _sample(garment, (label, counts[label]), split, params, sources)
            counts[label] += 1
            if min(counts) == most:
                return


def _sample(
    garment: Sample, place: tuple[int, int], split: str, params: dict[str, Any], sources: dict[str, Path]
) -> Sample:
    """The sample of a garment that is the n-th of its label; `place` is both."""
    (label, number), cue = place, params["cue"]
    key = f"shape_texture/{garment.key.partition('/')[2]}"
    if cue == "shape":
        image = _cues.picture(cue, garment.fields["image"], None)
        return Sample(key, {"image": image, "label": label})
    texture = _cues.other(label, number) if cue == "conflict" else label
    words = RandomStream(0, "texture", "shape_texture", key)
    ink = _cues.texture(texture, words, sources, _cues.HALF[split], params["seen"])
    meta = {"texture": texture, "group": f"{texture:02d}_{_cues.TEXTURES[texture]}"}
    image = _cues.picture(cue, garment.fields["image"], ink)
    return Sample(key, {"image": image, "label": label, "meta": meta})
