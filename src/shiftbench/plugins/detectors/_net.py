"""The network and the samples of a condition, for detectors that need gradients or inner layers.

Everything is computed per sample, in evaluation mode and in float32 (whatever `evaluate.precision` says). Which inner
layers a detector sees: by default the last map of each size, as a feature pyramid takes them (Lin et al.,
"Feature Pyramid Networks for Object Detection", CVPR 2017, section 3: layers whose maps have one size are a stage, and
its last layer stands for it). For a ResNet at 224 px these are the stem and the four stages, which are the layers of
Lee et al. 2018 and of OpenOOD. Option `layers` names modules instead, as patterns: `body.layer*.*.bn2`.

What batches change: no score looks at its neighbours, but libraries choose kernels by the batch size and these round
float32 otherwise. Measured on a CPU, batches of 1 to 96 against 32, largest relative difference of a score: 1e-11 for a
ResNet-18 and a vision transformer (all detectors), 2e-8 for a small trained ConvNet; for EfficientNet-Lite0 with random
weights 3e-7 (ODIN), 4e-6 (i-ODIN), 3e-5 (Mahalanobis ensemble) and 1e-4 (Gram, RankFeat). Signs of gradients, largest
elements and differences to bounds make more of a rounding than logits do. One batch size gives the same scores again.
"""

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, devices, nets

PerSample = Callable[[Tensor], tuple[Tensor, ...]]
Floats = NDArray[np.float64]


