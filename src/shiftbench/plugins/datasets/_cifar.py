"""CIFAR-10 and CIFAR-100: pickles of Python 2 in a tar, read without unpacking and without trust."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._arrays import first_of_each, image_samples, unpickle

Part = tuple[np.ndarray, np.ndarray]
LICENCE = "not stated by the authors; commonly used for research"
CITATION = (
    "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, University of Toronto, 2009"
)


def samples(
    name: str, split: str, archive: Path, members: dict[str, tuple[str, ...]], label: bytes
) -> Iterator[Sample]:
    """Yield the native split `train` or `test` of a CIFAR archive.

    Images that occur earlier, in test first and then in train, are left out.

    `name`: of the dataset; keys are `name/split/000123`, the position in the original.
    `archive`: the tar.gz as published.
    `members`: split -> names of the batches in the archive.
    `label`: key of the labels within a batch.
    """
    names = ("test",) if split == "test" else ("test", "train")
    parts = {part: _read(archive, members[part], label) for part in names}
    kept = first_of_each((part, parts[part][0]) for part in names)
    images, labels = parts[split]
    yield from image_samples(f"{name}/{split}", images, labels, kept[split])


def _read(archive: Path, members: tuple[str, ...], label: bytes) -> Part:
    """Images uint8 (n, 32, 32, 3) and labels (n,) of some batches, in their order."""
    images, labels = [], []
    with tarfile.open(archive) as tar:
        for member in members:
            try:
                stream = tar.extractfile(member)
            except KeyError:
                stream = None
            if stream is None:
                raise DataError(f"{archive.name} holds no {member}; expected the archive as published")
            batch = unpickle(stream, member)
            images.append(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            labels.append(np.asarray(batch[label]))
    return np.ascontiguousarray(np.concatenate(images)), np.concatenate(labels)
