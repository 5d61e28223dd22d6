"""Shifts without the workflow: one image, sound or text, or a batch of tensors.

    from shiftbench import corrupt
    corrupt(image, "fog", severity=3.0, seed=0, key="a")

    from shiftbench import Corrupt
    foggy = Corrupt("fog", severity=3.0)(batch, keys)

The random words of a value belong to (seed, shift, dataset, key). The dataset is the part of the key
before its first slash: with a sample's own key (`fashion_mnist/test/000123`) the result equals the shards to
the byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import audio, codecs
from shiftbench.evaluation.apply_shift import shift_sample

if TYPE_CHECKING:
    import torch


def corrupt(
    image: Any, name: str, severity: float = 3.0, seed: int = 0, key: str | None = None, **params: object
) -> Any:
    """A shifted copy of one value.

    Args:
        image: uint8 (h, w) or (h, w, 3), RGB; int16 (n,) at 16 kHz for a shift of audio; a str for a text shift; a
            `Sample` for any, and for those that need more (`object_size` needs the mask).
        name: the shift's name, or several joined by `+`.
        severity: 0 (identity) to 5.
        seed: seed of the random words.
        key: identity of the value; equal keys get the same noise. A `Sample` has its own. None: the value's own bytes
            are its identity, as for `Corrupt`.
        **params: options of the shift.

    Raises:
        PluginError: no shift of that name; the near ones are listed.
        ParamsError: an unknown option, or a domain shift, which is other data and cannot be applied.
        DataError: the value has another type or shape than the shift takes.
        RangeError: severity outside the shift's range.

    Example:
        >>> corrupt(np.zeros((28, 28), dtype=np.uint8), "gaussian_noise").shape
        (28, 28)
    """
    shift, options = _shift(name, params)
    if isinstance(image, Sample):
        return shift_sample(image, shift, severity, options, _words(seed, name, image.key))
    value = _checked(shift.FIELD, name, image)
    words = _words(seed, name, content_key(value) if key is None else key)
    shifted = shift.apply(value, severity, words, **options)
    return shifted.copy() if shifted is value and isinstance(value, np.ndarray) else shifted


def _checked(field: str | None, name: str, value: object) -> Any:
    if field == "label" or (field is None and name != "identity"):
        raise DataError(
            f"shift {name!r} takes a whole Sample (image and mask or label); got {type(value).__name__}. "
            'Pass shiftbench.base.sample.Sample("key", {"image": image, "mask": mask})'
        )
    if isinstance(value, str) and field not in ("image", "audio"):
        return value
    if field == "audio":
        return audio.check_audio(value)
    if field == "text":
        raise DataError(f"shift {name!r} takes a text (str); got {type(value).__name__}")
    return codecs.image(value)


class Corrupt:
    """A shift as a transform of image tensors, for one image or a batch.

    Args:
        name: the shift's name, of an image shift.
        severity: 0 to 5.
        seed: seed of the random words.
        **params: options of the shift.

    Raises:
        PluginError, ParamsError, RangeError: as `corrupt`.
    """

    def __init__(self, name: str, severity: float = 3.0, seed: int = 0, **params: object) -> None:
        self._shift, self._options = _shift(name, params)
        if self._shift.FIELD != "image" and name != "identity":
            noun = "texts" if self._shift.FIELD == "text" else "samples with a mask"
            raise ParamsError(f"shift {name!r} changes {noun}; Corrupt takes images")
        self.name, self.severity, self.seed = name, severity, seed
        rng = _words(seed, name, "")
        self._apply(np.zeros((1, 1), dtype=np.uint8), rng)  # a wrong severity or option is an error now

    def __call__(self, images: torch.Tensor, keys: Sequence[str] | str | None = None) -> torch.Tensor:
        """Shifted images, same shape, dtype and device.

        On the CPU the result is `corrupt`'s to the byte. On a GPU a shift that has a torch implementation
        (docs/list_of_shifts.md) is computed there, within its TOLERANCE; any other on the CPU.

        Args:
            images: (c, h, w) or (n, c, h, w) with c 1 or 3; uint8, or floating in 0 to 1 (rounded to
                256 levels first).
            keys: identity of each image (one str for one image). Without keys an image's own
                pixels are its identity: pure, but equal images get the same noise.

        Raises:
            DataError: another shape or dtype, or not one key for each image.
            RangeError: floating values outside 0 to 1.
        """
        from shiftbench.evaluation.apply_torch import apply_batch, to_arrays, to_tensor

        batch = _as_bytes(images)
        names = [keys] if isinstance(keys, str) else keys
        if names is not None and len(names) != len(batch):
            raise DataError(f"{len(batch)} images need as many keys; got {len(names)}")
        if not len(batch):
            return images.clone()
        arrays = to_arrays(batch) if names is None or not batch.is_cuda else []
        streams = [_words(self.seed, self.name, key) for key in names or map(content_key, arrays)]
        if batch.is_cuda:
            result = apply_batch(self._shift, batch, self.severity, streams, self._options)
        else:
            pairs = zip(arrays, streams, strict=True)
            result = to_tensor([self._apply(image, stream) for image, stream in pairs])
        result = result.reshape(images.shape)
        return result.to(images.dtype) / 255 if images.is_floating_point() else result

    def __repr__(self) -> str:
        """The call that makes this transform."""
        return f"Corrupt({self.name!r}, severity={self.severity:g}, seed={self.seed})"

    def _apply(self, image: np.ndarray, rng: RandomStream) -> np.ndarray:
        shifted: np.ndarray = self._shift.apply(image, self.severity, rng, **self._options)
        return shifted


def _shift(name: str, params: dict[str, object]) -> tuple[ModuleType, dict[str, object]]:
    shift = registry.find("shifts", name)
    if getattr(shift, "DOMAIN", None):
        raise ParamsError(
            f"shift {name!r} is a domain shift: other data ({shift.DOMAIN['dataset']}), "
            "which cannot be applied to an image"
        )
    unknown = params.keys() - registry.defaults(shift).keys()
    if unknown:
        raise ParamsError(
            f"shift {name!r} has no option {min(unknown)!r} ({suggest(min(unknown), registry.defaults(shift))})"
        )
    return shift, {**registry.defaults(shift), **params, **originals(shift)}


def originals(shift: ModuleType) -> dict[str, object]:
    """Folders of the originals that a shift reads, as far as `shiftbench fetch` brought them."""
    if not getattr(shift, "SOURCES", ()):
        return {}
    from shiftbench.data.source_files import original_folder

    folders = {name: original_folder(name) for name in shift.SOURCES}
    return {"sources": {name: folder for name, folder in folders.items() if folder.is_dir()}}


def _words(seed: int, name: str, key: str) -> RandomStream:
    return RandomStream(seed, name, key.partition("/")[0] if "/" in key else "", key)


def content_key(value: np.ndarray | str) -> str:
    """Identity of a value that has no key: a hash of its pixels, its samples of sound, or its text in UTF-8."""
    content = value.encode() if isinstance(value, str) else np.ascontiguousarray(value).data
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _as_bytes(images: torch.Tensor) -> torch.Tensor:
    """Uint8 (n, c, h, w) of a tensor (c, h, w) or (n, c, h, w)."""
    import torch

    if images.ndim not in (3, 4) or images.shape[-3] not in (1, 3):
        raise DataError(f"images are (c, h, w) or (n, c, h, w) with c 1 or 3; got {tuple(images.shape)}")
    batch = images.reshape(-1, *images.shape[-3:])
    if images.is_floating_point():
        if batch.numel() and not (batch.min() >= 0 and batch.max() <= 1):
            raise RangeError("floating images lie in 0 to 1; shift before normalising, or pass uint8")
        return (batch * 255).round().to(torch.uint8)
    if images.dtype != torch.uint8:
        raise DataError(f"images are uint8, or floating in 0 to 1; got {images.dtype}")
    return batch
