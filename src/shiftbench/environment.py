"""The environment of a run, for run files and `shiftbench doctor`: volatile, in no byte comparison."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import sys
from typing import Any

PACKAGES = (
    "shiftbench numpy pillow opencv-python-headless scipy pyarrow polars torch torchvision webdataset "
    "safetensors scikit-learn timm onnxruntime snakemake dvc"
).split()


@functools.cache
def describe() -> dict[str, Any]:
    """Return Python, OS, CPU and the versions of the packages that touch bytes."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        **_gpu(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            return next(
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _gpu() -> dict[str, Any]:
    torch = sys.modules.get(
        "torch"
    )  # importing it here would cost seconds in stages that need none
    if torch is None or not torch.cuda.is_available():
        return {}
    return {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