class Net:
    """A torch network and a folder of shards.

    Args:
        predictor: the network with its preparation of samples.
        folder: shards.
        batch_size: samples at a time; halved where a GPU's memory asks for it.
        transform: what is done to each batch of samples as it is read, in key order.

    Attributes:
        module: the network, in evaluation mode.
        seen: images that `batches` gave so far, each as often as it gave it.
    """

    def __init__(
        self,
        predictor: nets.TorchPredictor,
        folder: Path,
        batch_size: int,
        transform: Callable[[list[Sample]], list[Sample]] | None = None,
    ) -> None:
        self.predictor, self.module = predictor, predictor.net
        self.folder, self.batch_size, self.transform = folder, batch_size, transform
        self.seen = 0

    # ------------------------------------------------------------------ samples

    def batches(self) -> Iterator[Tensor]:
        """Yield the network's input in key order, float32 (n, channels, h, w) or by its parts, on its device.

        Raises:
            ChecksumError: damaged shards.
        """
        read: Iterator[list[Sample]] = batching.batches(shards.read(self.folder), self.batch_size)
        read = map(self.transform, read) if self.transform else read
        for prepared in batching.prefetch(map(self.predictor.prepare, read)):
            self.seen += len(prepared)
            yield _floats(nets.to_inputs(prepared, self.predictor.device))

    def each(self, function: PerSample) -> Iterator[tuple[Floats, ...]]:
        """Yield a function's result for each batch: tensors with a row per sample, as float64.

        Raises:
            ModelError: not finite, names the sample; or the GPU's memory is too small for one.
        """
        done = 0
        for batch in self.batches():
            parts = [part.detach().double().cpu().numpy() for part in _halving(function, batch)]
            for part in parts:
                self._check_finite(part, done)
            done += len(batch)
            yield tuple(parts)

    def _check_finite(self, part: Floats, before: int) -> None:
        finite = np.isfinite(part.reshape(len(part), -1)).all(axis=1)
        if not finite.all():
            key = shards.index(self.folder)[before + int(np.argmin(finite))].key
            raise ModelError(
                f"{self.folder}: the net's layers or gradients give no finite number for sample {key!r}; "
                "check the weights, or choose another detector"
            )

    def scored(self, function: Callable[[Tensor], Tensor]) -> Floats:
        """One value per sample in key order, float64 (n,)."""
        parts = [values for (values,) in self.each(lambda x: (function(x),))]
        return np.concatenate(parts) if parts else np.zeros(0)

    # ------------------------------------------------------------------ pixels

    @cached_property
    def limits(self) -> tuple[Tensor, Tensor]:
        """What black and white are in the network's input, float32 (1 or channels, 1, 1) each.

        A network whose `prepare` gives uint8 sees 0 to 255. The file of one that is given floats says what it sees:
        `INPUT_RANGE = (black, white)`, numbers or one per channel.

        Raises:
            ParamsError: the input is float, and the model's file does not say.
        """
        kind, model = self._first.dtype, self.predictor.model
        stated = getattr(model, "INPUT_RANGE", None)
        if stated is None and kind != np.uint8:
            raise ParamsError(
                f"model {registry.called(model)}: a detector must know how far a grey level is in the net's "
                f"input, which is {kind}; let `prepare` give uint8, or state INPUT_RANGE = (black, white) in the file"
            )
        shape = (-1,) + (1,) * (self._first.ndim - 2)
        black, white = (
            torch.tensor(end, dtype=torch.float32, device=self.predictor.device).reshape(shape)
            for end in stated or (0.0, 255.0)
        )
        return black, white

    @property
    def unit(self) -> Tensor:
        """How far 1 in pixels of [0, 1] is in the network's input, float32 (1 or channels, 1, 1); 255 for uint8."""
        black, white = self.limits
        return white - black

    @cached_property
    def _first(self) -> NDArray[Any]:
        """The prepared first sample (1, ...); not shifted, since only its shape and type matter."""
        for sample in shards.read(self.folder):
            return self.predictor.prepare([sample])
        raise DataError(f"{self.folder} holds no samples; a net cannot be looked into without one")

    # ------------------------------------------------------------------ layers

    def logits(self, x: Tensor) -> Tensor:
        """Logits float32 (n, C) of prepared inputs."""
        return nets.both(self.module, x)[1]

    def maps(self, x: Tensor, layers: Sequence[str] = ()) -> dict[str, Tensor]:
        """The maps of inner layers, float32 (n, channels, h, w); see `outputs`."""
        return self.outputs(x, layers)[1]

    def outputs(self, x: Tensor, layers: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and maps of inner layers by module name, in the order in which they are computed.

        Args:
            x: prepared inputs; gradients flow through where torch records them.
            layers: patterns of names; default: the last map of each size.

        Returns:
            Logits float32 (n, C); maps float32 (n, channels, h, w), those of tokens (n, t, d) as (n, d, t, 1).
            Of a module that is called more than once, the last.
        """
        names = self.layers(layers)
        maps: dict[str, Tensor] = {}

        def keep(name: str, output: Any) -> None:
            maps[name] = _as_map(output).clone()  # a ReLU in place may follow

        with _hooked(self.module, names, keep):
            logits = self.logits(x)
        return logits, {name: maps[name] for name in names}

    def edited(self, x: Tensor, layer: str, change: Callable[[Tensor], Tensor]) -> Tensor:
        """The logits float32 (n, C) that follow when one layer's map is changed."""
        with _hooked(self.module, [layer], lambda _, output: change(output)):
            return self.logits(x)

    def layers(self, patterns: Sequence[str] = ()) -> list[str]:
        """The names of inner layers in the order in which they are computed.

        Args:
            patterns: of module names, as in a shell; default: the last map of each size, of more than one pixel.

        Raises:
            ParamsError: a pattern fits no layer that gives a map.
            ModelError: no layer gives a map (n, channels, h, w).
        """
        if patterns:
            return self._named(patterns)
        often = Counter(name for name, _ in self._calls)
        last = {
            shape[2:]: name
            for name, shape in self._calls
            if len(shape) == 4 and shape[2] * shape[3] > 1 and often[name] == 1
        }
        if not last:
            raise ModelError(
                f"{type(self.module).__name__}: no inner layer gives a map (n, channels, h, w); name layers of tokens "
                "under the detector's `layers:`, or choose another detector"
            )
        order = [name for name, _ in self._calls]
        return sorted(last.values(), key=order.index)

    def _named(self, patterns: Sequence[str]) -> list[str]:
        known = list(dict.fromkeys(name for name, _ in self._calls))
        for pattern in patterns:
            if not fnmatch.filter(known, pattern):
                raise ParamsError(
                    f"layers: {pattern!r} is no inner layer of {type(self.module).__name__} that gives a map; "
                    f"{suggest(pattern, known)}"
                )
        return [name for name in known if any(fnmatch.fnmatchcase(name, p) for p in patterns)]

    @cached_property
    def _calls(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and output shapes of all modules that give maps or tokens, in the order of their calls."""
        shapes: list[tuple[str, tuple[int, ...]]] = []

        def note(name: str, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim in (3, 4):
                shapes.append((name, tuple(output.shape)))

        names = [name for name, _ in self.module.named_modules() if name]
        x = _floats(nets.to_inputs(self._first, self.predictor.device))
        with torch.no_grad(), _hooked(self.module, names, note):
            self.logits(x)
        return shapes


def signs(gradient: Tensor) -> Tensor:
    """+1 where a gradient is 0 or more and -1 elsewhere, as the code of ODIN and of Lee et al. does."""
    return torch.where(gradient >= 0, 1.0, -1.0)


@contextmanager
def _hooked(module: torch.nn.Module, names: Sequence[str], hook: Callable[[str, Any], Any]) -> Iterator[None]:
    """Call `hook(name, output)` after the modules of these names; what it returns replaces the output, unless None."""
    handles = [
        module.get_submodule(name).register_forward_hook(lambda _module, _inputs, output, name=name: hook(name, output))
        for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _as_map(output: Tensor) -> Tensor:
    return output if output.ndim == 4 else output.transpose(1, 2)[..., None]


def _halving(function: PerSample, x: Tensor) -> tuple[Tensor, ...]:
    """Call a function of independent samples on as large pieces as a GPU's memory takes."""
    taken = x if len(x) > 1 else torch.cat([x, x])  # CPU kernels round a single sample otherwise
    try:
        return tuple(part[: len(x)] for part in function(taken))
    except devices.out_of_memory() as error:
        if len(x) == 1:
            raise ModelError(f"out of GPU memory with a single sample: {error}") from None
    half = len(x) // 2
    parts = _halving(function, x[:half]), _halving(function, x[half:])
    return tuple(torch.cat(pair) for pair in zip(*parts, strict=True))


def _floats(inputs: Any) -> Any:
    """A network's input, or each part of it, as float32."""
    if isinstance(inputs, dict):
        return {name: part.float() for name, part in inputs.items()}
    return inputs.float()
