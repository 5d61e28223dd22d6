"""CIFAR-10H: the test images of CIFAR-10, each with what about fifty people said that it shows.

The authors' `data/cifar10h-probs.npy` is float64 (10000, 10), in the order of CIFAR-10's test batch: the shares
of people, which become `meta.human` of a sample. Nothing is downloaded. The first `first` images of the batch are
`train`, the others `test`, as one variant of the release of (B) cuts them; keys are those of `cifar10`, whose test set
these are, so that no image is learned from here and tested there unnoticed. A file in which people give the images' own
classes less than half of their votes belongs to other images, or lies in another order, and is refused.

Source: Peterson et al. 2019, "Human uncertainty makes classification more robust", arXiv:1908.07086;
https://github.com/jcpeterson/cifar-10h. The cut: AoShuang92/Confidence_Calibration_CL, `main.py` (`CIFAR10H_split`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _cifar, cifar10

TASK = "classification"
CLASSES = cifar10.CLASSES
NATIVE = ("train", "test")
SOURCES = cifar10.SOURCES
LICENCE = f"CC BY-NC-SA 4.0 (what people said); images: {_cifar.LICENCE}"
CITATION = (
    "Peterson, Battleday, Griffiths and Russakovsky, Human uncertainty makes classification more robust, ICCV 2019, "
    "arXiv:1908.07086"
)
REDISTRIBUTE = False
PART_OF = "cifar10"
LEAST = 0.5
"""Mean share of an image's own class; it is 0.95 in the authors' file."""


class Options(declare.Options):
    path: str = Field("", description="the authors' `data/cifar10h-probs.npy`")
    first: int = Field(8000, ge=0, description="first images of the test batch, which are `train`")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """The user's file."""
    return {str(params["path"]): "data/cifar10h-probs.npy, from jcpeterson/cifar-10h"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (32, 32, 3), `label` 0 to 9, `meta.human` ten shares.

    Raises:
        DataError: the file is not as published, has no row for an image, or is of other images.
    """
    path = Path(str(params["path"]))
    votes, own_votes = shares(path), list[float]()
    archive = sources["cifar10"] / "cifar-10-python.tar.gz"
    for sample in _cifar.samples(PART_OF, "test", archive, cifar10.MEMBERS, b"labels"):
        number = int(sample.key.rpartition("/")[2])
        if number >= len(votes):
            raise DataError(f"{path.name} has {len(votes)} rows, and none of image {number}")
        own_votes.append(float(votes[number, sample.fields["label"]]))
        if (number < params["first"]) == (split == "train"):
            yield sample.with_field("meta", {"human": votes[number].tolist()})
    if own_votes and np.mean(own_votes) < LEAST:
        raise DataError(
            f"{path.name}: people give the images' own classes {np.mean(own_votes):.2f} of their votes, and should "
            f"give more than {LEAST}; the rows belong to the images of CIFAR-10's test batch, in its order"
        )


def shares(path: Path) -> npt.NDArray[np.float64]:
    """Shares of the file, float64 (n, 10), rows that sum to 1.

    Raises:
        DataError: it is no such array.
    """
    try:
        array: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not the array of CIFAR-10H: {error}") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != len(CLASSES):
        shape = getattr(array, "shape", "none")
        raise DataError(f"{path.name} has shape {shape}; expected (n, {len(CLASSES)})")
    if (array < 0).any() or not np.allclose(array.sum(axis=1), 1, atol=1e-6):
        raise DataError(f"{path.name}: its rows are not shares that sum to 1; take cifar10h-probs.npy, not the counts")
    return array.astype(np.float64)
