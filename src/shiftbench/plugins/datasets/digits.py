"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: a domain shift of MNIST (far coarser).

Source: the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak
1998), as scikit-learn ships it. Its 17 grey levels are stretched to 0..255, the image is enlarged to
20x20 (Pillow, bicubic) and gets a margin of four pixels, like MNIST's, so that a network for MNIST can
read it. No image occurs twice.
"""

import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._arrays import check_file, image_samples

TITLE = "scikit-learn digits"
TASK = "classification"
CLASSES = tuple("0123456789")
NATIVE = ("all",)
SOURCES: tuple[str, ...] = ()
LICENCE = "CC BY 4.0 (UCI); BSD-3-Clause (scikit-learn)"
CITATION = (
    "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, "
    "1998, doi:10.24432/C50P49"
)
REDISTRIBUTE = True
SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all images in the file's order: `image` uint8 (28, 28), `label` 0 to 9."""
    raw = check_file(_file(), SHA256, "install a scikit-learn that ships the known file")
    rows = np.array([line.split(",") for line in gzip.decompress(raw).decode().split()], dtype=float)
    coarse = rows[:, :64].astype(np.uint16).reshape(-1, 8, 8) * 255 // 16
    images = np.stack([_enlarge(picture.astype(np.uint8)) for picture in coarse])
    yield from image_samples("digits/all", images, rows[:, 64].astype(int), range(len(images)))


def _file() -> Path:
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("digits: scikit-learn, which ships the images, is not installed")
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


def _enlarge(picture: np.ndarray) -> np.ndarray:
    """Uint8 (28, 28) of uint8 (8, 8)."""
    large = Image.fromarray(picture).resize((20, 20), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(large), 4)
