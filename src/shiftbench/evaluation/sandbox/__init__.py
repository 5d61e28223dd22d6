"""Sandbox for generated programs: each runs in fresh namespaces, without network and files.

    with Sandbox() as sandbox:
        outcome = sandbox.run("result = 6 * 7")     # Outcome("passed", value=42)

A *server*, one warm process, leaves the machine behind once: a root folder of its own in which Python is read-only, no
network, an unprivileged user without capabilities in a user namespace. For each program it forks into fresh pid, mount,
ipc and uts namespaces with an empty tmpfs, rlimits, Landlock and seccomp; processes that the program leaves
running die with its pid namespace. No file, folder or cgroup is made on the machine, so that nothing is left after a
kill. If the kernel refuses one of these, nothing is run: `SandboxError`.

A program passes when it comes to its end: its process then repeats a number that was drawn outside of it at that
moment, and exits with 0. Its output is dropped. A bad program fails alone, whatever it writes, and ends at its time
limit.

What remains: tests and program share a process, as in every harness of this kind. A program that is written against
this protocol, or against its tests (an object that equals everything, a patched `abs`), can pretend that it came to
its end; it changes only its own verdict. `tasks/_outside.py` tests such programs again.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, ClassVar

from shiftbench.base.errors import SandboxError
from shiftbench.evaluation.sandbox import messages, server

__all__ = ["Limits", "Outcome", "Sandbox", "SandboxError", "missing_support", "run"]

_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")},
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the resources of one program.

    Attributes:
        cpu: seconds of CPU of one process.
        wall: seconds until all is killed; above `cpu`, since the machine may be busy.
        memory: bytes of address space of one process, in addition to that of the warm server.
        disk: bytes that it may write in its own folder; 0: none.
        processes: how many there may be at once, threads included.
        files: how many may be open at once.
    """

    cpu: int = 3
    wall: float = 10.0
    memory: int = 512_000_000
    disk: int = 1 << 20
    processes: int = 4
    files: int = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a program.

    Attributes:
        status: `passed` (it came to its end), `failed` (it raised), `exited` (it left early, whatever its exit code),
            `timeout` (of `cpu`, `wall`, or `words`: too much output), `memory`, `crashed` (killed by a signal).
        error: the exception's type, the signal's name, or which limit; empty when it passed.
        message: of the exception, its first 500 characters.
        value: what the program left in the variable `result`, where that is plain JSON; else None.
    """

    status: str
    error: str = ""
    message: str = ""
    value: Any = None

    @property
    def passed(self) -> bool:
        """Whether it ran to its end."""
        return self.status == "passed"

    @property
    def reason(self) -> str:
        """Status and error in one word or two, equal for equal programs."""
        return f"{self.status}: {self.error}" if self.error else self.status


class Sandbox:
    """One warm server; runs one program at a time. Use several, one per thread, for several at a time.

    Args:
        preload: modules that the server imports before it isolates itself, so that programs import them at no cost.

    Raises:
        SandboxError: the kernel or the user's rights do not allow the isolation.
    """

    SERVER: ClassVar[str] = str(server.__file__)
    """The file that is run."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        command = [sys.executable, "-s", "-P", "-B", self.SERVER]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        try:
            self._send({"preload": list(preload)})
            self._receive()
        except BaseException:
            self.close()
            raise

    def run(self, program: str, limits: Limits | None = None) -> Outcome:
        """Run a program to its end, or to a limit.

        Raises:
            SandboxError: the server itself failed; no statement about the program.
        """
        self._send({"program": program, **asdict(limits or Limits())})
        return Outcome(**self._receive())

    def _send(self, content: dict[str, Any]) -> None:
        assert self._process.stdin  # noqa: S101 - a pipe was asked for; tells mypy
        with contextlib.suppress(BrokenPipeError):  # its error is read next
            messages.send(self._process.stdin.fileno(), content)

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 - a pipe was asked for; tells mypy
        try:
            message: dict[str, Any] = messages.receive(self._process.stdout.fileno())
        except EOFError:
            _, stderr = self._process.communicate()
            last = stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise SandboxError(f"the sandbox's server ended: {' '.join(last) or 'no word'}") from None
        if "lacking" in message:
            raise SandboxError(
                f"generated code is not run here: {message['lacking']}; `shiftbench doctor` tells what is missing"
            )
        return message

    def close(self) -> None:
        """End the server and everything in it."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
        try:
            self._process.wait(1)  # it ends by itself when its input is closed
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run(program: str, limits: Limits | None = None) -> Outcome:
    """Run one program in a sandbox of its own; many go faster through one `Sandbox`.

    Example:
        >>> run("result = 6 * 7").value
        42
    """
    with Sandbox() as sandbox:
        return sandbox.run(program, limits)


def missing_support() -> str:
    """Why no program can be run on this machine; empty if one can."""
    try:
        outcome = run("result = 1")
    except SandboxError as error:
        return str(error)
    return "" if outcome.value == 1 else f"a trivial program {outcome.reason}"
