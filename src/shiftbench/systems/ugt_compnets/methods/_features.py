"""Feature maps of an inner layer, positions of length 1, and directions that are drawn from them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets

SMALLEST = 1e-6


class Extractor:
    """A model's layer as a function of images.

    Args:
        predictor: around a torch model.
        layer: the name of a module whose output is a map, (n, D, H, W).

    Raises:
        ModelError: a black box.
        ParamsError: the model has no such layer.
    """

    def __init__(self, predictor: Any, layer: str) -> None:
        if not isinstance(predictor, nets.TorchPredictor):
            raise ModelError("compnet needs a net whose layers can be read, and this model is a black box")
        names = [name for name, _ in predictor.net.named_modules() if name]
        if layer not in names:
            raise ParamsError(f"compnet: the net has no layer {layer!r}; {suggest(layer, names)}")
        self.predictor, self.layer = predictor, layer
        self._seen: list[torch.Tensor] = []
        predictor.net.get_submodule(layer).register_forward_hook(self._keep)

    def _keep(self, _module: torch.nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        self._seen[:] = [output]

    def prepare(self, samples: Sequence[Sample]) -> np.ndarray[Any, Any]:
        """The model's input for samples, one row each."""
        return self.predictor.prepare(samples)

    def of_prepared(self, batch: np.ndarray[Any, Any]) -> torch.Tensor:
        """The map of prepared images, float32 (n, D, H, W) on the CPU, each position of length 1.

        Raises:
            ParamsError: the layer's output is no map.
        """
        with torch.no_grad(), self.predictor.autocast():
            self.predictor.net.features(nets.to_inputs(batch, self.predictor.device))  # type: ignore[operator]
        maps = self._seen.pop() if self._seen else torch.empty(0)
        if maps.ndim != 4:
            raise ParamsError(
                f"compnet: layer {self.layer!r} gives {tuple(maps.shape)} on the way to features, expected a map "
                "(n, D, H, W); name an earlier one"
            )
        return F.normalize(maps.float().cpu().contiguous(), dim=1, eps=SMALLEST)

    def __call__(self, samples: Sequence[Sample]) -> torch.Tensor:
        """The map of samples."""
        return self.of_prepared(self.prepare(samples))

    def all(self, batches: Iterable[Sequence[Sample]]) -> torch.Tensor:
        """The maps of all batches."""
        return torch.cat([self(batch) for batch in batches])


def directions(maps: torch.Tensor, positions: int, border: int, words: RandomStream) -> torch.Tensor:
    """Features of drawn positions, (n x min(positions, those within the border), D).

    Args:
        maps: (n, D, H, W).
        positions: how many of each image.
        border: rows and columns at each side that are not drawn from.
        words: of the draws, one for each position within the border.

    Raises:
        ParamsError: nothing lies within the border.
    """
    height, width = maps.shape[2:]
    if min(height, width) <= 2 * border:
        raise ParamsError(
            f"compnet: a map of {height} x {width} has no position within a border of {border}; set a smaller one"
        )
    inner = maps[:, :, border : height - border, border : width - border].flatten(2)
    count = min(positions, inner.shape[2])
    order = np.argsort(words.raw(len(maps) * inner.shape[2]).reshape(len(maps), -1), axis=1)
    rows = torch.from_numpy(order[:, :count].astype(np.int64))
    chosen_features = inner.gather(2, rows[:, None].expand(-1, inner.shape[1], -1))
    return chosen_features.permute(0, 2, 1).reshape(-1, inner.shape[1])
