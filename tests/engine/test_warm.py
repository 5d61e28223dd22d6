"""Stages that a server forks: as a shell would have started them, and gone when anybody who asked for them is."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from shiftbench.cli import warm_server

TOY = Path(__file__).with_name("toy_server.py")
RUN = """
import os, sys
from shiftbench.workflow.engine import warm
warm.COMMAND = (sys.argv[1], *sys.argv[2].split())
warm.start()
print(os.environ["SHIFTBENCH_WARM"], flush=True)
sys.stdin.read()
"""
"""A run: starts a server whose jobs are pieces of Python, and lives until its input ends."""


class Run:
    """A process that has started a server, and jobs as Snakemake starts them."""

    def __init__(self, *preloaded: str, more: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(TOY), " ".join(preloaded)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (more or {}),
        )
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip()

    def job(self, code: str, log: Path, threads: int = 1, **more: str) -> subprocess.Popen[bytes]:
        """Start a job; its words are code, its output goes to a log."""
        own = {"SHIFTBENCH_WARM": self.address, "OMP_NUM_THREADS": str(threads), **more}
        with log.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "shiftbench", "train", code],
                env=os.environ | own,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def status(self, code: str, log: Path, **more: str) -> int:
        """Return how a job ended."""
        return self.job(code, log, **more).wait(60)

    def close(self) -> str:
        """Let the run end; returns what it said."""
        _, said = self.process.communicate(timeout=60)
        return str(said)


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    """End processes by SIGHUP, also where these tests were started by `nohup`, which has it ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def run() -> Iterator[Run]:
    """A server without libraries."""
    started = Run()
    yield started
    started.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a job's output goes."""
    return tmp_path / "job.log"


def wait(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.01)


def begun(log: Path) -> list[int]:
    """Wait until a job has printed a line; return the numbers in it."""
    wait(lambda: log.is_file() and "\n" in log.read_text())
    return [int(word) for word in log.read_text().splitlines()[0].split()]


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(120)"
WITH_CHILD = (
    "import os, subprocess, time; child = subprocess.Popen(['sleep', '120']);"
    " print(os.getpid(), child.pid, flush=True); time.sleep(120)"
)


def test_a_job_is_as_a_shell_would_have_started_it(run: Run, log: Path) -> None:
    code = (
        "import os, sys\n"
        "print(os.environ['GREETING'], os.getcwd(), repr(sys.stdin.read()), 'SHIFTBENCH_WARM' in os.environ)\n"
        "print(os.getpgid(0) == os.getpid(), sys.stdout.isatty(), sys.argv[0] != '', flush=True)\n"
        "os.system('echo of a child')\n"
        "print('an error', file=sys.stderr)"
    )
    assert run.status(code, log, GREETING="hello") == 0
    assert log.read_text() == (f"hello {log.parent} '' False\nTrue False True\nof a child\nan error\n")


def test_a_job_is_forked_by_the_server(run: Run, log: Path) -> None:
    """Each is a process of its own."""
    pids = []
    for _ in range(2):
        assert run.status("import os, sys; print(os.getpid(), 'toy' in sys.modules)", log) == 0
        pid, warm = log.read_text().split()
        assert warm == "True"
        pids.append(pid)
    assert pids[0] != pids[1]


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os; os.kill(os.getpid(), 9)", 137, "killed (SIGKILL): the machine ran out of"),
        ("import os; os.kill(os.getpid(), 11)", 139, "ended by SIGSEGV"),
    ],
)
def test_a_job_that_fails_ends_the_command_as_it_ended(run: Run, log: Path, code: str, status: int, said: str) -> None:
    assert run.status(code, log) == status
    assert said in log.read_text()
    assert run.status("print('the server goes on')", log) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_job_and_all_that_it_started(run: Run, log: Path, number: signal.Signals) -> None:
    """As `timeout` sends one at the end of a job's time."""
    job = run.job(WITH_CHILD, log)
    started = begun(log)
    job.send_signal(number)
    assert job.wait(60) == (1 if number == signal.SIGINT else 128 + number)
    assert ("KeyboardInterrupt" in log.read_text()) == (number == signal.SIGINT)
    wait(lambda: not any(map(runs, started)))


@pytest.mark.parametrize("stubborn", ["", "import signal; signal.signal(2, signal.SIG_IGN); "])
def test_a_killed_command_takes_its_job_along(run: Run, log: Path, stubborn: str) -> None:
    job = run.job(stubborn + WITH_CHILD, log)
    started = begun(log)
    job.kill()
    assert job.wait() == -signal.SIGKILL
    wait(lambda: not any(map(runs, started)))


