"""Command lines in Python (`snakemake`, `shiftbench`, `dvc`) as children of a process that has their libraries.

Most of what a short command takes is the import of torch, Snakemake and others: three seconds of five. Of the package
itself nothing is imported before the fork: each checkout brings its own.
"""

import atexit
import contextlib
import functools
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NoReturn

import pytest

FORKED = Path(__file__).parent / "forked"
INTERPRETER = FORKED / "interpreter" / "python"
"""What stands for `sys.executable` where `python -P -m MODULE` may be a fork."""
PYTHON = Path(sys.executable)
NAMES = ("dvc", "shiftbench", "snakemake")
SERVER = "shiftbench.cli.warm_server"
LIBRARIES = (
    "torch torchvision.transforms.v2 torch._inductor.config polars pyarrow.parquet pyarrow.compute pyarrow.dataset cv2 "
    "PIL.Image scipy.stats sklearn.linear_model numba pydantic typer rich.console jinja2 safetensors.torch webdataset "
    "snakemake.cli snakemake.report docutils.core smart_open platformdirs yte braceexpand "
    "dvc.cli dvc.repo dvc.commands.repro dvc_data.index scmrepo.git dvc_s3 dvc_ssh dvc_http s3fs sshfs makers.frozen"
).split()
"""What is imported once for all; last, what keeps the garbage collector from it: a collection copies each page."""


READ_ON_IMPORT = {"KUBECONFIG": ("kubernetes.config.kube_config", "KUBE_CONFIG_DEFAULT_LOCATION")}
"""Variables that a library reads when it is imported, and what it makes of them: a fork comes too late."""


