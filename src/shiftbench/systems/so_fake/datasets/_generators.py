"""Generators of small grey pictures: autoencoders, variational ones, principal components, quilts; helper.

A generator has a name, FAMILY_VARIANT, and makes a picture of an item with the help of a partner of the same class:

- `ae_SEED`: an autoencoder's decoder, of both codes mixed with a weight of 0.3 to 0.7;
- `vae_SEED`: a variational autoencoder's decoder, of the item's code with normal jitter of 0.5 on each number;
- `pca_N`: a normal draw of the item's class in the space of N principal components, back among pictures;
- `quilt_PATTERN`: quarters of half a side, of which PATTERN says which are the partner's. No decoder: all is sharp.

The models of one family differ by their training seed. What they learned from, and the components, are other pictures
than those that are forged. The bytes of decoded pictures are those of the weights and of this machine's sums; quilts
are the same everywhere.

Source: ours, instead of So-Fake's diffusion models and GANs (arXiv:2505.18660).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards

Pixels = NDArray[np.uint8]
REAL = "real"
NETS = {"ae": ("autoencoder", "autoencoding"), "vae": ("variational_autoencoder", "variational")}
"""Model and trainer of the families that are nets."""
PATTERNS = {
    "left": (1, 0, 1, 0),
    "top": (1, 1, 0, 0),
    "diagonal": (1, 0, 0, 1),
    "corner": (1, 0, 0, 0),
    "foot": (0, 0, 0, 1),
    "rest": (0, 1, 1, 1),
}
"""Whether each quarter of a quilt is the partner's: top left, top right, bottom left, bottom right."""
FAMILIES = (*NETS, "pca", "quilt")
MIX, JITTER = (0.3, 0.7), 0.5


@dataclass(frozen=True, slots=True)
class Item:
    """A picture of the dataset that is forged: its key, pixels uint8 (h, w) and class."""

    key: str
    image: Pixels
    label: int


Generator = Callable[[Sequence[Item], Sequence[Item], Sequence[RandomStream]], Pixels]
"""Makes uint8 (n, h, w) of n items, their partners and their random words."""


def family(name: str) -> str:
    """The family of a generator.

    Raises:
        ParamsError: it is none.
    """
    prefix, _, variant = name.partition("_")
    if prefix not in FAMILIES:
        raise ParamsError(f"generator {name!r} is of no family; {suggest(prefix, FAMILIES)}")
    if prefix == "quilt" and variant not in PATTERNS:
        raise ParamsError(f"generator {name!r}: {suggest(variant, PATTERNS)}")
    if prefix != "quilt" and not variant.isdecimal():
        raise ParamsError(f"generator {name!r}: expected a number behind {prefix}_")
    return prefix


