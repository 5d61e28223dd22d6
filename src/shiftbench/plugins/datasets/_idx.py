"""MNIST and its relatives: four idx files, train and t10k."""

from collections.abc import Iterator
from pathlib import Path

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._arrays import image_samples, read_idx

FILES = {"test": "t10k", "train": "train"}


def samples(name: str, split: str, folder: Path) -> Iterator[Sample]:
    """Yield the native split `train` or `test` as `name/split/000123`, the position in the file.

    `image` is uint8 (28, 28), 0 background to 255 ink; `label` 0 to 9.
    """
    images = read_idx(folder / f"{FILES[split]}-images-idx3-ubyte")
    labels = read_idx(folder / f"{FILES[split]}-labels-idx1-ubyte")
    yield from image_samples(f"{name}/{split}", images, labels, range(len(images)))
