"""Background adversarial: what is behind the object becomes busier, and leads a classifier astray.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: the guidance of `background_guided`
with the loss of a classifier in addition to the complexity, lambda 20. Differs: pixels are moved, not a diffusion
model; both gradients are brought to one size and added, which the paper weighs otherwise. The classifier is the one
model that sees its own attack, for all others the edit is a transfer.

A severity is a tenth of lambda, as for `background_guided`. Where the mask is 255 the image keeps its bytes; the mask
does not change. Takes no random words. Its bytes are those of the weights; without weights (in Python) only severity
0 can be applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels, _masks
from shiftbench.systems.imagenet_e.shifts import _complexity, background_guided

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = _levels.RANGE
INPUTS = True


class Options(declare.Options):
    model: str = Field("convnet", description="architecture of the classifier that is attacked")
    options: dict[str, Any] = Field({}, description="options of this architecture")
    trainer: str = Field("erm", description="trainer of the classifier")
    seed: int = Field(0, ge=0, description="training seed of the classifier")
    learnt_from: str = Field("", description="data set that the classifier was trained on; empty: the shifted one")
    steps: int = Field(10, ge=1, description="steps along the gradients")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The classifier's checkpoint."""
    dataset = params["learnt_from"] or params["dataset"]
    return [refs.checkpoint(dataset, params["model"], params["trainer"], params["seed"])]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The model whose code gives the gradient."""
    return [("models", params["model"])]


def apply(
    value: Sample, severity: float, rng: RandomStream, *, inputs: Mapping[Ref, Path] | None = None, **params: Any
) -> Sample:
    """A sample with a busier background, on which the classifier errs rather.

    Args:
        value: with `image`, uint8 (h, w) or (h, w, 3) as large as the classifier's input, `mask`, uint8 (h, w), and
            `label`.
        severity: 0 to 5.
        rng: not used.
        inputs: where the weights lie.
        **params: options of the shift.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: a field or the weights are missing, or the classifier's input has another size.
    """
    (size,) = _levels.at(__name__, background_guided.LEVELS, severity, zero=0.0)
    image, mask = _masks.fields(__name__, value)
    if severity == 0:
        return value.with_field("image", np.ascontiguousarray(image).copy())
    checkpoints = [path for ref, path in (inputs or {}).items() if ref.kind == "checkpoints"]
    if not checkpoints:
        raise DataError("background_adversarial asks a classifier, which is not here; ask for the shift in a benchmark")
    options = {**Options().model_dump(), **params}
    loss = _loss(str(checkpoints[0]), options["model"], tuple(sorted(options["options"].items())))
    behind = _masks.behind(image, mask)
    busier = _complexity.guide(behind, size, options["steps"], loss(value, behind, mask))
    other = busier.astype(np.int16) - behind
    return value.with_field("image", _masks.changed(image, mask, other, 256))


@lru_cache(maxsize=4)
def _loss(checkpoint: str, model: str, options: tuple[tuple[str, Any], ...]) -> _Loss:
    return _Loss(Path(checkpoint), model, dict(options))


class _Loss:
    """A classifier's cross-entropy, whose gradient an image follows."""

    def __init__(self, checkpoint: Path, model: str, options: dict[str, Any]) -> None:
        import torch  # here, since planning does without

        from shiftbench.evaluation import nets

        self._torch, self._nets = torch, nets
        self._plugin = registry.find("models", model)
        self._params = {**registry.defaults(self._plugin), **options}
        network = self._plugin.build(self._params, len(nets.classes_of(checkpoint)))
        nets.load_into(network, nets.read_state(checkpoint), checkpoint)
        self._network = network.eval().requires_grad_(requires_grad=False)

    def __call__(
        self, sample: Sample, behind: NDArray[np.uint8], mask: NDArray[np.uint8]
    ) -> Callable[[list[_complexity.Field]], list[_complexity.Field]]:
        """The gradient of a sample's loss as a function of its background's channels, float32 (h, w) each.

        Raises:
            DataError: the classifier's input has another size than the image.
        """
        shape = self._nets.prepare(self._plugin, [sample], self._params).shape[1:]
        image = sample.fields["image"]
        if shape != (1 if image.ndim == 2 else 3, *image.shape[:2]):
            raise DataError(
                f"background_adversarial: the classifier's input is {shape}, the image {image.shape}; give `options` "
                "that leave its size as it is"
            )
        tensor, label = self._torch.from_numpy, self._torch.tensor([int(sample.fields["label"])])
        planes = image - behind * (_masks.like(255 - mask, image) / 255)
        alone = tensor(np.atleast_3d(planes).transpose(2, 0, 1).astype(np.float32))
        free = tensor((255 - mask).astype(np.float32) / 255)
        return lambda channels: self._gradient(channels, alone, free, label)

    def _gradient(
        self, channels: list[_complexity.Field], alone: Any, free: Any, label: Any
    ) -> list[_complexity.Field]:
        """The loss's gradient at a background, over which the object lies: `alone` + `free` x background."""
        torch, threads = self._torch, self._torch.get_num_threads()
        torch.set_num_threads(1)  # sums in one order
        background = torch.from_numpy(np.stack(channels)).requires_grad_()
        loss = torch.nn.functional.cross_entropy(self._network((alone + free * background)[None]), label)
        (gradient,) = torch.autograd.grad(loss, background)
        torch.set_num_threads(threads)
        return [np.ascontiguousarray(one) for one in gradient.numpy()]
