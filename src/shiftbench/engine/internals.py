"""What reaches into Snakemake, all of it, and the check that says so when a new Snakemake has moved it.

Five things are replaced: copies of outputs that a failed job would get back, a timer that multiplies, sizes of inputs
that are read at each choice, the archive of sources for pods, and how jobs run on this machine (`Executor`). Snakemake
promises none of them; `check` compares names and signatures with those that this module was written for, before
anything is replaced.
"""

from __future__ import annotations

import argparse
import functools
import gc
import inspect
import os
import tarfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any

import snakemake
from snakemake import cli
from snakemake.executors import local
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from shiftbench.engine.client import Client, Job, JobFailed
from shiftbench.errors import ShiftbenchError

KNOWN = ("9.27.1",)
"""Versions of Snakemake that the tests ran with."""

SIGNATURES: dict[tuple[type | ModuleType, str], tuple[str, ...]] = {
    (PersistenceBase, "backup_output"): ("self", "path"),
    (PersistenceBase, "restore_output"): ("self", "path"),
    (JobScheduler, "_schedule_reevalutation"): ("self", "delay"),
    (JobScheduler, "update_input_sizes"): ("self", "jobs"),
    (Workflow, "write_source_archive"): ("self", "path"),
    (cli, "get_argument_parser"): ("profiles",),
    (local.Executor, "run_single_job"): ("self", "job"),
    (local.Executor, "_callback"): ("self", "job_info", "future"),
    (local.Executor, "cancel"): ("self",),
    (local.Executor, "shutdown"): ("self",),
    (local.Executor, "report_job_error"): ("self", "job_info", "msg", "kwargs"),
}
"""Methods and functions that are replaced or called, and their parameters."""

ATTRIBUTES: dict[tuple[type, str], str] = {
    (JobScheduler, "__init__"): "_open_jobs",
    (local.Executor, "__post_init__"): "pool",
}
"""Attributes that are used, by the method that sets them."""


class MovedError(ShiftbenchError):
    """This Snakemake is built otherwise than those that shiftbench knows."""


def check() -> None:
    """Compare Snakemake with what this module replaces.

    Raises:
        MovedError: names what has moved, the versions that are known to work, and what to do.
    """
    moved = [
        _named(*place)
        for place, names in SIGNATURES.items()
        if _parameters(getattr(*place, None)) != names
    ]
    moved += [
        f"{owner.__module__}.{owner.__name__}.{attribute}"
        for (owner, method), attribute in ATTRIBUTES.items()
        if attribute not in getattr(owner, method).__code__.co_names
    ]
    if ExecutorPluginRegistry().get_plugin("local").executor not in (local.Executor, Executor):
        moved.append("the executor `local`")
    if moved:
        raise MovedError(
            f"Snakemake {snakemake.__version__} has moved what shiftbench replaces in it: {', '.join(moved)}. "
            f"Known to work: {', '.join(KNOWN)}; `pip install snakemake=={KNOWN[-1]}`, or a newer shiftbench"
        )


def _named(owner: type | ModuleType, method: str) -> str:
    place = (
        owner.__name__ if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__name__}"
    )
    return f"{place}.{method}"


def _parameters(function: Callable[..., Any] | None) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters) if function else ()


def adapt(*, warm: bool) -> None:
    """Replace in Snakemake what shiftbench needs otherwise.

    Args:
        warm: jobs on this machine start warm (`Executor`).

    Raises:
        MovedError: see `check`.
    """
    check()
    PersistenceBase.backup_output = _keep_no_copy
    PersistenceBase.restore_output = _give_nothing_back
    JobScheduler._schedule_reevalutation = _look_again
    JobScheduler.update_input_sizes = _read_no_sizes
    Workflow.write_source_archive = _send_rules
    if warm:
        ExecutorPluginRegistry().get_plugin("local").executor = Executor


def keep() -> None:
    """Spare what there is now every later search for garbage: modules and the plan stay as long as the process.

    A dry run takes a fifth less.
    """
    gc.freeze()


def targets(words: Iterable[str]) -> list[str]:
    """Return what a command line of Snakemake asks for, which Snakemake tells only after the Snakefile is read."""
    return list(_asked(tuple(words)).targets)


def shows(words: Iterable[str]) -> bool:
    """Tell whether a command line of Snakemake is for looking at the workflow: nothing is made.

    Example:
        >>> shows(["--dag"]), shows(["--cores", "2", "--report", "report.html"]), shows(["--cores", "2", "-n"])
        (True, True, False)
    """
    return any(getattr(_asked(tuple(words)), name) for name in _SHOW)


@functools.cache
def _asked(words: tuple[str, ...]) -> argparse.Namespace:
    asked: argparse.Namespace = cli.get_argument_parser().parse_args(list(words))
    return asked


_SHOW = "dag rulegraph filegraph d3dag summary detailed_summary report".split()


