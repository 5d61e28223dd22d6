"""The contract of the shifts family; a new file in shifts/ is tested by existing. Bytes of ours are known ones."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import isolation
from shiftbench.base import registry
from shiftbench.contracts import shift_digests
from shiftbench.contracts.shifts import *  # noqa: F403

OURS = [name for name in shift_digests.applied() if registry.file("shifts", name).is_relative_to(registry.PACKAGE)]


@pytest.mark.parametrize("name", OURS)
def test_bytes_are_the_known_ones(name: str, golden: Callable[[str, Any], Any]) -> None:
    digest = shift_digests.shift_digest(name)
    assert digest == golden(name, digest)


def test_tables_and_encoder_are_the_known_ones(golden: Callable[[str, Any], Any]) -> None:
    for name, digest in (("png", shift_digests.encoder_digest()), ("tables", shift_digests.table_digest())):
        assert digest == golden(name, digest)


def expected() -> dict[str, Any]:
    native: dict[str, Any] = {name: shift_digests.shift_digest(name) for name in OURS}
    return native | {"png": shift_digests.encoder_digest(), "tables": shift_digests.table_digest()}


def elsewhere(*command: str, **environment: str) -> dict[str, Any]:
    """Return the digests that the script prints under another CPU or with other libraries."""
    done = subprocess.run(
        [*command, str(Path(shift_digests.__file__))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(2400)
@pytest.mark.needs("qemu-x86_64")
@pytest.mark.parametrize(
    ("cpu", "has_avx2"),
    [("Nehalem", False), ("Denverton", False), ("EPYC,-avx,-avx2,-fma,-f16c", False), ("Haswell", True)],
)
def test_bytes_are_the_same_on_an_older_cpu(tmp_path: Path, cpu: str, *, has_avx2: bool) -> None:
    """Without AVX2 with the build of Polars that `make setup` installs there."""
    if not has_avx2:
        lock = isolation.ROOT / "requirements.older-cpu.hashes"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes")
        subprocess.run([*pip, "--target", str(tmp_path), "--requirement", str(lock)], check=True)
    found = elsewhere("qemu-x86_64", "-cpu", cpu, sys.executable, PYTHONPATH=str(tmp_path))
    assert found == expected()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1200)
def test_bytes_are_the_same_with_older_libraries(tmp_path: Path) -> None:
    """The oldest releases that the ranges of pyproject.toml allow and Python 3.11 can install."""
    old = (
        "numpy==2.0.2 opencv-python-headless==4.10.0.84 scipy==1.14.1 pillow==11.0.0 numba==0.61.0 "
        "scikit-learn==1.5.2 pyarrow==18.0.0 polars==1.30.0 isal==1.7.0 pydantic pyyaml rich black lemminflect"
    )
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    python = str(tmp_path / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *old.split()], check=True)
    assert elsewhere(python, PYTHONPATH=str(registry.PACKAGE.parent)) == expected()


def test_place_and_language_do_not_matter(golden: Callable[[str, Any], Any]) -> None:
    """Another time zone, locale and hash seed; a process of its own."""
    found = elsewhere(sys.executable, TZ="Asia/Kathmandu", LC_ALL="C", PYTHONHASHSEED="7", PYTHONUTF8="0")
    assert found.keys() == {*OURS, "png", "tables"}
    assert found == {name: golden(name, digest) for name, digest in found.items()}