def test_jobs_run_side_by_side(run: Run, tmp_path: Path) -> None:
    """Each waits for the other."""
    jobs = [
        run.job(
            f"import pathlib, time; pathlib.Path('{mine}').touch()\n"
            f"while not pathlib.Path('{other}').exists(): time.sleep(0.01)",
            tmp_path / f"{mine}.log",
        )
        for mine, other in ((0, 1), (1, 0))
    ]
    assert [job.wait(60) for job in jobs] == [0, 0]


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_run_that_ends_leaves_neither_server_nor_job(log: Path, how: str) -> None:
    """However it ends: `kill -9` of Snakemake, too. The command fails and never hangs."""
    run = Run()
    job = run.job(WITH_CHILD, log)
    started = begun(log)
    server = int(Path(f"/proc/{started[0]}/stat").read_text().rpartition(")")[2].split()[1])
    if how == "killed":
        run.process.kill()
    run.close()
    assert job.wait(60) != 0
    wait(lambda: not any(map(runs, [*started, server])))
    assert not Path(run.address).exists()


def test_a_killed_server_fails_its_jobs_and_later_ones_start_cold(run: Run, log: Path) -> None:
    job = run.job(WITH_CHILD, log)
    started = begun(log)
    os.kill(server_of(run), signal.SIGKILL)
    assert job.wait(60) == 1
    assert "the warm server ended, and this job with it" in log.read_text()
    wait(lambda: not any(map(runs, started)))
    assert run.status("", log) == 2
    assert "Usage: " in log.read_text()  # the command line itself, which wants a recipe


def server_of(run: Run) -> int:
    """Return the process that a run has started."""
    return int(Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text())


@pytest.mark.parametrize("after", [0.0, 0.1, 0.5])
def test_a_run_that_is_killed_while_its_server_imports_leaves_none(log: Path, tmp_path: Path, after: float) -> None:
    """The import would take ten minutes. Jobs that were asked for meanwhile end, too."""
    (tmp_path / "long_library.py").write_text("import time\ntime.sleep(600)\n")
    run = Run("long_library", more={"PYTHONPATH": str(tmp_path)})
    job = run.job("", log)
    time.sleep(after)
    server = server_of(run)
    run.process.kill()
    wait(lambda: not runs(server))
    assert job.wait(60) == 1
    assert "the run of this job was killed, and this job ends with it" in log.read_text()
    run.close()


def test_where_a_library_starts_threads_jobs_start_cold(log: Path, tmp_path: Path) -> None:
    (tmp_path / "busy_library.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    run = Run("busy_library", more={"PYTHONPATH": str(tmp_path)})
    assert run.status("", log) == 2
    assert "Usage: " in log.read_text()
    assert "jobs start cold: an import started the threads" in run.close()


@pytest.mark.parametrize("other", [{"OMP_NUM_THREADS": "2"}, {"SHIFTBENCH_WARM": "/nowhere"}, {"SHIFTBENCH_WARM": ""}])
def test_with_other_threads_or_no_server_a_job_starts_cold(run: Run, log: Path, other: dict[str, str]) -> None:
    own = {"SHIFTBENCH_WARM": run.address, "OMP_NUM_THREADS": "1", **other}
    command = [sys.executable, "-m", "shiftbench", "train", "print('warm')"]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False, cwd=log.parent)
    assert done.returncode == 2
    assert "Usage: " in done.stderr


def test_what_is_imported_before_the_fork_works_after_it(log: Path) -> None:
    """Pools of threads start in the child; CUDA is untouched."""
    run = Run(*warm_server.PRELOADED)
    code = """
import sys; before = set(sys.modules)
import torch, polars, pyarrow, pyarrow.compute, numpy, shiftbench.workflow.stages.train
assert set(sys.modules) == before, "imported already"
assert not torch.cuda.is_initialized()
print(torch.get_num_threads(), polars.DataFrame({"a": [1, 2, 3]}).lazy().select(polars.col("a").sum()).collect().item())
weights = torch.nn.Linear(3, 1); weights(torch.ones(2, 3)).sum().backward()
print(pyarrow.compute.sum(pyarrow.chunked_array([[1, 2], [3]])).as_py(), weights.weight.grad.tolist())
torch.set_num_threads(2); print((torch.ones(600, 600) @ torch.ones(600, 600))[0, 0].item())
"""
    for _ in range(3):
        job = run.job(code, log)
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(200)
        assert log.read_text().splitlines() == ["1 6", "6 [[2.0, 2.0, 2.0]]", "600.0"]
    run.close()
