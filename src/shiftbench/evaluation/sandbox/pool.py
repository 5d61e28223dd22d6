"""Runs many programs in a few open sandboxes; outcomes are cached in this process.

Programs are distinguished by a key that the caller gives: programs that differ only in comments, layout or
docstrings have the same `essence`.
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
_READS_OWN_SOURCE = ("__doc__", "getsource", "inspect", "__code__", "lineno", "traceback")
_OUTCOMES: dict[bytes, Outcome] = {}
_MOST_OUTCOMES = 200_000
_FREE_SANDBOXES: list[Sandbox] = []
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
    programs_by_digest = dict(zip(digests, programs, strict=True))
    new = {digest: program for digest, program in programs_by_digest.items() if digest not in _OUTCOMES}
    if len(_OUTCOMES) + len(new) > _MOST_OUTCOMES:
        _OUTCOMES.clear()
        new = programs_by_digest
    with ThreadPoolExecutor(max(1, workers)) as threads:
        outcomes = threads.map(lambda program: _run(program, limits), new.values())
        _OUTCOMES.update(zip(new, outcomes, strict=True))
    return [_OUTCOMES[digest] for digest in digests]


def _run(program: str, limits: Limits | None) -> Outcome:
    """Run one program in a free or new sandbox; a program that ends two sandboxes has failed."""
    for _ in range(2):
        with _LOCK:
            sandbox = _FREE_SANDBOXES.pop() if _FREE_SANDBOXES else None
        sandbox = sandbox or Sandbox()
        try:
            outcome = sandbox.run(program, limits)
        except SandboxError as error:
            sandbox.close()
            failure = error
        except BaseException:
            sandbox.close()
            raise
        else:
            with _LOCK:
                _FREE_SANDBOXES.append(sandbox)
            return outcome
    if missing_support():
        raise failure
    return Outcome("crashed", "SandboxError", str(failure))


@atexit.register
def close() -> None:
    """End all sandboxes that are free."""
    with _LOCK:
        while _FREE_SANDBOXES:
            _FREE_SANDBOXES.pop().close()


def _digest(key: str, limits: Limits | None) -> bytes:
    return hashlib.blake2b(f"{limits}\n{key}".encode(errors="surrogatepass"), digest_size=16).digest()


def essence(program: str) -> str:
    r"""Meaning of Python code: its syntax tree without docstrings and positions.

    Code that cannot be parsed or unparsed, or that may read its own text, is its own essence.

    Example:
        >>> essence("def f():\n    'a'\n    return 1") == essence("def f(): return 1  # b")
        True
    """
    if any(word in program for word in _READS_OWN_SOURCE):
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
