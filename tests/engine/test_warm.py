"""Jobs that a server forks: as a shell would have started them, and gone when anybody who asked for them is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shiftbench.cli import warm_server
from shiftbench.engine import client as clients
from shiftbench.engine.client import Client, Job, JobFailed

TOY = Path(__file__).with_name("toy_server.py")


def toy(monkeypatch: pytest.MonkeyPatch, *preloaded: str) -> Client:
    """Start a server whose jobs are snippets."""
    monkeypatch.setattr(clients, "COMMAND", (str(TOY), json.dumps(preloaded)))
    return Client()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A server without libraries."""
    started = toy(monkeypatch)
    yield started
    started.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a job's output goes."""
    return tmp_path / "job.log"


def job(log: Path, code: str, seconds: float | None = None) -> Job:
    return Job(("job", code), str(log), {"GREETING": "hello"}, seconds)


def beside(client: Client, log: Path, code: str) -> tuple[threading.Thread, list[JobFailed]]:
    """Have a job done in a thread, and wait until it has printed; what it failed with comes into the list."""
    failed: list[JobFailed] = []

    def run() -> None:
        try:
            client.run(job(log, code))
        except JobFailed as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait(lambda: log.is_file() and log.read_text().endswith("\n"))
    return thread, failed


def wait(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(120)"


def test_a_job_is_as_a_shell_would_have_started_it(client: Client, log: Path) -> None:
    log.write_text("of an earlier run\n" * 9)
    client.run(
        job(
            log,
            "import os, sys\n"
            "print(os.environ['GREETING'], os.environ['OMP_NUM_THREADS'], repr(sys.stdin.read()))\n"
            "print(os.getpgid(0) == os.getpid(), sys.stdout.isatty(), flush=True)\n"
            "os.system('echo of a child')\n"
            "print('an error', file=sys.stderr)",
        )
    )
    assert log.read_text() == "hello 1 ''\nTrue False\nof a child\nan error\n"


def test_how_a_job_failed_is_said(client: Client, log: Path) -> None:
    with pytest.raises(JobFailed, match="^ended with exit status 3$"):
        client.run(job(log, "raise SystemExit(3)"))
    with pytest.raises(JobFailed, match="^ended with exit status 1$"):
        client.run(job(log, "1 / 0"))
    assert "ZeroDivisionError" in log.read_text()
    with pytest.raises(JobFailed, match=r"^killed \(SIGKILL\): the machine ran out of memory"):
        client.run(job(log, "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(JobFailed, match="^ended by SIGSEGV$"):
        client.run(job(log, "import os; os.kill(os.getpid(), 11)"))
    client.run(job(log, "print('the server goes on')"))
    assert log.read_text() == "the server goes on\n"


@pytest.mark.parametrize("stubborn", ["", "import signal; signal.signal(15, signal.SIG_IGN); "])
def test_a_job_past_its_time_is_ended_with_all_that_it_started(
    client: Client, log: Path, stubborn: str
) -> None:
    code = f"import subprocess; print(subprocess.Popen(['sleep', '120']).pid, flush=True); {SLEEP}"
    with pytest.raises(JobFailed, match=r"^ended after 0.3 s, its limit \(resources: runtime\)$"):
        client.run(job(log, stubborn + code, seconds=0.3))
    started = [int(pid) for pid in log.read_text().split()]
    assert len(started) == 2
    wait(lambda: not any(map(runs, started)))


def test_jobs_run_side_by_side(client: Client, tmp_path: Path) -> None:
    """Each waits for the other."""
    threads = [
        beside(
            client,
            tmp_path / f"{mine}.log",
            f"import pathlib, time\nprint({mine}, flush=True)\n"
            f"while not pathlib.Path({str(tmp_path / f'{other}.log')!r}).exists(): time.sleep(0.01)",
        )
        for mine, other in ((0, 1), (1, 0))
    ]
    for thread, failed in threads:
        thread.join(60)
        assert failed == []


def test_closing_interrupts_jobs_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    client = toy(monkeypatch)
    thread, failed = beside(client, log, SLEEP)
    client.close()
    thread.join(60)
    assert "KeyboardInterrupt" in log.read_text()
    assert len(failed) == 1
    assert not runs(client.process.pid)
    assert not runs(int(log.read_text().split()[0]))


def test_a_killed_server_fails_its_jobs_and_takes_them_along(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    client = toy(monkeypatch)
    thread, failed = beside(client, log, SLEEP)
    client.process.kill()
    thread.join(60)
    assert "that starts jobs" in str(failed[0])
    assert "is gone, and its jobs with it: killed (SIGKILL)" in str(failed[0])
    wait(lambda: not runs(int(log.read_text())))
    with pytest.raises(JobFailed, match="is gone"):
        client.run(job(log, ""))
    client.close()


def test_a_killed_parent_leaves_neither_server_nor_job(log: Path) -> None:
    """As `kill -9` of Snakemake."""
    script = (
        "from shiftbench.engine import client as clients\n"
        f"clients.COMMAND = ({str(TOY)!r}, '[]')\n"
        "client = clients.Client(); print(client.process.pid, flush=True)\n"
        f"client.run(clients.Job(('job', {SLEEP!r}), {str(log)!r}, {{}}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait(lambda: log.is_file() and log.read_text().endswith("\n"))
        parent.kill()
    wait(lambda: not runs(pid) and not runs(int(log.read_text().split()[0])))


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 1.0])
def test_a_parent_that_is_killed_while_its_server_imports_leaves_none(
    log: Path, tmp_path: Path, after: float
) -> None:
    """The import would take ten minutes. Jobs that were asked for meanwhile are not begun."""
    (tmp_path / "long_library.py").write_text("import time\ntime.sleep(600)\n")
    preloaded = json.dumps(["long_library"])
    script = (
        "from shiftbench.engine import client as clients\n"
        f"clients.COMMAND = ({str(TOY)!r}, {preloaded!r})\n"
        "client = clients.Client(); print(client.process.pid, flush=True)\n"
        f"client.run(clients.Job(('job', {SLEEP!r}), {str(log)!r}, {{}}))"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(after)
        parent.kill()
    wait(lambda: not runs(pid))
    assert not log.exists()


def test_a_terminated_server_ends_its_jobs(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    client = toy(monkeypatch)
    thread, failed = beside(client, log, SLEEP)
    os.kill(client.process.pid, signal.SIGTERM)
    thread.join(60)
    assert len(failed) == 1
    wait(lambda: not runs(client.process.pid) and not runs(int(log.read_text().split()[0])))
    client.close()


def test_a_library_that_starts_threads_is_refused(
    monkeypatch: pytest.MonkeyPatch, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "busy_library.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    client = toy(monkeypatch, "busy_library")
    with pytest.raises(
        JobFailed, match=r"started the threads .*run with `snakemake --executor local`"
    ):
        client.run(job(log, ""))
    client.close()


def test_what_is_imported_before_the_fork_works_after_it(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    """Pools of threads start in the child; CUDA is untouched."""
    client = toy(monkeypatch, *warm_server.PRELOADED)
    code = """
import sys; before = set(sys.modules)
import torch, polars, pyarrow, pyarrow.compute, numpy, shiftbench.stages.train
assert set(sys.modules) == before, "imported already"
assert not torch.cuda.is_initialized()
print(torch.get_num_threads(), polars.DataFrame({"a": [1, 2, 3]}).lazy().select(polars.col("a").sum()).collect().item())
weights = torch.nn.Linear(3, 1); weights(torch.ones(2, 3)).sum().backward()
print(pyarrow.compute.sum(pyarrow.chunked_array([[1, 2], [3]])).as_py(), weights.weight.grad.tolist())
torch.set_num_threads(2); print((torch.ones(600, 600) @ torch.ones(600, 600))[0, 0].item())
"""
    for _ in range(3):
        client.run(job(log, code))
        assert log.read_text().splitlines() == ["1 6", "6 [[2.0, 2.0, 2.0]]", "600.0"]
    client.close()


def test_a_child_does_one_job_after_another_and_each_finds_what_the_first_found(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    client = toy(monkeypatch, "numpy", "torch")
    code = """
import os, sys, tempfile, warnings, numpy, torch
print(os.getpid())
print(os.getcwd(), "CHANGED" in os.environ, tempfile.gettempdir())
print(numpy.random.rand(), torch.rand(1), torch.get_num_threads())
warnings.warn_explicit("told", UserWarning, "somewhere", 1)
os.chdir("/"); os.environ["CHANGED"] = "1"; tempfile.tempdir = "/nowhere"; torch.set_num_threads(2)
"""
    said = []
    for _ in range(3):
        client.run(job(log, code))
        said.append(log.read_text().split("\n", 1))
    assert "UserWarning: told" in said[0][1]
    assert [rest for _, rest in said] == [said[0][1]] * 3
    assert len({pid for pid, _ in said}) == 1
    client.close()
    assert not runs(int(said[0][0]))


@pytest.mark.parametrize(
    "worn",
    [
        "raise SystemExit(3)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import sys; sys.kept = bytes(b'1' * (600 << 20))",
    ],
)
def test_after_a_failure_or_much_memory_another_child_comes(
    client: Client, log: Path, worn: str
) -> None:
    pids = []
    for code in ("", worn, "", ""):
        with contextlib.suppress(JobFailed):
            client.run(job(log, f"import os; print(os.getpid(), flush=True); {code}"))
        pids.append(log.read_text().strip())
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_child_that_is_killed_while_it_waits_is_replaced(client: Client, log: Path) -> None:
    client.run(job(log, "import os; print(os.getpid())"))
    first = int(log.read_text())
    os.kill(first, signal.SIGKILL)
    wait(lambda: not runs(first))
    client.run(job(log, "import os; print(os.getpid())"))
    assert int(log.read_text()) != first