def needs(names: Iterable[str], learnt_from: str) -> list[Ref]:
    """The checkpoints of the networks, and the pictures that components are made from."""
    inputs: dict[Ref, None] = {}
    for name in names:
        generator_family = family(name)
        if generator_family in NETS:
            inputs[refs.checkpoint(learnt_from, *NETS[generator_family], _number(name))] = None
        elif generator_family == "pca":
            inputs[refs.shards(learnt_from, "train")] = None
    return list(inputs)


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models of the generators that are nets."""
    used = {family(name) for name in params["generators"]} & NETS.keys()
    return [("models", NETS[name][0]) for name in sorted(used)]


def make(name: str, learnt_from: str, inputs: Mapping[Ref, Path]) -> Generator:
    """The generator of a name.

    Args:
        name: FAMILY_VARIANT.
        learnt_from: the dataset that models and components were made from.
        inputs: where what `needs` names lies.

    Raises:
        DataError: its weights are not there.
    """
    generator_family = family(name)
    if generator_family == "quilt":
        return _quilt(PATTERNS[name.partition("_")[2]])
    (ref,) = needs([name], learnt_from)
    file = input_file(ref, inputs)
    return _Components(file.parent, _number(name)) if generator_family == "pca" else _network(generator_family, file)


def input_file(target: Ref, inputs: Mapping[Ref, Path]) -> Path:
    """File of an input, whether it may be redistributed or not.

    Raises:
        DataError: it is not among them.
    """
    for available, path in inputs.items():
        if (available.kind, available.name) == (target.kind, target.name):
            return path
    raise DataError(f"{target.kind} {target.name} are needed, and not here")


def _number(name: str) -> int:
    return int(name.partition("_")[2])


def _quilt(pattern: Sequence[int]) -> Generator:
    def quilted(items: Sequence[Item], partners: Sequence[Item], words: Sequence[RandomStream]) -> Pixels:
        images, partner_images = _stacked(items), _stacked(partners)
        half = images.shape[1] // 2, images.shape[2] // 2
        places = ((0, 0), (0, half[1]), (half[0], 0), half)
        for (y, x), is_swapped in zip(places, pattern, strict=True):
            if is_swapped:
                part = np.s_[:, y : y + half[0], x : x + half[1]]
                images[part] = partner_images[part]
        return images

    return quilted


def _network(generator_family: str, checkpoint: Path) -> Generator:
    from shiftbench.evaluation import nets  # imports torch, which planning does without

    model: Any = registry.find("models", NETS[generator_family][0]).of(nets.read_state(checkpoint), checkpoint)

    def decoded(items: Sequence[Item], partners: Sequence[Item], words: Sequence[RandomStream]) -> Pixels:
        import torch

        codes = [_codes(model, items), _codes(model, partners)]
        if generator_family == "ae":
            low, high = MIX
            weight = np.stack([low + (high - low) * rng.uniform((1,)) for rng in words])
            mixed = (1 - weight) * codes[0] + weight * codes[1]
        else:
            noise = np.stack([rng.normal(codes[0].shape[1:]) for rng in words])
            mixed = codes[0] + np.float32(JITTER) * noise
        with _one_thread(), torch.inference_mode():
            return _grey(model.decode(torch.from_numpy(mixed.astype(np.float32)))[:, 0].numpy())

    return decoded


def _codes(model: Any, items: Sequence[Item]) -> NDArray[np.float32]:
    import torch

    with _one_thread(), torch.inference_mode():
        codes: NDArray[np.float32] = model.features(torch.from_numpy(_stacked(items))[:, None]).numpy()
    return codes


class _Components:
    """The `count` first principal components of pictures, and the mean and covariance of each class in them."""

    def __init__(self, folder: Path, count: int) -> None:
        mean, vectors, codes, labels = _axes(str(folder))
        self._mean, self._basis = mean, vectors[:, -count:]  # eigenvalues ascend
        with _one_thread():
            class_codes = {label: codes[labels == label][:, -count:] for label in set(labels.tolist())}
            self._of = {label: _normal(label_codes) for label, label_codes in class_codes.items()}

    def __call__(self, items: Sequence[Item], _: Sequence[Item], words: Sequence[RandomStream]) -> Pixels:
        import torch

        with _one_thread():
            coordinates = []
            for item, rng in zip(items, words, strict=True):
                mean, root = self._of[item.label]
                normal = torch.from_numpy(rng.normal((len(mean),)).astype(np.float64))
                coordinates.append(mean + root @ normal)
            flat = self._mean + torch.stack(coordinates) @ self._basis.T
        return _grey(flat.numpy().reshape(len(items), *items[0].image.shape))


@lru_cache(maxsize=1)
def _axes(folder: str) -> tuple[Any, Any, Any, NDArray[np.int64]]:
    """Mean, eigenvectors, codes on them and labels of a folder's pictures: float64 tensors, int64 (n,)."""
    import torch

    samples = list(shards.read(Path(folder)))
    labels = np.array([sample.fields["label"] for sample in samples])
    flat = np.stack([sample.fields["image"].ravel() for sample in samples]).astype(np.float64)
    with _one_thread():
        mean = torch.from_numpy(flat).mean(0)
        centred = torch.from_numpy(flat) - mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        return mean, vectors, centred @ vectors, labels


def _normal(codes: Any) -> tuple[Any, Any]:
    """The mean of codes (n, d) and a root of their covariance, which may be singular."""
    import torch

    mean = codes.mean(0)
    centred = codes - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(codes) - 1))
    return mean, vectors * values.clamp(min=0).sqrt()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread, so that sums are made in one order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _stacked(items: Sequence[Item]) -> Pixels:
    return np.stack([item.image for item in items])


def _grey(values: NDArray[Any]) -> Pixels:
    grey: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return grey
