"""Checks of the user's own models and their trainers, before any job starts."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base import files, registry
from shiftbench.base.errors import ParamsError, check_all
from shiftbench.workflow.plan.params import Benchmark, Models, Params

GIVEN, PRETRAINED = "given", "pretrained"
_ONE_FILE = "callable checkpoint onnx onnx_detection predictions torch_export torchscript".split()
_CHANNELS = 3
_BY_CONTENT = {
    "checkpoint": "a state dict",
    "onnx": "an ONNX graph",
    "predictions": "a table of predictions",
    "torch_export": "a program of torch.export",
    "torchscript": "a TorchScript module",
}
"""Formats of models that a file's content shows, in words."""
_SPELLED = {
    "checkpoint": "{{use: checkpoint, path: {path}, net: NET}}, with the model plugin, `torchvision` or `timm` as NET",
    "onnx": "{{use: onnx, path: {path}}}",
    "predictions": "{{use: predictions, path: {path}}}",
    "torch_export": "{{use: torch_export, path: {path}, trust: true}}",
    "torchscript": "{{use: torchscript, path: {path}, trust: true}}",
}
"""What params have for each of them."""


def with_trainers(where: str, params: Params) -> Params:
    """Params in which all models name trainers: `given` for models from files without one.

    Raises:
        ParamsError: a model needs training, and params name no trainer.
    """
    benchmarks = {
        name: _with_trainers(f"{where}: benchmarks.{name}.models", params, benchmark)
        for name, benchmark in params.benchmarks.items()
    }
    return params.model_copy(update={"benchmarks": benchmarks})


def _with_trainers(where: str, params: Params, benchmark: Benchmark) -> Benchmark:
    if all(spec.trainers for spec in benchmark.models):
        return benchmark
    models = tuple(spec if spec.trainers else _with_given(where, params, spec) for spec in benchmark.models)
    return benchmark.model_copy(update={"models": models})


def _with_given(where: str, params: Params, spec: Models) -> Models:
    for name in spec.architectures:
        module, options = _module_and_options(params, name)
        if registry.defines(module, "build") and not options.get("path"):
            raise ParamsError(
                f"{where}: no trainers are named, and the model {name!r} needs training; "
                "expected for example `trainers: [erm]`, or `trainers: [pretrained]` if it has released weights"
            )
    return spec.model_copy(update={"trainers": (GIVEN,)})


def check(where: str, params: Params) -> None:
    """Refuse models that would fail: a file with a trainer that trains, untrusted code, means for other channels.

    All faults are told at once.

    Raises:
        ParamsError: names file, key, value and the expected value.
    """
    checks: list[Callable[[], None]] = []
    for benchmark_name, benchmark in params.benchmarks.items():
        for spec in benchmark.models:
            for name in spec.architectures:
                key, model = f"{where}: models.{name}", _module_and_options(params, name)
                checks += [
                    partial(_check_file, key, params, name),
                    partial(_check_trust, key, *model),
                    partial(_check_channels, key, *model),
                ]
                key = f"{where}: benchmarks.{benchmark_name}.models"
                checks += [partial(_check_trainer, key, params, name, trainer) for trainer in spec.trainers]
    check_all(checks)


def _module_and_options(params: Params, name: str) -> tuple[ModuleType, Mapping[str, Any]]:
    return registry.read("models", params.use("models", name)), params.options("models", name)


def _check_file(where: str, params: Params, name: str) -> None:
    """Refuse a file whose first bytes are not those of a model; `unavailable` reports missing files."""
    path = _module_and_options(params, name)[1].get("path")
    if not isinstance(path, str) or not path:
        return
    file = Path(re.sub(r"(\.py):[\w.]+$", r"\1", path))
    if file.is_dir() and params.use("models", name) in _ONE_FILE:
        raise ParamsError(f"{where}.path = {path!r} is a folder; expected the model's file")
    if file.is_file() and (fault := files.describe_type(file)):
        raise ParamsError(f"{where}.path = {path!r} is no model: {fault}")
    use, kind = params.use("models", name), files.model_format(file) if file.is_file() else ""
    if use in _BY_CONTENT and kind and kind != use:
        raise ParamsError(
            f"{where}.path = {path!r} is {_BY_CONTENT[kind]}, and `use: {use}` reads {_BY_CONTENT[use]}; write "
            f"`{_SPELLED[kind].format(path=path)}`"
        )


def _check_trust(where: str, module: ModuleType, options: Mapping[str, Any]) -> None:
    if registry.defines(module, "RUNS_CODE") and not options["trust"]:
        raise ParamsError(
            f"{where}.trust: {module.RUNS_CODE}; set `trust: true` there if you trust the author of "
            f"{options['path'] or options.get('target')!r}. Formats that cannot run code need no trust: onnx, "
            "predictions, checkpoint"
        )


def _check_channels(where: str, module: ModuleType, options: Mapping[str, Any]) -> None:
    if "mean" not in options or "std" not in options or not registry.defines(module, "load"):
        return
    channels = options.get("channels", _CHANNELS)
    if channels not in (1, _CHANNELS):
        raise ParamsError(f"{where}.channels = {channels!r}: expected 1 (grey) or 3 (red, green, blue)")
    for key in ("mean", "std"):
        if len(options[key]) != channels:
            raise ParamsError(
                f"{where}.{key} has {len(options[key])} numbers ({options[key]}), expected one for each of {channels} "
                f"channel{'s' if channels > 1 else ''}, of images in 0 to 1, for example {[0.5] * channels}"
            )
    if min(options["std"]) <= 0:
        raise ParamsError(f"{where}.std = {options['std']}: expected numbers above 0; images are divided by them")


def _check_trainer(where: str, params: Params, name: str, trainer_name: str) -> None:
    module, options = _module_and_options(params, name)
    trainer = registry.read("trainers", params.use("trainers", trainer_name))
    kind = params.use("models", name)
    if not registry.defines(module, "build") and registry.defines(trainer, "_loop"):
        raise ParamsError(
            f"{where}: the trainer {trainer_name!r} trains torch models, and the model {name!r} "
            f"({kind}) is not one; use `trainers: [{GIVEN}]`, or leave `trainers` out"
        )
    if params.use("trainers", trainer_name) == PRETRAINED and not registry.defines(module, "pretrained"):
        raise ParamsError(
            f"{where}: the trainer {trainer_name!r} takes the released weights of a model, and {name!r} ({kind}) has "
            f"none; train it (erm), or use `trainers: [{GIVEN}]`"
        )
    file = options.get("path") or params.options("trainers", trainer_name).get("path")
    if params.use("trainers", trainer_name) == GIVEN and not file and not registry.defines(module, "pretrained"):
        raise ParamsError(
            f"{where}: the trainer {trainer_name!r} takes a model from a file, and params have no path for {name!r}; "
            f"expected `models: {{{name}: {{path: FILE}}}}`, or a trainer that trains it (erm)"
        )
