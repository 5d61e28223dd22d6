"""ColoredMNIST: a digit is below five or not, and its colour says so better than its shape, but in training alone.

    datasets:
      colored_mnist: {}
      grey_mnist: {use: colored_mnist, environments: [0.5]}

The label is 1 where the digit is below 5, but for a share `noise` of wrong labels; the colour is the label, wrong with
probability e of the environment. Pictures are every second pixel of MNIST, 14 x 14, ink in the first channel where the
colour is 0, in the second where it is 1. Of `environments` each takes the images of its turn, each second one of two;
each of `tests` has all test images, with labels and colours drawn again. `train` is the first 50,000 images of MNIST's
training set, shuffled, `test` the last 10,000, as in the released code. `val` is MNIST's own test set, which that code
does not read: all its images in every environment of training and of the test. Records have the environment as group,
`e90` for 0.9, and the image as cluster; `meta` has `environment`.
`inverse_colored_mnist` has noise 0.1 and environments 0.2 and 0.25: there, shape is the better sign.

Source: Arjovsky et al., "Invariant Risk Minimization", 2019, arXiv:1907.02893, section 5.1, as the code of RFC makes
it (TjuJianyu/RFC, coloredmnist/mydatasets.py), which tests in three environments and draws labels again for each.
Differs: random words are ours (option `draw`); each restart of that code draws labels and colours again, here all
training seeds see one draw, unless a trainer takes a part of the images for each seed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _idx, mnist
from shiftbench.plugins.datasets._arrays import read_idx

TITLE = "ColoredMNIST"
TASK = "classification"
CLASSES = ("five_or_more", "below_five")
NATIVE = ("train", "val", "test")
SOURCES = ("mnist",)
LICENCE = mnist.LICENCE
CITATION = f"Arjovsky et al., Invariant Risk Minimization, 2019, arXiv:1907.02893; {mnist.CITATION}"
REDISTRIBUTE = True
LAST = 50_000
"""Training images of MNIST from here on are the test's."""

Pixels = NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]


class Options(declare.Options):
    noise: Share = Field(0.25, description="probability that a label is wrong")
    environments: list[Share] = Field(
        [0.1, 0.2],
        min_length=1,
        description="training environments: the probability in each that the colour is not the label",
    )
    tests: list[Share] = Field([0.9, 0.1, 0.5], min_length=1, description="test environments, as `environments`")
    train: int = Field(50_000, ge=1, description="number of training images in all environments")
    val: int = Field(10_000, ge=1, description="number of validation images in each environment")
    test: int = Field(10_000, ge=1, description="number of test images in each environment")
    draw: int = Field(0, ge=0, description="seed of labels, colours and order")


def name_of(e: float) -> str:
    """An environment's name: `e05` for 0.05, `e12_5` for 0.125."""
    return f"e{100 * e:04.1f}".removesuffix(".0").replace(".", "_")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield a split: `image` uint8 (14, 14, 3), third channel 0, `label`, `meta` with environment and cluster."""
    _check(params)
    images, digits, numbers = _originals(split, sources["mnist"], params)
    for e, turn in _environments(split, params):
        name = name_of(e)
        words = [_words(params, split, f"{name}/{what}") for what in ("labels", "colours")]
        uniforms = [stream.uniform(len(images)) for stream in words]
        rows = slice(*turn)
        made = coloured(images[rows], digits[rows], params["noise"], e, *(u[rows] for u in uniforms))
        for image, label, number in zip(*made, numbers[rows], strict=True):
            yield _sample(split, name, int(number), image, int(label), params)


def coloured(
    images: Pixels,
    digits: NDArray[np.uint8],
    noise: float,
    e: float,
    label_words: NDArray[np.float32],
    colour_words: NDArray[np.float32],
) -> tuple[Pixels, NDArray[np.int64]]:
    """Pictures uint8 (n, 14, 14, 3) and labels int64 (n,) of one environment.

    Args:
        images: uint8 (n, 28, 28).
        digits: 0 to 9, (n,).
        noise: probability of a wrong label.
        e: probability of a colour that is not the label.
        label_words: uniform in (0, 1), (n,); a label is wrong where its word is below `noise`.
        colour_words: likewise of colours.
    """
    labels = (digits < 5) ^ (label_words < noise)
    colours = labels ^ (colour_words < e)
    small = images[:, ::2, ::2]
    made = np.zeros((*small.shape, 3), dtype=np.uint8)
    made[..., 0] = small * ~colours[:, None, None]
    made[..., 1] = small * colours[:, None, None]
    return made, labels.astype(np.int64)


def _check(params: dict[str, Any]) -> None:
    for name in ("environments", "tests"):
        names = [name_of(e) for e in params[name]]
        if not names or len(set(names)) != len(names):
            raise ParamsError(f"colored_mnist: {name} is {params[name]}; expected several shares")
    shares = [params["noise"], *params["environments"], *params["tests"]]
    if not all(0 <= share <= 1 for share in shares):
        raise ParamsError(f"colored_mnist: noise and environments are {shares}; expected 0 to 1")


def _originals(split: str, folder: Path, params: dict[str, Any]) -> tuple[Pixels, NDArray[np.uint8], NDArray[np.int64]]:
    """Images, digits and their positions in the file, as many as `params` says."""
    prefix = _idx.FILES["test" if split == "val" else "train"]
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte")
    digits = read_idx(folder / f"{prefix}-labels-idx1-ubyte")
    numbers = np.arange(len(images))
    if split == "train":
        order = _words(params, split, "order").choice(min(LAST, len(images)))
        numbers = np.asarray(order, dtype=np.int64)
    elif split == "test":
        numbers = numbers[LAST:]
    numbers = numbers[: params[split]]
    return images[numbers], digits[numbers], numbers


def _environments(split: str, params: dict[str, Any]) -> list[tuple[float, tuple[int, None, int]]]:
    """Each environment's e, and which images it takes: first, end and step."""
    own, tests = params["environments"], params["tests"]
    if split == "train":
        return [(e, (turn, None, len(own))) for turn, e in enumerate(own)]
    return [(e, (0, None, 1)) for e in (tests if split == "test" else dict.fromkeys([*own, *tests]))]


def _words(params: dict[str, Any], split: str, purpose: str) -> RandomStream:
    return RandomStream(params["draw"], "colored_mnist", split, purpose)


def _sample(split: str, name: str, number: int, image: Pixels, label: int, params: dict[str, Any]) -> Sample:
    prefix = params.get("name", "colored_mnist")
    meta = {"environment": name, "group": name, "cluster": f"{split}_{number:06d}"}
    key = f"{prefix}/{split}/{name}/{number:06d}"
    return Sample(key, {"image": image, "label": label, "meta": meta})
