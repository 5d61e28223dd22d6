"""Generators of small grey pictures: autoencoders, variational ones, principal components, quilts; helper.

A generator has a name, FAMILY_VARIANT, and makes a picture of an item with the help of a partner of the same class:

- `ae_SEED`: an autoencoder's decoder, of both codes mixed with a weight of 0.3 to 0.7;
- `vae_SEED`: a variational autoencoder's decoder, of the item's code with normal jitter of 0.5 on each number;
- `pca_N`: a normal draw of the item's class in the space of N principal components, back among pictures;
- `quilt_PATTERN`: quarters of half a side, of which PATTERN says which are the partner's. No decoder: all is sharp.

The nets of one family differ by their training seed. What they learnt from, and the components, are other pictures
than those that are forged. The bytes of decoded pictures are those of the weights and of this machine's sums; quilts
are the same everywhere.

Source: ours, in the place of So-Fake's diffusion models and GANs (arXiv:2505.18660).
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
"""Which quarters of a quilt are the partner's: top left, top right, bottom left, bottom right."""
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
    """Return the family of a generator.

    Raises:
        ParamsError: it is none.
    """
    own, _, variant = name.partition("_")
    if own not in FAMILIES:
        raise ParamsError(f"generator {name!r} is of no family; {suggest(own, FAMILIES)}")
    if own == "quilt" and variant not in PATTERNS:
        raise ParamsError(f"generator {name!r}: {suggest(variant, PATTERNS)}")
    if own != "quilt" and not variant.isdecimal():
        raise ParamsError(f"generator {name!r}: expected a number behind {own}_")
    return own


def needs(names: Iterable[str], learnt_from: str) -> list[Ref]:
    """Return the weights of the nets, and the pictures that components are made from."""
    wanted: dict[Ref, None] = {}
    for name in names:
        own = family(name)
        if own in NETS:
            wanted[refs.checkpoint(learnt_from, *NETS[own], _number(name))] = None
        elif own == "pca":
            wanted[refs.shards(learnt_from, "train")] = None
    return list(wanted)


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the models of the generators that are nets."""
    own = {family(name) for name in params["generators"]} & NETS.keys()
    return [("models", NETS[name][0]) for name in sorted(own)]


def make(name: str, learnt_from: str, inputs: Mapping[Ref, Path]) -> Generator:
    """Return a generator.

    Args:
        name: FAMILY_VARIANT.
        learnt_from: the dataset that nets and components were made from.
        inputs: where what `needs` names lies.

    Raises:
        DataError: its weights are not there.
    """
    own = family(name)
    if own == "quilt":
        return _quilt(PATTERNS[name.partition("_")[2]])
    (wanted,) = needs([name], learnt_from)
    place = found(wanted, inputs)
    return _Components(place.parent, _number(name)) if own == "pca" else _net(own, place)


def found(wanted: Ref, inputs: Mapping[Ref, Path]) -> Path:
    """Return where an input lies, whether it may be passed on or not.

    Raises:
        DataError: it is not among them.
    """
    for ref, path in inputs.items():
        if (ref.kind, ref.name) == (wanted.kind, wanted.name):
            return path
    raise DataError(f"{wanted.kind} {wanted.name} are needed, and not here")


def _number(name: str) -> int:
    return int(name.partition("_")[2])


def _quilt(pattern: Sequence[int]) -> Generator:
    def quilted(items: Sequence[Item], partners: Sequence[Item], words: Sequence[RandomStream]) -> Pixels:
        own, other = _stacked(items), _stacked(partners)
        half = own.shape[1] // 2, own.shape[2] // 2
        places = ((0, 0), (0, half[1]), (half[0], 0), half)
        for (y, x), swapped in zip(places, pattern, strict=True):
            if swapped:
                part = np.s_[:, y : y + half[0], x : x + half[1]]
                own[part] = other[part]
        return own

    return quilted


def _net(own: str, weights: Path) -> Generator:
    from shiftbench.evaluation import nets  # imports torch, which planning does without

    net: Any = registry.find("models", NETS[own][0]).of(nets.read_state(weights), weights)

    def decoded(items: Sequence[Item], partners: Sequence[Item], words: Sequence[RandomStream]) -> Pixels:
        import torch

        codes = [_codes(net, items), _codes(net, partners)]
        if own == "ae":
            low, high = MIX
            weight = np.stack([low + (high - low) * rng.uniform((1,)) for rng in words])
            mixed = (1 - weight) * codes[0] + weight * codes[1]
        else:
            noise = np.stack([rng.normal(codes[0].shape[1:]) for rng in words])
            mixed = codes[0] + np.float32(JITTER) * noise
        with _alone(), torch.inference_mode():
            return _grey(net.decode(torch.from_numpy(mixed.astype(np.float32)))[:, 0].numpy())

    return decoded


def _codes(net: Any, items: Sequence[Item]) -> NDArray[np.float32]:
    import torch

    with _alone(), torch.inference_mode():
        codes: NDArray[np.float32] = net.features(torch.from_numpy(_stacked(items))[:, None]).numpy()
    return codes


class _Components:
    """The `count` first principal components of pictures, and the mean and covariance of each class in them."""

    def __init__(self, folder: Path, count: int) -> None:
        mean, vectors, codes, labels = _axes(str(folder))
        self._mean, self._basis = mean, vectors[:, -count:]  # eigenvalues ascend
        with _alone():
            own = {label: codes[labels == label][:, -count:] for label in set(labels.tolist())}
            self._of = {label: _normal(found) for label, found in own.items()}

    def __call__(self, items: Sequence[Item], _: Sequence[Item], words: Sequence[RandomStream]) -> Pixels:
        import torch

        with _alone():
            drawn = []
            for item, rng in zip(items, words, strict=True):
                mean, root = self._of[item.label]
                normal = torch.from_numpy(rng.normal((len(mean),)).astype(np.float64))
                drawn.append(mean + root @ normal)
            flat = self._mean + torch.stack(drawn) @ self._basis.T
        return _grey(flat.numpy().reshape(len(items), *items[0].image.shape))


@lru_cache(maxsize=1)
def _axes(folder: str) -> tuple[Any, Any, Any, NDArray[np.int64]]:
    """Return mean, eigenvectors, codes on them and labels of a folder's pictures: float64 tensors, int64 (n,)."""
    import torch

    samples = list(shards.read(Path(folder)))
    labels = np.array([sample.fields["label"] for sample in samples])
    flat = np.stack([sample.fields["image"].ravel() for sample in samples]).astype(np.float64)
    with _alone():
        mean = torch.from_numpy(flat).mean(0)
        centred = torch.from_numpy(flat) - mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        return mean, vectors, centred @ vectors, labels


def _normal(codes: Any) -> tuple[Any, Any]:
    """Return the mean of codes (n, d) and a root of their covariance, which may be singular."""
    import torch

    mean = codes.mean(0)
    centred = codes - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(codes) - 1))
    return mean, vectors * values.clamp(min=0).sqrt()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
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
