"""Random crops of pictures as they are stored, for networks that are fine-tuned at their usual size.

    trainers:
      finetune: {crops: {size: 224, area: [0.08, 1.0]}}
      baseline: {crops: {size: 448, stretched: 512, jitter: [0.1255, 0, 0.5, 0]}}

The option `crops` of a trainer, and whatever is not given:

    size       side of what the network sees, in pixels
    area       from, to: the share of the picture that is kept; aspects are from 3/4 to 4/3 (torchvision's
               `RandomResizedCrop`, bilinear by Pillow, antialiased when shrinking)
    stretched  instead: the picture becomes a square of so many pixels, and a square of `size` is cut from it
               (`Resize((s, s))` and `RandomCrop`)
    jitter     brightness, contrast, saturation and hue of every crop, as in `_jitter`

Store pictures as they are (`image_list` without `shorter`) and leave resizing and cutting in the test to the model
(`size`, `crop`), or pictures are cut twice. Mirroring is the trainer's `flip`; its `shift` is 0 then.

Source: the transforms of torchvision. Differs: where none of ten draws fits, the whole picture is taken.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.models import _images
from shiftbench.plugins.trainers import _jitter, _views

KEYS = ("size", "area", "stretched", "jitter")


def check(crops: Mapping[str, Any] | None, prepared: npt.NDArray[Any]) -> None:
    """Refuse crops that are none, or that are not what the model is given.

    Args:
        crops: the option.
        prepared: one sample as the model prepares it, (1, ...).

    Raises:
        ParamsError: says what.
    """
    if not crops:
        return
    unknown = [key for key in crops if key not in KEYS]
    if unknown:
        raise ParamsError(f"crops: {unknown[0]!r} is unknown; {suggest(unknown[0], KEYS)}")
    if ("area" in crops) == ("stretched" in crops) or "size" not in crops:
        raise ParamsError(f"crops = {dict(crops)}: expected `size` and one of `area`, `stretched`")
    side = crops["size"]
    if prepared.dtype != np.uint8 or prepared.shape[1:] != (3, side, side):
        raise ParamsError(
            f"crops of {side} pixels: the model is given {prepared.dtype} {prepared.shape[1:]}; crops are for nets "
            f"of colour pictures (uint8), and of the model's `size`"
        )
    if side > crops.get("stretched", side):
        raise ParamsError(f"crops: a square of {side} pixels cannot be cut from {crops['stretched']}")


def drawn(samples: Sequence[Sample], rng: RandomStream, crops: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """A random crop of each picture, uint8 (n, 3, size, size).

    Args:
        samples: with `image` uint8 (h, w) or (h, w, 3), of any size.
        rng: random words of this step.
        crops: the option.
    """
    pictures = [_images.to_colour(sample.fields["image"]) for sample in samples]
    size = crops["size"]
    if "stretched" in crops:
        whole = crops["stretched"]
        pictures = [_images.resize(picture, whole, whole, "bilinear") for picture in pictures]
        corners = rng.integers(0, whole - size + 1, (len(pictures), 2))
        boxes = np.concatenate([corners, np.full_like(corners, size)], axis=1)
    else:
        sizes = np.array([picture.shape[:2] for picture in pictures]).T
        boxes = _views.crops(rng, len(pictures), (sizes[0], sizes[1]), crops["area"])
    cut = [
        _images.resize(picture[top : top + tall, left : left + wide], size, size, "bilinear")
        for picture, (top, left, tall, wide) in zip(pictures, boxes.tolist(), strict=True)
    ]
    batch = np.stack(cut).transpose(0, 3, 1, 2)
    if not any(crops.get("jitter", ())):
        return batch
    coloured = _jitter.jitter(torch.from_numpy(batch).float(), rng, crops["jitter"], 1.0)
    return coloured.round().to(torch.uint8).numpy()
