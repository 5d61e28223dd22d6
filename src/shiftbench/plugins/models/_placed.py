"""Networks with their weights on a device, for predictors whose answers are no logits (else `TorchPredictor`)."""

import contextlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import torch

from shiftbench.evaluation import nets


class PlacedNet:
    """A network on one device; subclasses say what they answer.

    Attributes:
        network: the module in evaluation mode.
        device: where it computes.
        precision: `float32` (TF32 off), `bfloat16` or `float16`, in `computing`.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        model: ModuleType,
        params: Mapping[str, Any],
        device: str = "auto",
        precision: str = "float32",
    ) -> None:
        self.device = nets.pick_device(device)
        self.net: Any = nets.place(network, self.device).eval()
        self.model, self.params, self.precision = model, params, precision

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients, in this predictor's precision."""
        kind = nets.PRECISIONS[self.precision]
        autocast = torch.autocast(self.device.type, kind, enabled=self.precision != "float32")
        with torch.inference_mode(), autocast:
            yield