def names_executor(words: Iterable[str]) -> bool:
    """Tell whether a command line of Snakemake names an executor; where it does not, jobs here start warm.

    A profile cannot ask for it: `profiles/default` would win over the executor of `--profile profiles/slurm`.

    Example:
        >>> names_executor(["--cores", "2", "all"]), names_executor(["--executor=local"])
        (False, True)
    """
    return any(word in ("-e", "--executor") or word.startswith("--executor=") for word in words)


# ------------------------------------------------------------------------------ copies of outputs


def _keep_no_copy(self: Any, path: Any) -> None:
    """Keep none: after a job that fails half-way, Snakemake puts old bytes back, which stand under new receipts."""


def _give_nothing_back(self: Any, path: Any) -> bool:  # noqa: ARG001
    return False


# ------------------------------------------------------------------------------ the timer


def _look_again(self: Any, delay: float) -> None:
    """Start a timer unless one runs.

    Snakemake's limit on jobs per second starts one at each look at the jobs, which makes it look again: after n jobs it
    looks n times a second, at every input of every job that is ready.
    """
    if not getattr(self, "_looks_again", False):
        self._looks_again = True
        timer = threading.Timer(delay, _look_now, [self])
        timer.daemon = True
        timer.start()


def _look_now(scheduler: Any) -> None:
    scheduler._looks_again = False
    scheduler._open_jobs.release()


# ------------------------------------------------------------------------------ sizes of inputs


class _Zeros(dict[Any, int]):
    """Sizes of files, all 0."""

    def __missing__(self, path: Any) -> int:
        return 0


async def _read_no_sizes(self: Any, jobs: Any) -> None:  # noqa: ARG001
    """Let jobs of equal priority be equal.

    Snakemake prefers the one with the largest inputs, and before each choice looks at every input of every job that is
    ready: half a second where 5,600 jobs are planned, as often. Our priorities are the seconds that wait for a job.
    """
    self._input_sizes = _Zeros()


# ------------------------------------------------------------------------------ sources for pods

_send_all = Workflow.write_source_archive


def _send_rules(self: Any, path: Path) -> None:
    """Send pods on a volume Snakefiles, files of configuration, and what rules keep in `workflow`.

    Snakemake packs all that git tracks, 16 seconds at each start, and unpacks it over the volume in each pod.
    """
    if self.storage_settings.default_storage_provider != "volume":
        _send_all(self, path)
        return
    rules = [file.get_path_or_uri(secret_free=True) for file in self.included]
    needed = {os.path.relpath(file) for file in (*rules, *self.configfiles)}
    with tarfile.open(path, "w:xz") as archive:
        for file in sorted(self.dag.get_sources()):
            if file in needed or file.startswith("workflow/"):
                archive.add(file)


# ------------------------------------------------------------------------------ warm jobs


class Executor(local.Executor):
    """Snakemake's executor for this machine, with jobs of the plan forked by a server; others run as ever."""

    _cancelled = False

    @functools.cached_property
    def _client(self) -> Client:
        return Client()

    def run_single_job(self, job: Any) -> Future[None]:
        """Start a job; returns its future."""
        if not self._is_warm(job):
            future: Future[None] = super().run_single_job(job)
            return future
        self.workflow.async_run(job.prepare())
        if not self._client.alive:
            self._client.close()
            del self._client  # the next use starts another
        return self.pool.submit(self._client.run, warm_job(job))  # type: ignore[no-any-return]

    def _is_warm(self, job: Any) -> bool:
        """Whether a job is one of the plan, on this machine, with the threads that the server was started for."""
        return bool(
            self.workflow.local_exec
            and job.params.get("verb")
            and job.threads == 1
            and not self.workflow.deployment_settings.deployment_method
        )

    def _callback(self, job_info: Any, future: Future[None]) -> None:
        error = future.exception()
        if not isinstance(error, JobFailed):
            super()._callback(job_info, future)
        elif self._cancelled:
            self.handle_job_error(job_info.job)
        else:
            self.report_job_error(job_info, msg=str(error))

    def shutdown(self) -> None:
        """Wait for the jobs, and end the server."""
        super().shutdown()
        self._end_server()

    def cancel(self) -> None:
        """End the jobs and the server."""
        self._cancelled = True
        self._end_server()
        super().cancel()

    def _end_server(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()


def warm_job(job: Any) -> Job:
    """Return what the server is asked for: what the rule's shell command says, without a shell."""
    command: Sequence[str] = job.params.options.split()
    folder = job.resources.get("tmpdir")
    limited = "SHIFTBENCH_LIMIT_TIME" in os.environ
    return Job(
        argv=("shiftbench", job.params.verb, "--recipe", str(job.input.recipe), *command),
        log=str(job.log[0]),
        environment=dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), folder) if folder else {},
        seconds=60 * job.resources.runtime if limited else None,
    )
