"""The environment of a run, for run files, `shiftbench doctor` and the audit: volatile, in no byte comparison."""

import functools
import hashlib
import importlib
import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from shiftbench.provenance import git, installed

PACKAGES = (
    "shiftbench numpy pillow opencv-python-headless scipy numba pyarrow polars torch torchvision webdataset "
    "safetensors scikit-learn timm onnxruntime snakemake dvc"
).split()
LOCK = Path("requirements.lock")
_FEATURES = "sse4_2 avx avx2 fma f16c avx512f avx512bw avx512vl avx512_bf16 amx_bf16 asimd sve".split()
"""CPU features that libraries choose their code by."""
_CPUID = {"sse4_2": "SSE42", "fma": "FMA3", "avx512_bf16": "AVX512BF16"}
VARIABLES = (
    "ATEN_CPU_CAPABILITY MKL_CBWR MKL_ENABLE_INSTRUCTIONS MKL_DEBUG_CPU_TYPE ONEDNN_MAX_CPU_ISA "
    "DNNL_MAX_CPU_ISA ONEDNN_DEFAULT_FPMATH_MODE OPENBLAS_CORETYPE BLIS_ARCH_TYPE NPY_DISABLE_CPU_FEATURES "
    "OPENCV_CPU_DISABLE OPENCV_IPP NVIDIA_TF32_OVERRIDE TORCH_ALLOW_TF32_CUBLAS_OVERRIDE CUBLAS_WORKSPACE_CONFIG "
    "NUMBA_CPU_NAME NUMBA_CPU_FEATURES"
).split()
"""Environment variables that make libraries choose other code for the same call."""
STARTUP = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD", "LD_AUDIT")
"""Environment variables that make a process load code that was not installed."""
_CODECS = ("jpg", "libjpeg_turbo", "zlib", "webp", "jpg_2000", "libtiff")


def describe() -> dict[str, Any]:
    """Python, OS, CPU, the lock's digest, BLAS, codecs, versions of packages that decide bytes, and the GPU."""
    return {**without_gpu(), **_torch(), **_gpu()}


@functools.cache
def without_gpu() -> dict[str, Any]:
    """As `describe`, without the GPU; it does not initialise CUDA, so it may run before a fork."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "os": _os(),
        "cpu": _cpu("model name", "CPU part") or platform.processor() or "unknown",
        "cpu_features": _features(),
        "cores": len(os.sched_getaffinity(0)),
        "lock": _lock_digest(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "blas": _blas(),
        "blas_core": _blas_core(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "installed": installed.records(PACKAGES),
        "codecs": _codecs(),
        "startup": startup(),
    }


def startup() -> dict[str, Any]:
    """Code that this Python ran or loaded before any program: variables, and files with their digests.

    Paths are left out, because they differ between machines.
    """
    facts: dict[str, Any] = {name: True for name in STARTUP if os.environ.get(name)}
    for name in ("sitecustomize", "usercustomize"):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            facts[name] = _digest(Path(file))
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    lines = {file.name: _digest(file) for folder in folders for file in sorted(folder.glob("*.pth")) if _runs(file)}
    return {**facts, **({"pth": lines} if lines else {})}


def _runs(file: Path) -> bool:
    """Whether a .pth file runs code instead of only naming folders."""
    text = file.read_text(errors="replace")
    return any(line.startswith(("import ", "import\t")) for line in text.splitlines())


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


@functools.cache
def repository() -> dict[str, Any]:
    """`commit` (HEAD) and `dirty` (tracked files that differ from it); both None without git."""
    head = git.says("rev-parse", "HEAD")
    if head is None:
        return {"commit": None, "dirty": None}
    return {"commit": head, "dirty": git.changed("--untracked-files=no")}


def settings() -> dict[str, Any]:
    """Torch's settings of determinism; empty if torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def _lock_digest() -> str | None:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """Facts of the first processor."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cpu(*names: str) -> str | None:
    return next((_cpuinfo()[name] for name in names if name in _cpuinfo()), None)


def _features() -> list[str]:
    """The CPU features that the system lists and, as far as NumPy checks them, the processor has.

    Under an emulator /proc/cpuinfo is that of the host.
    """
    listed = set((_cpu("flags", "Features") or "").split())
    stated = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
    return [n for n in _FEATURES if n in listed and stated.get(_CPUID.get(n, n.upper()), True)]


def _os() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"


def _blas() -> str:
    import numpy as np

    facts = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{facts['name']} {facts['version']}"


def _blas_core() -> str:
    """The processor architecture whose kernels BLAS chose, from each copy of BLAS in this process."""
    from threadpoolctl import threadpool_info

    architectures = (info.get("architecture") for info in threadpool_info() if info["user_api"] == "blas")
    return ", ".join(sorted({str(name) for name in architectures if name})) or "unknown"


def _codecs() -> dict[str, str]:
    from PIL import features

    versions = {name: features.version(name) for name in _CODECS}
    return {name: str(version) for name, version in versions.items() if version}


def _torch() -> dict[str, Any]:
    """The instruction set of torch's own kernels; empty if torch is not imported."""
    torch = sys.modules.get("torch")
    return {} if torch is None else {"torch_cpu": torch.backends.cpu.get_cpu_capability()}


def _gpu() -> dict[str, Any]:
    # importing torch here would cost seconds in stages that need none
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    return {
        "gpu": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": _driver(),
    }


def _driver() -> str:
    file = Path("/proc/driver/nvidia/version")
    match = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\S+)", file.read_text()) if file.is_file() else None
    return match.group(1) if match else "unknown"
