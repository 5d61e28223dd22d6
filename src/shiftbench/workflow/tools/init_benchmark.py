"""`shiftbench init DIR`: a repository for your own benchmark, with git and DVC.

With `--images` and `--model` its params evaluate your model on your images under corruptions, and both are pinned.
Its files are in `workflow/templates/benchmark/`. Rules, Snakefile and profile are those of this repository
(a test compares them), so that a benchmark needs only the installed package.
"""

import contextlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shiftbench.base import files, registry
from shiftbench.base.errors import DataError, ParamsError, ShiftbenchError
from shiftbench.data import pins
from shiftbench.plugins.metrics.severity import ALEXNET
from shiftbench.provenance import child_environment, git, trust

CORRUPTIONS = tuple(ALEXNET)
"""The fifteen of ImageNet-C."""
TEMPLATES = registry.PACKAGE / "workflow/templates/benchmark"
OUR_REMOTE = "remotes/shiftbench"


def create(folder: Path) -> list[str]:
    """Write a benchmark repository into a new or empty folder; returns the names of its files.

    Raises:
        ParamsError: the folder is not empty.
        ShiftbenchError: git or DVC is missing or fails.
        DataError: the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParamsError(f"{folder} is not empty; name a new folder")
    if shutil.which("git") is None:
        raise ShiftbenchError("git is not installed, and a benchmark's history needs it")
    names = [_name(path) for path in sorted(TEMPLATES.rglob("*")) if path.is_file()]
    for name in names:
        files.write_bytes(folder / name, _text(name).encode())
    inside = git.says("rev-parse", "--git-dir", home=folder) is not None
    if not inside:
        _call("git", "init", "--quiet", str(folder.absolute()))
    options = ["--subdir"] if inside else []
    dvc = (sys.executable, "-P", "-m", "dvc", "--cd", str(folder.absolute()))
    _call(*dvc, "init", "--quiet", "--force", *options)
    for name in (name for name in names if name.startswith(".dvc")):  # DVC wrote its own
        files.write_bytes(folder / name, _text(name).encode())
    config = folder / ".dvc" / "config"
    files.write_bytes(config, config.read_text().replace(OUR_REMOTE, _remote(folder)).encode())
    trust.by_doing(folder)
    return names


@dataclass(frozen=True, slots=True)
class Own:
    """Your images and your model.

    Attributes:
        images: folder of class folders, or of `train` and `test` (or `val`) with them.
        model: file of a model, or a name of timm's.
        architecture: of a state dict: a name of torchvision's or timm's, or of a model plugin.
        size: side of the model's input, in pixels.
        mean, std: of each channel of the model's input, in 0 to 1; None: those of ImageNet.
    """

    images: Path
    model: str
    architecture: str = ""
    size: int = 224
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


SEVERITIES = [1, 3, 5]
_TRUSTED = ("torchscript", "torch_export")
_METRICS = ("accuracy", "error", "ece", "nll", "brier")


@dataclass(frozen=True, slots=True)
class OwnParams:
    """Params of a benchmark for your images and your model, and the files to pin."""

    params: Mapping[str, Any]
    pinned: tuple[Path, ...]


def own_params(own: Own) -> OwnParams:
    """Params that evaluate your model on your images under the corruptions of ImageNet-C.

    Raises:
        ParamsError: the model's format is unknown, or a state dict has no architecture.
        DataError: the images or the model do not exist, or the images are in no class folders.
    """
    images, only_test = _image_root(own.images)
    model, file = _model_params(own)
    dataset: dict[str, Any] = {"use": "image_folder", "path": str(images)}
    if only_test:
        dataset["test_share"] = 1.0
    shifts = [*CORRUPTIONS]
    params = {
        "seed": 0,
        "plugins": ["mine"],
        "datasets": {"images": dataset},
        "shifts": {shift: {"severities": [*SEVERITIES]} for shift in shifts},
        "models": {"model": {"title": file.stem if file else own.model, **model}},
        "metrics": {name: {} for name in _METRICS},
        "benchmarks": {
            "mine": {
                "title": own.images.expanduser().absolute().name or "images",
                "dataset": "images",
                "models": [{"architectures": ["model"]}],
                "shifts": shifts,
            }
        },
    }
    return OwnParams(params, (images, file) if file else (images,))


def use_own(folder: Path, own: OwnParams) -> None:
    """Write params for your images and your model into a new benchmark, and pin both."""
    shifts = own.params["benchmarks"]["mine"]["shifts"]
    head = (
        "# Your images, your model, and the corruptions of ImageNet-C. `shiftbench describe datasets image_folder`\n"
        f"# and `shiftbench describe models {own.params['models']['model']['use']}` print all options.\n"
    )
    files.write_bytes(folder / "params.yaml", (head + _yaml(own.params)).encode())
    smoke = {"root": "build/smoke", "bootstrap": {"resamples": 100}, "benchmarks": {"mine": {"shifts": shifts[:2]}}}
    smoke_head = "# A rehearsal: two of the corruptions.\n"
    files.write_bytes(folder / "params/smoke.yaml", (smoke_head + _yaml(smoke)).encode())
    with contextlib.chdir(folder):
        pins.pin(own.pinned)


def _yaml(content: Mapping[str, Any]) -> str:
    """Params as people write them: a line for each plugin and each value of a benchmark."""
    lines = []
    for key, value in content.items():
        if key not in (*registry.PLUGIN_TYPES, "benchmarks"):
            lines.append(f"{key}: {_flow(value)}")
            continue
        lines.append(f"{key}:")
        for name, options in value.items():
            deep = key == "benchmarks"
            lines.append(f"  {name}:{'' if deep else f' {_flow(options)}'}")
            lines += [f"    {inner}: {_flow(own)}" for inner, own in options.items()] if deep else []
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _image_root(folder: Path) -> tuple[Path, bool]:
    """The folder for `image_folder`, and whether all of its images are test images."""
    root = folder.expanduser().absolute()
    if not root.is_dir():
        raise DataError(f"--images: {folder} is no folder; expected one folder of images per class in it")
    names = {path.name for path in root.iterdir() if path.is_dir()}
    test = next((name for name in ("test", "val") if name in names), None)
    if test and "train" in names:
        return root, False
    if test and not names - {"test", "val"}:
        return root / test, True
    if not names:
        raise DataError(
            f"--images: {folder} has no folders; expected one folder of images per class: move each image there"
        )
    return root, True


def _model_params(own: Own) -> tuple[dict[str, Any], Path | None]:
    """The line of params for the model, and its file."""
    scale: dict[str, Any] = {"size": own.size}
    scale |= {key: list(value) for key, value in (("mean", own.mean), ("std", own.std)) if value}
    file = Path(own.model).expanduser().absolute()
    if not file.exists():
        if "/" not in own.model and not file.suffix:
            return {"use": "timm", "name": own.model, **scale}, None
        raise DataError(f"--model: {own.model} does not exist; expected a model's file, or a name of timm's")
    kind = files.model_format(file)
    if not kind:
        raise ParamsError(
            f"--model: the format of {own.model} is unknown; expected TorchScript, torch.export, ONNX, a state dict "
            "(.safetensors, .pt) or predictions (.parquet, .csv)"
        )
    if kind == "predictions":
        return {"use": kind, "path": str(file)}, file
    if kind != "checkpoint":
        trusted = {"trust": True} if kind in _TRUSTED else {}
        return {"use": kind, "path": str(file), **trusted, **scale}, file
    if not own.architecture:
        raise ParamsError(
            f"--model: {own.model} is a state dict, which has no architecture; add `--architecture NAME`: a name of "
            "torchvision's or timm's, or of a model plugin"
        )
    if own.architecture in registry.names("models"):
        return {"use": "checkpoint", "path": str(file), "net": own.architecture}, file
    options = {"name": own.architecture, **scale}
    return {"use": "checkpoint", "path": str(file), "net": _library(own.architecture), "options": options}, file


def _library(architecture: str) -> str:
    """Which library has an architecture: torchvision, else timm."""
    from torchvision import models

    return "torchvision" if architecture in models.list_models() else "timm"


def _remote(folder: Path) -> str:
    """The path of a remote that clones on this machine find and no other benchmark uses."""
    name = re.sub("[^A-Za-z0-9._-]+", "-", folder.resolve().name)
    return f"remotes/{name}-{uuid.uuid4().hex[:8]}"


def _name(path: Path) -> str:
    return path.relative_to(TEMPLATES).as_posix().replace("dot_", ".", 1)


def _text(name: str) -> str:
    hidden = f"dot_{name[1:]}" if name.startswith(".") else name
    text = (TEMPLATES / hidden).read_text()
    return text.replace("VERSION", importlib.metadata.version("shiftbench"))


def _call(*command: str) -> None:
    process = subprocess.run(
        command,
        cwd=child_environment.NOWHERE,
        env=child_environment.build(child_environment.DVC),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        output = (process.stderr or process.stdout).strip()
        raise ShiftbenchError(
            f"`{' '.join(command)}` failed: {output}; DVC and Snakemake come with shiftbench[workflow]"
        )
