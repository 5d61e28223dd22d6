"""Files and functions of users: any error that they, or their readers, raise becomes one message."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base import files
from shiftbench.base.errors import ModelError, ShiftbenchError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _given

_LINE = 300  # characters of a foreign message


@contextmanager
def reading(file: Path, kind: str) -> Iterator[None]:
    """Say in our words that a file cannot be read.

    Args:
        file: the user's.
        kind: what it should be: `onnx`, `torchscript`.

    Raises:
        ModelError: what is inside raised something, other than an error of ours.
    """
    try:
        yield
    except ShiftbenchError:
        raise
    except Exception as error:
        raise ModelError(
            f"{file} cannot be read as {kind}: {_looks(file)}{first_line(error)}; save or download it again"
        ) from error


@contextmanager
def asking(path: str, fed: NDArray[Any] | None = None) -> Iterator[None]:
    """Say in our words that a model fails on what it is fed.

    Args:
        path: of the model, as params have it.
        fed: its input; None: samples, as they are.

    Raises:
        ModelError: what is inside raised something, other than an error of ours.
    """
    try:
        yield
    except ShiftbenchError:
        raise
    except Exception as error:
        what = "a list of samples"
        if fed is not None:
            shape = ", ".join(("n", *map(str, fed.shape[1:])))
            what = f"{fed.dtype} ({shape}); `channels` and `size` at the model in params.yaml change that"
        raise ModelError(f"model {path} fails on {what}: {first_line(error)}") from error


def numbers(output: Any, path: str) -> NDArray[np.float32]:
    """The output of a model as an array.

    Raises:
        ModelError: it is none: lists of several lengths, texts, nothing.
    """
    try:
        if output is None:
            raise TypeError
        return np.asarray(output, np.float32)
    except (TypeError, ValueError):
        raise ModelError(
            f"model {path} gave a {type(output).__name__} that is no array of numbers; expected logits "
            "(samples, classes)"
        ) from None


def predictor(module: torch.nn.Module, params: Mapping[str, Any], classes: int, place: torch.device) -> nets.Predictor:
    """Predictor that feeds scaled images to a torch module and reads its logits and features.

    `module`: on `place`; float32 (n, channels, size, size) to (n, classes), or a pair with features.
    `params`: of the model, with its `path` and how images are scaled.
    """

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        fed = _given.scaled(samples, params)
        with torch.inference_mode(), asking(params["path"], fed):
            outputs = module(torch.from_numpy(fed).to(place))
        return _given.outputs(arrays(outputs, params["path"]), len(samples), classes, params["path"])

    return predict


def arrays(outputs: Any, path: str) -> list[NDArray[np.float32]]:
    """Outputs of a torch module as arrays: logits, and features if it returns some.

    Raises:
        ModelError: it is neither a tensor nor a pair of them.
    """
    parts = outputs if isinstance(outputs, list | tuple) else (outputs,)
    if not parts or not all(isinstance(part, torch.Tensor) for part in parts[:2]):
        raise ModelError(
            f"model {path} gave a {type(outputs).__name__}; expected a tensor of logits, or a pair with features"
        )
    return [nets.to_numpy(part) for part in parts[:2]]


def first_line(error: Exception) -> str:
    """The type of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:_LINE]}" if lines else type(error).__name__


def _looks(file: Path) -> str:
    description = files.describe_type(file) if file.is_file() else ""
    return f"{description}; " if description else ""
