"""Class morph: an image turns into one of another class along the straight line between their codes.

    image(w) = decode((1 - w) a + w b) + (1 - w) (rest of A) + w (rest of B),    w = severity / 2.5

with codes a and b of an autoencoder and the rests that these do not hold, so that w = 0 is the image itself and w = 1
the other one. Where the class ends is known by construction: an image is of its class while w < 0.4, out of class when
w > 0.6, and neither between. The label stays. It is no nuisance: it is what a validity filter has to find.

Source: ours, in the place of generated images that lost their class in CNS-Bench, ICCV 2025,
https://arxiv.org/abs/2507.17651 (hand-labelled there). The scale ends at 2.5, as there.

Takes two raw words: the other class, and which image of it, among those of another split. Its bytes are those of the
weights; without weights (in Python) only severity 0 can be applied.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = (0.0, 2.5)
INPUTS = True


class Options(declare.Options):
    model: str = Field("autoencoder", description="architecture of the autoencoder, a plugin of type models")
    trainer: str = Field("autoencoding", description="trainer of the autoencoder")
    learnt_from: str = Field("", description="data set that the autoencoder was trained on; empty: the shifted one")
    seed: int = Field(0, ge=0, description="training seed of the autoencoder")
    partners: Literal["train", "val", "test"] = Field("val", description="split of the images that others turn into")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The autoencoder's checkpoint (`learnt_from`: by default the data set itself), and the source of partners."""
    dataset = params["learnt_from"] or params["dataset"]
    return [
        refs.checkpoint(dataset, params["model"], params["trainer"], params["seed"]),
        refs.shards(params["dataset"], params["partners"]),
    ]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The model whose code makes the images."""
    return [("models", params["model"])]


def apply(
    value: Sample, severity: float, rng: RandomStream, *, inputs: Mapping[Ref, Path] | None = None, **params: Any
) -> Sample:
    """A sample with another `image`, uint8 (h, w).

    Args:
        value: with `image`, uint8 (h, w), as large as the autoencoder's, and `label`.
        severity: 0 to 2.5.
        rng: the sample's random stream.
        inputs: files of the autoencoder's checkpoint and of the partners' shards.
        **params: options of the shift.

    Raises:
        RangeError: severity outside 0 to 2.5.
        DataError: a field or the weights are missing, or there is no image of another class.
    """
    _levels.check(__name__, severity, RANGE)
    for field in ("image", "label"):
        if field not in value.fields:
            raise DataError(f"no field {field!r}, which the shift 'class_morph' needs")
    image = np.ascontiguousarray(value.fields["image"])
    if severity == 0:
        return value.with_field("image", image.copy())
    if not inputs:
        raise DataError("class_morph asks an autoencoder, which is not here; ask for the shift in a benchmark")
    options = {**Options().model_dump(), **params}
    checkpoint, folder = _files(inputs, options["partners"])
    morphs = _morphs(str(checkpoint), str(folder), options["model"])
    return value.with_field("image", morphs(image, value.fields["label"], severity / 2.5, rng))


def _files(inputs: Mapping[Ref, Path], partners: str) -> tuple[Path, Path]:
    checkpoints = [path for ref, path in inputs.items() if ref.kind == "checkpoints"]
    clean = [
        path.parent for ref, path in inputs.items() if ref.kind == "shards" and ref.parts[1:3] == (partners, "identity")
    ]
    return checkpoints[0], clean[0]


@lru_cache(maxsize=4)
def _morphs(checkpoint: str, folder: str, model: str) -> Any:
    return _Morphs(Path(checkpoint), Path(folder), model)


class _Morphs:
    """An autoencoder, and the images that others turn into."""

    def __init__(self, checkpoint: Path, folder: Path, model: str) -> None:
        import torch  # here, since planning does without

        from shiftbench.evaluation import nets

        self._torch = torch
        self._partners: dict[int, list[np.ndarray[Any, Any]]] = {}
        for sample in shards.read(folder):
            self._partners.setdefault(sample.fields["label"], []).append(sample.fields["image"])
        self._network = registry.find("models", model).of(nets.read_state(checkpoint), checkpoint)

    def __call__(
        self, image: np.ndarray[Any, Any], label: int, weight: float, rng: RandomStream
    ) -> np.ndarray[Any, Any]:
        """The image on its way to one of another class, uint8 of the same shape."""
        other = self._partner(label, rng)
        if not image.shape == other.shape == (self._network.size,) * 2:
            raise DataError(
                f"class_morph: images are {image.shape} and {other.shape}, the autoencoder's {self._network.size} px"
            )
        torch, threads = self._torch, self._torch.get_num_threads()
        torch.set_num_threads(1)  # sums in one order
        with torch.inference_mode():
            pair = torch.from_numpy(np.stack([image, other])[:, None]).float()
            codes, rests = self._network.apart(pair)
            shares = torch.tensor([1 - weight, weight]).reshape(2, 1)
            picture = self._network.decode((shares * codes).sum(0, keepdim=True))[0, 0]
            picture = picture + (shares[..., None, None] * rests).sum(0)[0]
        torch.set_num_threads(threads)
        morph: np.ndarray[Any, Any] = picture.round().clamp(0, 255).to(torch.uint8).numpy()
        return morph

    def _partner(self, label: int, rng: RandomStream) -> np.ndarray[Any, Any]:
        choice, place = (int(word) for word in rng.raw(2))
        others = [other for other in sorted(self._partners) if other != label]
        if not others:
            raise DataError(f"class_morph: there is no image of another class than {label}")
        images = self._partners[others[choice % len(others)]]
        return images[place % len(images)]