def run(command: tuple[str, ...], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` would."""
    if command[0] not in NAMES:
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "stdout", Path(folder) / "stderr"
        status = Started(command, cwd, environment, files).wait()
        texts = [file.read_text() if file.is_file() else "" for file in files]
    return subprocess.CompletedProcess(command, status, *texts)


class Started:
    """A command that goes on, in a process group of its own: what a test uses of `subprocess.Popen`."""

    def __init__(
        self, command: tuple[str, ...], cwd: Path, environment: Mapping[str, str], files: tuple[Path, Path]
    ) -> None:
        arguments = (command, cwd, dict(environment), files)
        self._process = context().Process(target=_run_command, args=arguments)
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Return its exit status, None while it goes on."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status when it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a command", timeout or 0)
        return self._process.exitcode


def forking() -> dict[str, str]:
    """Return the variables of an environment in which the programs of `forked` are found first and work."""
    return {
        "TESTS_FORK": fork_server(),
        "TESTS_PYTHON": str(PYTHON),
        "PATH": os.pathsep.join([str(FORKED), str(PYTHON.parent), os.environ["PATH"]]),
    }


def fork_what_python_starts(patch: pytest.MonkeyPatch) -> None:
    """Let what this process starts by `python -P -m MODULE` be forks that have the libraries."""
    for name, value in forking().items():
        patch.setenv(name, value)
    patch.setattr(sys, "executable", str(INTERPRETER))


@functools.cache
def fork_server() -> str:
    """Start what the programs in `forked` ask; return its address.

    It ends with this process.
    """
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    address = Path(folder.name) / "socket"
    context().Process(target=_listen, args=(str(address),), daemon=True).start()
    while not address.exists():
        time.sleep(0.01)
    return str(address)


def context() -> ForkServerContext:
    """Return what starts processes that have the libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


class Worker:
    """A worker of an audit, as `subprocess.Popen` would start it: its `-c` code, in a process that has the libraries.

    What only a new interpreter has is not there: the seed of hashes, threads and machine code of an environment of its
    own. Tests of these have the real one (`real_workers`).
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], **_: object) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.said = Path(self.folder.name) / "said"
        self.process = context().Process(target=_work, args=(tuple(command), cwd, dict(env), self.said))
        self.process.start()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for its end; return what it said."""
        self.process.join(timeout)
        if self.process.is_alive():
            raise subprocess.TimeoutExpired("a worker", timeout or 0)
        return self.said.read_text(), None

    def kill(self) -> None:
        """End it, however far it is."""
        self.process.kill()
        self.process.join()
        self.folder.cleanup()


def _work(command: tuple[str, ...], cwd: Path, environment: dict[str, str], file: Path) -> None:
    """Be `python -c CODE ARGUMENTS`."""
    _become(cwd, environment, _open_streams((file, file)))
    *_, option, code = command[: command.index("-c") + 2]
    sys.argv[:] = [option, *command[command.index("-c") + 2 :]]
    _end_as_interpreter(lambda: exec(code, {"__name__": "__main__"}))


def _run_command(command: tuple[str, ...], cwd: Path, environment: dict[str, str], files: tuple[Path, Path]) -> None:
    """Be the command, in a session of its own."""
    os.setsid()
    _command(command, cwd, environment, _open_streams(files))


def _command(command: Sequence[str], cwd: Path, environment: Mapping[str, str], streams: Sequence[int]) -> None:
    """Be the command: its folder, environment, streams, path of modules and words."""
    name, *words = command
    if "snakemake" in command and "-n" not in command:
        with_warm_jobs()
    _become(cwd, environment, streams)
    if not name:  # python -P -m MODULE
        sys.argv[:] = ["-m", *words[1:]]
        _end_as_interpreter(lambda: runpy.run_module(words[0], run_name="__main__", alter_sys=True))
        return
    if name == "shiftbench" and "TESTS_FORK" in environment:
        sys.executable = str(INTERPRETER)
    sys.argv[:] = [str(PYTHON.with_name(name)), *words]
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=name)
    _end_as_interpreter(lambda: sys.exit(entry.load()()))


def _open_streams(files: tuple[Path, Path]) -> list[int]:
    """Return the streams 0, 1 and 2 of a command: nothing to read, files to write to."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    return [os.open(os.devnull, os.O_RDONLY), *(os.open(file, flags, 0o600) for file in files)]


def _become(cwd: Path, environment: Mapping[str, str], streams: Sequence[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing put another there
    os.fsync = lambda _: None  # as in conftest.py
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for variable in READ_ON_IMPORT.keys() & environment.keys():
        module, name = READ_ON_IMPORT[variable]
        setattr(importlib.import_module(module), name, environment[variable])
    time.tzset()
    sys.path[:] = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *_installed()]
    sys.modules.pop("sitecustomize", None)
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("sitecustomize")


def _end_as_interpreter(run: Callable[[], object]) -> None:
    try:
        run()
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        sys.exit(1)


# ------------------------------------------------------------------ commands that other commands start


def _listen(address: str) -> NoReturn:
    """Be each command that is asked for, in a child of its own; who asked and is killed takes its command along."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    clients: dict[int, socket.socket] = {}  # by the child that is the command
    pids: dict[int, int] = {}  # by a descriptor that tells of the child's end
    while True:
        ready, _, _ = select.select([listener, *clients.values(), *pids], [], [])
        if listener in ready:
            one, _ = listener.accept()
            words, streams, *_ = socket.recv_fds(one, 1 << 20, 3)
            pid = os.fork()
            if not pid:
                for inherited in (listener, one, *clients.values()):
                    inherited.close()
                request = json.loads(words)
                place = Path(request["cwd"])
                os._exit(_status(request["command"], place, request["environment"], streams))
            for stream in streams:
                os.close(stream)
            clients[pid], pids[os.pidfd_open(pid)] = one, pid
        for pid in [pid for pid, one in clients.items() if one in ready]:
            os.kill(pid, signal.SIGKILL)
        for ended in [ended for ended in pids if ended in ready]:
            one = clients.pop(pids[ended])
            _, status = os.waitpid(pids.pop(ended), 0)
            os.close(ended)
            with contextlib.suppress(OSError), one:
                one.send(str(abs(os.waitstatus_to_exitcode(status))).encode())


def _status(command: Sequence[str], cwd: Path, environment: Mapping[str, str], streams: Sequence[int]) -> int:
    """Be a command to its end, what an interpreter does at its end included; return its exit status."""
    status = 0
    try:
        _command(command, cwd, environment, streams)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


# ------------------------------------------------------------------ Snakemake's server of jobs


def with_warm_jobs() -> None:
    """Let the first server that Snakemake starts be a fork of this process as it is now: it has the libraries."""
    near_end, far_end = socket.socketpair()
    pid = os.fork()
    if not pid:
        near_end.close()
        _stand_by(far_end)
    far_end.close()
    started = subprocess.Popen

    class Popen(started):  # type: ignore[misc,valid-type]
        def __init__(self, args: Any, *more: Any, **options: Any) -> None:
            if not isinstance(args, list) or SERVER not in args or near_end.fileno() < 0:
                super().__init__(args, *more, **options)
                return
            # An answer to nothing: sets what waiting, killing and the exit status need.
            super().__init__(["true"], stdin=subprocess.DEVNULL)
            self.wait()
            self.pid, self.returncode, self.args = pid, None, args
            words = json.dumps({"environment": dict(options["env"])}).encode()
            socket.send_fds(near_end, [words], [*options["pass_fds"], 2])
            near_end.close()

    subprocess.Popen = Popen  # type: ignore[misc]


def _stand_by(channel_end: socket.socket) -> NoReturn:
    """Wait until a server is wanted, then be it; end where none is."""
    words, descriptors, *_ = socket.recv_fds(channel_end, 1 << 20, 2)
    if not words:
        os._exit(0)
    channel, errors = descriptors
    nowhere = os.open(os.devnull, os.O_RDWR)
    _become(Path("/"), json.loads(words)["environment"], (nowhere, nowhere, errors))
    sys.argv[:] = ["-m", str(channel)]
    try:
        runpy.run_module(SERVER, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(end.code or "", end="", file=sys.stderr)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _installed() -> list[str]:
    """Return the interpreter's own part of the path, without the folders of tests."""
    tests = str(Path(__file__).parent.parent)
    return [place for place in sys.path if place and not place.startswith(tests)]
