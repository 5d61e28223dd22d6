"""Bytecode that Python would run, and bytecode that is left over from an older source."""

import os
import py_compile
import random  # noqa: TID251 - of states of files, and seeded
import subprocess
import sys
from pathlib import Path

import pytest

from shiftbench.audit.evidence import bytecode

MODES = py_compile.PycInvalidationMode
OLD, NEW = "print('old')\n", "print('new and longer')\n"


def compiled(source: Path, text: str, mode: MODES) -> Path:
    """Compile a text as if it were the source; returns the bytecode."""
    before = source.read_bytes() if source.exists() else b""
    source.write_text(text)
    cached = Path(str(py_compile.compile(str(source), invalidation_mode=mode, doraise=True)))
    source.write_bytes(before or text.encode())
    return cached


def runs(source: Path) -> str:
    """Return what importing a source prints."""
    code = f"import sys; sys.path.insert(0, {str(source.parent)!r}); import {source.stem}"
    command = [sys.executable, "-B", "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("seed", range(12))
def test_forged_is_what_python_would_run_and_the_source_does_not_give(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    source = tmp_path / "some.py"
    source.write_text(NEW)
    mode = draw.choice(list(MODES))
    cached = compiled(source, draw.choice([OLD, NEW]), mode)
    if draw.random() < 0.5:  # time and size as the bytecode states them
        data = bytearray(cached.read_bytes())
        if mode == MODES.TIMESTAMP:
            data[8:12] = int(source.stat().st_mtime).to_bytes(4, "little")
            data[12:16] = source.stat().st_size.to_bytes(4, "little")
            cached.write_bytes(data)
    elif draw.random() < 0.5:
        os.utime(source, (1e9, 1e9))
    wrong = runs(source) == "old\n"
    assert list(bytecode.forged([source])) == ([cached] if wrong else [])


@pytest.mark.parametrize("mode", MODES)
def test_bytecode_of_an_older_source_is_left_over(tmp_path: Path, mode: MODES) -> None:
    """As after a `git pull` where PYTHONDONTWRITEBYTECODE is set; only unchecked bytecode is still run."""
    source = tmp_path / "some.py"
    source.write_text(NEW)
    compiled(source, OLD, mode)
    assert bool(list(bytecode.forged([source]))) == (mode == MODES.UNCHECKED_HASH)


def test_torn_bytecode_is_not_run(tmp_path: Path) -> None:
    source = tmp_path / "some.py"
    source.write_text(NEW)
    cached = compiled(source, NEW, MODES.TIMESTAMP)
    data = cached.read_bytes()
    for length in range(16):
        cached.write_bytes(data[:length])
        assert list(bytecode.forged([source])) == []
