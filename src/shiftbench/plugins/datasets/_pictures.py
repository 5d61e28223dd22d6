"""Helpers of datasets: image files to arrays, and folders of them to samples."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError, skippable
from shiftbench.base.sample import Sample
from shiftbench.data.codecs import MAX_PIXELS
from shiftbench.plugins.models._images import resize, resize_and_crop, to_colour

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What files of these suffixes hold, and all that is opened: Pillow would start Ghostscript for an EPS in a `.jpg`."""
WHITE = (255, 255, 255, 255)
_ORIENTATION = 0x0112  # EXIF: how the picture was held, and what brings it upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-f]+>")  # Pillow names the open file, which is another one in every process


def open_picture(source: Path | IO[bytes], key: str) -> Image.Image:
    """Open and load an image; nothing in its metadata (EXIF rotation, colour profile) is applied.

    Raises:
        DataError: truncated, of unknown format, or above MAX_PIXELS; the message begins with `key`.
    """
    try:
        stream = io.BytesIO(source.read_bytes()) if isinstance(source, Path) else source
        picture = Image.open(stream, formats=_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise DataError(f"{key}: {picture.width} x {picture.height} pixels; at most {MAX_PIXELS} are read")
        picture.load()
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        where = f" ({source})" if isinstance(source, Path) else ""
        why = _ADDRESS.sub("", str(error))
        raise DataError(f"{key}: the image{where} cannot be read: {why}") from error
    return picture


def to_array(picture: Image.Image) -> np.ndarray:
    """Uint8 (h, w) of a grey image, else (h, w, 3); what is transparent becomes white."""
    if picture.mode.startswith("I;16"):
        return (np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8)
    if picture.mode in ("1", "L"):
        return np.array(picture.convert("L"))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = on_white(picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def on_white(picture: Image.Image) -> Image.Image:
    """An RGBA image composited on white (Pillow's integer arithmetic)."""
    return Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture)


def read_array(source: Path | IO[bytes], key: str) -> np.ndarray:
    """An image file as uint8 (h, w) or (h, w, 3); see `open_picture` and `to_array`."""
    return to_array(open_picture(source, key))


def read_upright(source: Path | IO[bytes], key: str) -> np.ndarray:
    """An image file as `read_array`, turned as its EXIF says, which is how every viewer shows it."""
    picture = open_picture(source, key)
    try:
        turn = _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block, of which Pillow raises anything, says nothing
        turn = None
    return to_array(picture if turn is None else picture.transpose(turn))


def square(sample: Sample | DataError, shorter: int, side: int) -> Sample | DataError:
    """The sample with its image in colour, resized and cut as torchvision's Resize and CenterCrop do.

    Args:
        sample: errors pass through.
        shorter: its shorter side becomes this (bilinear); 0: the image stays as it is.
        side: of the middle square that is cut; 0: `shorter`.

    Raises:
        ParamsError: the square is larger than the resized image.
    """
    if not shorter or isinstance(sample, DataError):
        return sample
    if side > shorter:
        raise ParamsError(f"{sample.key}: side {side} cannot be cut from images of {shorter} pixels; raise shorter")
    colour = to_colour(sample.fields["image"])
    image = resize_and_crop(colour, shorter, side or shorter, "bilinear")
    return sample.with_field("image", np.ascontiguousarray(image))


def squeezed(sample: Sample, side: int) -> Sample:
    """The sample with its image in colour, stretched to a square as by torchvision's `Resize((side, side))`."""
    return sample.with_field("image", resize(to_colour(sample.fields["image"]), side, side, "bilinear"))


def list_classes(folder: Path) -> tuple[str, ...]:
    """The names of the folders below `folder`, sorted; hidden ones do not count.

    Raises:
        DataError: there is no such folder, or it holds no folders.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one that holds a folder of images per class")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if not names:
        raise DataError(f"{folder} holds no folders; expected one folder of images per class: move each image there")
    return tuple(names)


def class_samples(
    prefix: str,
    folder: Path,
    labels: dict[str, int],
    is_included: Callable[[Path], bool] = Path.is_file,
    read: Callable[[Path, str], np.ndarray[Any, Any]] = read_array,
) -> Iterator[Sample | DataError]:
    """Yield the images of folder/CLASS/**, in the order of their paths.

    Args:
        prefix: of the keys: `prefix/CLASS/path-without-suffix`, dots made underscores.
        folder: that holds one folder per class.
        labels: class folder -> label.
        is_included: which files count, of those whose suffix is an image's.
        read: how an image is read.

    Raises:
        DuplicateKeyError: two files give one key (`a.jpg` and `a.png`).
    """
    seen: dict[str, Path] = {}
    for name, label in labels.items():
        for path in sorted((folder / name).rglob("*")):
            if path.suffix.lower() not in SUFFIXES or not is_included(path):
                continue
            stem = path.relative_to(folder).with_suffix("").as_posix().replace(".", "_")
            key = f"{prefix}/{stem}"
            if key in seen:
                raise DuplicateKeyError(f"{key}: both {seen[key]} and {path}; rename one")
            seen[key] = path
            try:
                yield Sample(key, {"image": read(path, key), "label": label})
            except DataError as error:
                yield skippable(error)
