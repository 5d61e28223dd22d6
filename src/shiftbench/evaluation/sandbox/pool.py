"""Many programs, in a few sandboxes that stay open; what was run once in this process is known.

Programs are distinguished by a key that the caller gives: `essence` takes two that differ in comments, layout or
docstrings for one.
"""

import ast
import atexit
import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from shiftbench.evaluation.sandbox import Limits, Outcome, Sandbox, SandboxError, missing_support

WORKERS = min(2, os.cpu_count() or 1)
_LOOKS_AT_ITSELF = ("__doc__", "getsource", "inspect", "__code__", "lineno", "traceback")
_KNOWN: dict[bytes, Outcome] = {}
_MOST_KNOWN = 200_000
_FREE: list[Sandbox] = []
_LOCK = threading.Lock()


def run_all(
    programs: Sequence[str], keys: Sequence[str] | None = None, limits: Limits | None = None, workers: int = WORKERS
) -> list[Outcome]:
    """Outcome of each program, in order.

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
    with ThreadPoolExecutor(max(1, workers)) as threads:
        found = threads.map(lambda program: _run(program, limits), new.values())
        _KNOWN.update(zip(new, found, strict=True))
    return [_KNOWN[digest] for digest in digests]


def _run(program: str, limits: Limits | None) -> Outcome:
    """Run one program in a sandbox that is free, or in a new one; where it ends two of them, it is what failed."""
    for _ in range(2):
        with _LOCK:
            box = _FREE.pop() if _FREE else None
        box = box or Sandbox()
        try:
            outcome = box.run(program, limits)
        except SandboxError as error:
            box.close()
            ended = error
        except BaseException:
            box.close()
            raise
        else:
            with _LOCK:
                _FREE.append(box)
            return outcome
    if missing_support():
        raise ended
    return Outcome("crashed", "SandboxError", str(ended))


@atexit.register
def close() -> None:
    """End all sandboxes that are free."""
    with _LOCK:
        while _FREE:
            _FREE.pop().close()


def _digest(key: str, limits: Limits | None) -> bytes:
    return hashlib.blake2b(f"{limits}\n{key}".encode(errors="surrogatepass"), digest_size=16).digest()


def essence(program: str) -> str:
    r"""Meaning of Python code: its syntax tree without docstrings and positions.

    Code that cannot be parsed or unparsed, or that may read its own text, is its own essence.

    Example:
        >>> essence("def f():\n    'a'\n    return 1") == essence("def f(): return 1  # b")
        True
    """
    if any(word in program for word in _LOOKS_AT_ITSELF):
        return program
    try:
        return ast.dump(_without_docstrings(ast.parse(program)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # 300 `elif`, a literal of 4,000 digits
        return program


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and len(node.body) > 1:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return tree
