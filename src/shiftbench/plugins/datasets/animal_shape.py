"""Animal-Shape: 28x28 silhouettes of ten animals, far from both digits and clothes.

Source: Mohammadi 2025, package animal-shape-mnist 0.39. 284 of its 10,000 images occur a second time
and are left out: 9,716 remain. Zebras keep their stripes, so they are not quite silhouettes.
"""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._arrays import first_of_each, image_samples, unpickle

TITLE = "Animal-Shape"
TASK = "classification"
CLASSES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
NATIVE = ("all",)
SOURCES = ("animal_shape",)
LICENCE = "MIT"
CITATION = "Mohammadi, Animal-Shape: an animal shape extension to MNIST, package animal-shape-mnist 0.39, 2025"
REDISTRIBUTE = True


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all images that did not occur before: `image` uint8 (28, 28), `label` 0 to 9."""
    folder = sources["animal_shape"]
    images, labels = (_array(folder / f"animal_{part}_version_3.gz") for part in ("data", "label"))
    kept = first_of_each([("all", images)])["all"]
    yield from image_samples("animal_shape/all", images, labels, kept)


def _array(path: Path) -> np.ndarray:
    return np.asarray(unpickle(io.BytesIO(gzip.decompress(path.read_bytes())), path.name))
