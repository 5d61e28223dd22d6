"""Models and their checkpoints: build, load safely, write deterministically, predict.

A *predictor* is called with samples and gives `{"logits": float32 (n, classes), "features": float32
(n, d)}`. A model with `build` becomes a `TorchPredictor`; a black box brings its own through `load`.
"""

import json
import pickle
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample

Array = npt.NDArray[Any]
_ESCAPES = re.compile(r"\x1b\[[\d;]*m")  # colours in the messages of torch
State = dict[str, torch.Tensor]
Outputs = dict[str, Array]

LARGEST_HEADER = 10_000_000
"""Largest number of bytes of a checkpoint's header, enough for 50,000 tensors."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Predictor(Protocol):
    """Interface that evaluation calls: samples in, arrays with one row per sample out."""

    def __call__(self, samples: Sequence[Sample]) -> Outputs:
        """At least `logits`, float32 (n, classes)."""
        ...


class TorchPredictor:
    """A trained model with the interface of `models/`, on one device.

    Attributes:
        net: the module in evaluation mode, with `features(x)` and `head(features)`.
        device: of the model.
        precision: `float32` (TF32 off), `bfloat16` or `float16`.
    """

    def __init__(
        self,
        net: torch.nn.Module,
        model: ModuleType,
        params: Mapping[str, Any],
        device: str = "auto",
        precision: str = "float32",
    ) -> None:
        self.device = pick_device(device)
        self.precision = precision
        self.net = place(net, self.device).eval()
        self.model, self.params = model, params

    def __call__(self, samples: Sequence[Sample]) -> Outputs:
        """Prepare and predict; out of memory on the GPU passes through as OutOfMemoryError."""
        return self.predict_prepared(self.prepare(samples))

    def prepare(self, samples: Sequence[Sample]) -> Array:
        """Input of the model for samples, one row each."""
        return prepare(self.model, samples, self.params)

    def predict_prepared(self, batch: Array) -> Outputs:
        """Predict a batch that `prepare` made.

        Args:
            batch: (n, ...), as the model's `prepare` gives it.

        Returns:
            `logits` float32 (n, classes) and `features` float32 (n, d).
        """
        with torch.inference_mode(), self.autocast():
            features, logits = both(self.net, to_inputs(batch, self.device))
        return {"logits": to_numpy(logits), "features": to_numpy(features)}

    def autocast(self) -> AbstractContextManager[Any]:
        """Context that computes in this predictor's precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.precision])


