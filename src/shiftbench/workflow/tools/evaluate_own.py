"""`shiftbench.evaluate`: your own model on folders of shards, in a notebook, without the workflow."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import Outputs
from shiftbench.workflow.stages import evaluate as stage

if TYPE_CHECKING:
    import polars as pl

Transform = Callable[[torch.Tensor], torch.Tensor]
_FEW = 20  # fewer samples cannot show whether a model only guesses


def evaluate(  # noqa: PLR0913 - the preparation of a model's input, each part with a default
    model: torch.nn.Module | Callable[[list[Sample]], Any],
    suite: Path | str | Iterable[Path | str],
    classes: list[str] | None = None,
    batch_size: int = 256,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    transform: Transform | None = None,
) -> pl.DataFrame:
    """Evaluate your own model on folders of shards, in a notebook, without the workflow.

    A torch module gets float32 (n, channels, height, width): the stored pictures (grey ones have one channel) divided
    by 255, so in 0 to 1; then `transform`, then `mean` and `std`. A description of the first batch is printed.

    Args:
        model: a torch module that gives logits (n, C), on the device where its parameters are; or a function of a list
            of `Sample` that gives logits (n, C) or a dict of outputs, and prepares pictures itself.
        suite: a folder of shards, or several; also URLs (`s3://bucket/folder`, `https://host/folder`), whose tars are
            read when needed, and not stored.
        classes: the model's class names in the order of its logits; default: the dataset's.
        batch_size: samples per call.
        mean: one number per channel that is subtracted from values in 0 to 1 (ImageNet: 0.485, 0.456, 0.406).
        std: one number per channel that values are divided by (ImageNet: 0.229, 0.224, 0.225).
        transform: applied to a batch in 0 to 1 before `mean` and `std`, such as torchvision's `v2.Resize(224)`, or
            `lambda x: x.expand(-1, 3, -1, -1)` for grey pictures and a colour model.

    Returns:
        A Polars frame: dataset, split, shift, severity, n, accuracy, and its 95% interval (Wilson).

    Warns:
        UserWarning: the accuracy on clean pictures equals guessing, for example because the input is not normalised.

    Raises:
        ParamsError: shards of a task without accuracy, or `mean` and `std` that do not fit.
        ModelError: the model refuses its input, or gives no logits for the classes.

    Example, over all shifts of a dataset::

        evaluate(net, Path("data/shards/fashion_mnist/test").glob("*/*"), mean=[0.2860], std=[0.3530])
    """
    wrapped = CountedClasses(_prepared(model, mean, std, transform) if isinstance(model, torch.nn.Module) else model)
    rows: pl.DataFrame = stage.evaluate(wrapped, suite, classes, batch_size)
    _warn_of_guessing(rows, wrapped.classes)
    return rows


class CountedClasses:
    """A model that keeps the number of its classes."""

    def __init__(self, model: Callable[[list[Sample]], Any]) -> None:
        self.model = model
        self.classes = 0

    def __call__(self, samples: list[Sample]) -> Outputs:
        """The outputs of the model, at least `logits`."""
        raw = self.model(samples)
        outputs: Outputs = raw if isinstance(raw, dict) else {"logits": np.asarray(raw)}
        if "logits" in outputs and outputs["logits"].ndim == 2:
            self.classes = outputs["logits"].shape[1]
        return outputs


def _prepared(
    model: torch.nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None, transform: Transform | None
) -> Callable[[list[Sample]], Outputs]:
    """The model with the preparation of its pictures."""
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    described: list[str] = []

    def predict(samples: list[Sample]) -> Outputs:
        batch = _in_0_to_1(samples)
        batch = batch if transform is None else transform(batch)
        batch = _normalised(batch, mean, std)
        if not described:
            described.append(_describe(batch))
            print(f"evaluate: the model gets {described[0]}", file=sys.stderr)  # noqa: T201 - for the user
        return {"logits": _logits(model, batch.to(device), described[0])}

    return predict


def _in_0_to_1(samples: list[Sample]) -> torch.Tensor:
    images = [np.atleast_3d(sample.fields["image"]) for sample in samples]
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ModelError(
            f"pictures of different shapes cannot be one batch: {', '.join(map(str, sorted(shapes)[:3]))}; give "
            "batch_size=1, or a function of samples that prepares them"
        )
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _normalised(batch: torch.Tensor, mean: Sequence[float] | None, std: Sequence[float] | None) -> torch.Tensor:
    channels = batch.shape[1]
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) != channels:
            raise ParamsError(
                f"{name} has {len(values)} numbers, and the pictures have {channels} "
                f"channel{'s' if channels > 1 else ''}; expected one number for each"
            )
    if mean is not None:
        batch = batch - torch.tensor(mean).view(1, -1, 1, 1)
    return batch if std is None else batch / torch.tensor(std).view(1, -1, 1, 1)


def _describe(batch: torch.Tensor) -> str:
    shape = ", ".join(("n", *map(str, batch.shape[1:])))
    low, high, mean = float(batch.min()), float(batch.max()), float(batch.mean())
    return (
        f"float32 ({shape}), in the first batch from {low:.3g} to {high:.3g}, mean {mean:.3g}; "
        "mean=, std= and transform= change that"
    )


def _logits(model: torch.nn.Module, batch: torch.Tensor, description: str) -> np.ndarray[Any, Any]:
    try:
        with torch.inference_mode():
            output = model.eval()(batch)
    except RuntimeError as error:
        raise ModelError(f"the model refuses its input: {str(error).splitlines()[0]}. Input: {description}") from error
    if not isinstance(output, torch.Tensor):
        raise ModelError(
            f"the model gives a {type(output).__name__}, expected logits; give a function of samples instead"
        )
    logits: np.ndarray[Any, Any] = output.float().cpu().numpy()
    return logits


def _warn_of_guessing(results: pl.DataFrame, classes: int) -> None:
    """Warn if the accuracy on clean pictures equals guessing; without clean pictures, on all folders."""
    clean = results.filter(results["severity"] == 0)
    rows = (clean if len(clean) else results).rows(named=True)
    guessed = [row for row in rows if row["n"] >= _FEW and row["ci_low"] <= 1 / max(classes, 1)]
    if not guessed or len(guessed) < len(rows):
        return
    row = guessed[0]
    warnings.warn(
        f"{row['dataset']}/{row['split']}/{row['shift']}: accuracy {100 * row['accuracy']:.1f}% is that of guessing "
        f"among {classes} classes. If the model was trained on normalised pictures, give mean= and std=; for another "
        "size or number of channels, give transform=; for another order of classes, give classes=",
        stacklevel=3,
    )
