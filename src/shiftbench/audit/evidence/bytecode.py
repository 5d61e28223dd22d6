"""Comparison of cached bytecode with its source.

Python compiles a source again if its size or time differs from the bytecode's. Such bytecode is of an older source
and never runs, so it is not compared. Reading foreign bytecode can crash an interpreter, so that a separate process
does it, in which nothing of the checkout or of the environment is in use. The bytecode is never run.
"""

import importlib.util
import json
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_COMPARE = """
import json, marshal, sys
wrong = []
for source, cached, level in json.load(sys.stdin):
    try:
        with open(source, "rb") as stream:
            made = compile(stream.read(), source, "exec", dont_inherit=True, optimize=level)
        with open(cached, "rb") as stream:
            same = marshal.loads(stream.read()[16:]) == made
    except Exception:
        same = False
    if not same:
        print(json.dumps(cached), flush=True)
print("done")
"""
_LEVELS = {"": 0, "1": 1, "2": 2}


def forged(sources: Iterable[Path]) -> Iterator[Path]:
    """Yield the bytecode of this Python that differs from its source.

    Code and line numbers are compared; the path of the compilation is left out.
    """
    pairs = [
        (str(source), str(cached), level)
        for source in sorted(sources)
        for name, level in _LEVELS.items()
        if _is_run(source, cached := Path(importlib.util.cache_from_source(str(source), optimization=name)))
    ]
    if not pairs:
        return
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _COMPARE],
        cwd="/",
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        env={},
        check=False,
    )
    lines = done.stdout.splitlines()
    yield from (Path(json.loads(line)) for line in lines if line.startswith('"'))
    if "done" not in lines:  # it crashed on one of them
        yield Path(pairs[0][1])


def _is_run(source: Path, cached: Path) -> bool:
    """Whether Python would run bytecode instead of its source (PEP 552)."""
    if not cached.is_file():
        return False
    with cached.open("rb") as stream:
        head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(importlib.util.MAGIC_NUMBER):
        return False
    _, flags, time, size = _HEAD.unpack(head)
    if flags & _HASHED:
        compared = flags & _COMPARED
        return not compared or importlib.util.source_hash(source.read_bytes()) == head[8:]
    stated = source.stat()
    return bool(time == int(stated.st_mtime) & _WORD and size == stated.st_size & _WORD)


_HEAD = struct.Struct("<4sIII")
_HASHED, _COMPARED = 1, 2
_WORD = 0xFFFFFFFF