def place(net: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a model to a device, its convolutions with channels last.

    On CPUs that layout is 1.5 times faster (measured: EfficientNet-Lite0 at 128 px).
    """
    model: torch.nn.Module = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def to_inputs(batch: Array, device: torch.device) -> Any:
    """Prepared batch as input of a model: a tensor (n, ...), or for a structured array one tensor per field in a dict.

    So a model of several inputs, such as a picture and a question, prepares one array of n rows like any other.

    Args:
        batch: (n, ...) uint8 or float32, or (n,) with fields.
        device: of the model.
    """
    if batch.dtype.names is None:
        return torch.from_numpy(batch).to(device)
    parts = {name: np.ascontiguousarray(batch[name]) for name in batch.dtype.names}
    return {name: torch.from_numpy(part).to(device) for name, part in parts.items()}


def both(net: Any, inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and logits of `to_inputs`; a model whose head needs more than features defines `predict`."""
    if hasattr(net, "predict"):
        features, logits = net.predict(inputs)
        return features, logits
    features = net.features(inputs)
    return features, net.head(features)


def with_head(model: ModuleType, state: State, weight: torch.Tensor, bias: torch.Tensor) -> State:
    """A state dict whose head is another linear layer; a model may say how (`with_head`).

    Args:
        model: plugin of the type `models`.
        state: of the model; empty for a black box, which keeps only its head.
        weight: (classes, d).
        bias: (classes,).
    """
    head = {"head.weight": weight.float(), "head.bias": bias.float()}
    new_state: State = {**state, **head}
    return model.with_head(new_state) if hasattr(model, "with_head") else new_state


def to_numpy(tensor: torch.Tensor) -> Array:
    """A tensor as a float32 array on the CPU."""
    return tensor.detach().float().cpu().numpy()


def prepare(model: ModuleType, samples: Sequence[Sample], params: Mapping[str, Any]) -> Array:
    """Input of a model for samples: its `prepare_batch`, else `prepare` one by one."""
    if hasattr(model, "prepare_batch"):
        return np.asarray(model.prepare_batch(samples, params))
    return np.stack([model.prepare(sample, params) for sample in samples])


def pick_device(name: str = "auto") -> torch.device:
    """Device named `auto`, `cpu`, `cuda` or `cuda:1`; TF32 is turned off.

    Raises:
        ModelError: CUDA was asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ModelError(f"device {name!r} asked for, but torch sees no CUDA device; use auto or cpu")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return torch.device(name)


def load_predictor(  # noqa: PLR0913 - the contract of a model
    model: ModuleType,
    weights: Path,
    params: Mapping[str, Any],
    classes: Sequence[str],
    device: str = "auto",
    *,
    precision: str = "float32",
    inputs: Mapping[Ref, Path] | None = None,
) -> Predictor:
    """Load the predictor of a model plugin and a checkpoint.

    Args:
        model: plugin of the type `models`.
        weights: safetensors file that a trainer's result was written to.
        params: the model's options, merged with its defaults.
        classes: names of the classes, in the order of the logits.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        precision: `float32`, `bfloat16` or `float16`.
        inputs: paths of the model's `needs`; black boxes read their originals there.

    Raises:
        ModelError: the checkpoint is of another architecture or number of classes.
    """
    if hasattr(model, "load"):
        black_box: Predictor = model.load(weights, params, classes, device, inputs or {})
        return black_box
    network = model.build(params, len(classes))
    load_into(network, read_state(weights), weights)
    if hasattr(model, "predictor"):  # of a task whose answers are no logits
        predictor: Predictor = model.predictor(network, model, params, device, precision)
        return predictor
    return TorchPredictor(network, model, params, device, precision)


def classes_of(weights: Path) -> list[str]:
    """Class names, in the order of the logits, from the metadata of a checkpoint.

    Raises:
        ModelError: the file states none, or cannot be read.
    """
    _check_header(weights)
    try:
        with safetensors.safe_open(weights, framework="pt") as checkpoint:
            classes = json.loads((checkpoint.metadata() or {}).get("classes", "null"))
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise ModelError(f"{weights} is no readable safetensors file: {error}") from None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ModelError(f"{weights} does not state its classes; make it with the train stage (`given` for yours)")
    return classes


def _check_header(file: Path) -> None:
    """Refuse a safetensors file whose header would take gigabytes.

    Raises:
        ModelError: its header is too long, or not there.
    """
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
    if size > LARGEST_HEADER:
        raise ModelError(
            f"{file} is refused: its header has {size} bytes, and may have {LARGEST_HEADER}; save fewer tensors"
        )


def load_into(net: torch.nn.Module, state: State, where: Path | str) -> None:
    """Load a state dict that must contain every tensor with its shape.

    Raises:
        ModelError: names the file and the first tensors that are missing, unknown or of another shape.
    """
    expected = net.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in expected]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    if problems:
        raise ModelError(
            f"{where} does not fit {type(net).__name__}: {'; '.join(problems[:4])}"
            f"{f' and {len(problems) - 4} more' if len(problems) > 4 else ''}; "
            "give the model the options that it was trained with, or train it again"
        )
    net.load_state_dict(state)


def read_state(file: Path) -> State:
    """Read a checkpoint without running code from it: safetensors, or torch with `weights_only=True`.

    A checkpoint that nests its tensors under `state_dict` or `model` is unwrapped.

    Raises:
        ModelError: missing, damaged, holding something else than tensors, or needing pickle.
    """
    if not file.is_file():
        raise ModelError(f"checkpoint {file} does not exist; check `path:` or run the train stage")
    if file.suffix == ".safetensors":
        _check_header(file)
        try:
            return safetensors.torch.load_file(file)
        except safetensors.SafetensorError as error:
            raise ModelError(
                f"{file} is no readable safetensors file: {error}; if a run made it, `shiftbench repair {file}` makes "
                "it again"
            ) from None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = _ESCAPES.sub("", str(error)).splitlines()[0]
        raise ModelError(
            f"{file} is refused: it holds pickled Python objects, and loading it could run code ({reason}); "
            "save `model.state_dict()` as safetensors"
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        raise ModelError(f"{file} is no readable torch checkpoint: {error}") from None
    return _unwrap(content, file)


def _unwrap(content: Any, file: Path) -> State:
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(torch.is_tensor(value) for value in content.values()):
        raise ModelError(f"{file} holds no state dict of tensors; save `model.state_dict()`")
    return dict(content)


def state_bytes(state: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Safetensors file of a state dict: equal tensors and metadata give equal bytes."""
    tensors = {name: state[name].detach().cpu().contiguous() for name in sorted(state)}
    return _sorted_header(safetensors.torch.save(tensors, dict(metadata or {})))


def _sorted_header(data: bytes) -> bytes:
    """Rewrite a safetensors header with sorted keys: the library writes metadata in random order."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def check_outputs(outputs: Outputs, count: int, classes: int, model: str) -> None:
    """Refuse outputs that cannot become records.

    Raises:
        ModelError: no logits, or not one finite row per sample with one value per class.
    """
    logits = outputs.get("logits")
    if logits is None:
        raise ModelError(f"model {model} gave {sorted(outputs)}, expected logits")
    if logits.shape != (count, classes):
        raise ModelError(
            f"model {model} gave logits of shape {tuple(logits.shape)}, expected ({count}, {classes}): "
            f"{count} samples and {classes} classes; choose the model's classes to fit the dataset"
        )
