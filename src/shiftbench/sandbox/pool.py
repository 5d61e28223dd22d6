"""Many programs, in a few sandboxes side by side; what was run once in this process is known.

Programs are told apart by a key that the caller gives: `essence` takes two that differ in comments, layout or
docstrings for one.
"""

from __future__ import annotations

import ast
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from shiftbench.sandbox import Limits, Outcome, Sandbox

WORKERS = min(2, os.cpu_count() or 1)
_LOOKS_AT_ITSELF = ("__doc__", "getsource", "inspect", "__code__", "lineno", "traceback")
_KNOWN: dict[bytes, Outcome] = {}
_MOST_KNOWN = 200_000


def run_all(
    programs: Sequence[str],
    keys: Sequence[str] | None = None,
    limits: Limits | None = None,
    workers: int = WORKERS,
) -> list[Outcome]:
    """Return the outcome of each program, in order.

    Args:
        programs: what to run.
        keys: equal where two programs must end alike (default: the programs).
        limits: of each.
        workers: sandboxes at a time.

    Raises:
        SandboxError: nothing can be run here.
    """
    digests = [_digest(key, limits) for key in keys or programs]
    todo = dict(zip(digests, programs, strict=True))
    new = {digest: program for digest, program in todo.items() if digest not in _KNOWN}
    if len(_KNOWN) + len(new) > _MOST_KNOWN:
        _KNOWN.clear()
        new = todo
    with _opened(min(workers, len(new))) as run, ThreadPoolExecutor(max(1, workers)) as pool:
        found = pool.map(lambda program: run(program, limits), new.values())
        _KNOWN.update(zip(new, found, strict=True))
    return [_KNOWN[digest] for digest in digests]


@contextmanager
def _opened(count: int) -> Iterator[_Runner]:
    runner = _Runner(count)
    try:
        yield runner
    finally:
        runner.close()


class _Runner:
    """Gives each program to a sandbox that is free; one is opened anew where its server ended."""

    def __init__(self, count: int) -> None:
        self._free = [Sandbox() for _ in range(count)]
        self._lock = threading.Lock()

    def __call__(self, program: str, limits: Limits | None) -> Outcome:
        with self._lock:
            box = self._free.pop() if self._free else None
        box = box or Sandbox()
        try:
            return box.run(program, limits)
        finally:
            with self._lock:
                self._free.append(box)

    def close(self) -> None:
        for box in self._free:
            box.close()


def _digest(key: str, limits: Limits | None) -> bytes:
    return hashlib.blake2b(
        f"{limits}\n{key}".encode(errors="surrogatepass"), digest_size=16
    ).digest()


def essence(program: str) -> str:
    r"""Return what decides how Python code ends: its syntax tree without docstrings and places.

    Code that cannot be parsed, or that may look at its own text, is its own essence.

    Example:
        >>> essence("def f():\n    'a'\n    return 1") == essence("def f(): return 1  # b")
        True
    """
    if any(word in program for word in _LOOKS_AT_ITSELF):
        return program
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and len(node.body) > 1
        ):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return ast.dump(tree)
