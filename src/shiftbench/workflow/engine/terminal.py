"""The output of a run: progress on a terminal, one line per finished job in a file.

`Board` counts, `Terminal` prints; Snakemake's events come from the logger plugin (snakemake_logger_plugin_shiftbench).
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.progress import Screen
from shiftbench.workflow.engine import failures, warm
from shiftbench.workflow.engine.client import ADDRESS, STAGES
from shiftbench.workflow.plan.planned_job import PlannedJob, PlannedJobs

TAIL = 40
"""Lines of a failed job's log that `--show-failed-logs` shows."""

SHOWN_TITLES = 3
"""Jobs with an equal error that a line names."""

SHOWN = 8
"""Running jobs that a terminal shows."""

PRIOR = 30.0
"""Expected seconds that count as much as measured ones, so that one slow job, such as a download, decides little."""

_EXPECTED: dict[str, PlannedJob] = {}
"""The jobs of the plan by marker."""
FINDINGS = "findings.txt"
"""File next to a page with the findings of its benchmarks, one line each."""

_PAGES: dict[str, str | None] = {}
"""The requested reports, each with its configuration."""


def expect(planned: PlannedJobs) -> None:
    """Set the planned jobs and pages; the Snakefile calls this, after the logger was created."""
    _EXPECTED.update({job.marker: job for job in planned.jobs})
    _PAGES.update(planned.pages)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """End Snakemake with the message of an error of shiftbench, without a traceback."""
    try:
        yield
    except ShiftbenchError as error:
        message = "\n".join([str(error), *getattr(error, "__notes__", ())])
        Screen(stderr=True, highlight=False).print(Text(f"error: {message}", "red"), soft_wrap=True)
        raise SystemExit(error.code) from None


@dataclass(slots=True)
class Board:
    """The progress of a run: planned, running and finished jobs, with measured and expected times.

    Rules that are no stages, such as `all`, are not counted.
    """

    expected: Mapping[str, PlannedJob]
    todo: dict[str, float] = field(default_factory=dict)
    """Expected seconds of each stage's unfinished jobs."""
    running: dict[int, tuple[PlannedJob, float]] = field(default_factory=dict)
    took: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    width: int = 1
    work: float = 0.0
    """Expected seconds of all jobs together."""

    def plan(self, counts: Mapping[str, int]) -> None:
        """Set the number of jobs of each stage."""
        planned: dict[str, list[float]] = {}
        for job in self.expected.values():
            if job.runs:
                planned.setdefault(job.verb, []).append(job.seconds)
        counts_of_stages = {verb: count for verb, count in counts.items() if verb in planned}
        self.todo = {verb: sum(planned[verb]) / len(planned[verb]) * count for verb, count in counts_of_stages.items()}
        self.total = sum(counts_of_stages.values())
        self.work = sum(self.todo.values())

    def begin(self, job: int, marker: str) -> None:
        """Note that a job begins."""
        if marker in self.expected:
            self.running[job] = self.expected[marker], time.monotonic()
            self.width = max(self.width, len(self.running))

    def end(self, job: int, *, failed: bool = False) -> tuple[PlannedJob, float] | None:
        """Note that a job ended; returns it with its seconds, or None for one that is not counted.

        The seconds are those of the job: it may have waited for the imports of the warm server before.
        """
        if job not in self.running:
            return None
        planned, begun = self.running.pop(job)
        seconds = time.monotonic() - begun - warm.import_wait(begun)
        if not failed:
            self.todo[planned.verb] = self.todo.get(planned.verb, 0.0) - planned.seconds
            self.done += 1
            self.took.setdefault(planned.verb, []).append((seconds, planned.seconds))
        return planned, seconds

    def left(self) -> float | None:
        """The remaining seconds: the expected ones, corrected by the finished jobs of each stage.

        None before the first job is done. Downloads do not count, because they say nothing about other jobs.
        """
        if not any(verb != "fetch" for verb in self.took):
            return None
        needed = {verb: left * self._factor(verb) for verb, left in self.todo.items()}
        for job, begun in self.running.values():
            needed[job.verb] -= min(_ran(begun), job.seconds * self._factor(job.verb))
        return sum(max(0.0, left) for left in needed.values()) / self.width

    def share(self) -> float:
        """The finished share of the work, 0 to 1, by expected seconds; a running job counts for what it has run."""
        running = sum(min(_ran(begun), job.seconds) for job, begun in self.running.values())
        return 1 - (sum(self.todo.values()) - running) / self.work if self.work else 1.0

    def _factor(self, verb: str) -> float:
        """Measured over expected seconds of a stage; before its first job, of the other stages without fetch."""
        other_pairs = (pair for name, pairs_of_stage in self.took.items() if name != "fetch" for pair in pairs_of_stage)
        pairs = self.took.get(verb) or list(other_pairs)
        return (sum(took for took, _ in pairs) + PRIOR) / (sum(expected for _, expected in pairs) + PRIOR)


def _ran(begun: float) -> float:
    """The seconds that a job has run, without its wait for imports."""
    return time.monotonic() - begun - warm.import_wait(begun)


class Terminal:
    """Prints a run to a console.

    Args:
        console: where to.
        show_logs: whether to print the end of a failed job's log.
    """

    def __init__(self, console: Console, *, show_logs: bool = False) -> None:
        self.console = console
        self.show_logs = show_logs
        self.board = Board(_EXPECTED)
        self.begun = time.monotonic()
        self.failed: dict[str, list[str]] = {}
        """Cause -> titles of the jobs that failed with it."""
        self._imports: float | None = None
        self._live: Live | None = None
        self._closed = False

    def plan(self, counts: Mapping[str, int]) -> None:
        """Print the number of jobs, and show the progress from now on."""
        self.board.plan(counts)
        if not self.board.total:
            return
        of_stages = ", ".join(f"{verb} {counts[verb]}" for verb in STAGES if verb in self.board.todo)
        self.say(f"{_job_count(self.board.total)}: {of_stages}")
        if self.console.is_terminal and self._live is None:
            self._live = Live(console=self.console, get_renderable=self._picture, transient=True)
            self._live.start()

    def begin(self, job: int, marker: str) -> None:
        """Note that a job begins; the first one starts the imports of the warm server."""
        self.board.begin(job, marker)
        if self._imports is None and self.board.running and ADDRESS in os.environ:
            self._imports = 0.0
            self.say("starting workers (importing torch)")

    def end(self, job: int) -> None:
        """Note that a job has ended; print the samples that it left out and, without a terminal, its line."""
        # Imports OpenCV and pyarrow, which the plan does without.
        from shiftbench.data import skipped

        result = self.board.end(job)
        self._note_imports()
        with contextlib.suppress(DataError):  # jobs that read the shards report the error; the display stops no run
            for skipped_samples in skipped.find_skipped(result[0].outputs if result else ()):
                self.say(str(skipped_samples), "yellow")
        if result and not self.console.is_terminal:
            planned, seconds = result
            done = f"[{self.board.done:>{len(str(self.board.total))}}/{self.board.total}]"
            made = made_text(planned.outputs)
            self.say(f"{done} {seconds:7.1f} s  {planned.title}{made and f': {made}'}")

    def _note_imports(self) -> None:
        """Print once how long the imports took, as soon as they have ended."""
        if self._imports == 0.0 and not warm.is_importing():
            self._imports = warm.import_wait(self.begun)
            if self._imports:
                self.say(f"workers started in {self._imports:.1f} s, once for all jobs")

    def fail(self, job: int, rule: str, reason: str | None, logs: Sequence[str]) -> None:
        """Print that a job failed, why, and the path of its log; an equal error of another job is only counted."""
        result = self.board.end(job, failed=True)
        title = result[0].title if result else rule
        cause = next(filter(None, map(failures.cause, map(Path, logs))), "") or reason or "no cause in its log"
        titles = self.failed.setdefault(cause, [])
        titles.append(title)
        if len(titles) > 1:
            return
        self.say(f"failed: {title} - {cause}", "bold red")
        for log in map(Path, logs):
            if self.show_logs:
                self.say("\n".join(tail(log)))
            else:
                self.say(f"  log: {log}{' (missing)' if not log.is_file() else ''}")

    def close(self) -> None:
        """End the display; print the jobs with equal errors, and how many jobs were made."""
        if self._live:
            self._live.stop()
            self._live = None
        if self.board.total and not self._closed:
            for _, *others in self.failed.values():
                if others:
                    more = ", ..." if len(others) > SHOWN_TITLES else ""
                    named = ", ".join(others[:SHOWN_TITLES])
                    self.say(f"failed with the same error: {_job_count(len(others))} ({named}{more})", "bold red")
            if self.failed and not self.show_logs:
                self.say("The log has the traceback. `--show-failed-logs` prints its end in the next run.")
            took = duration_text(time.monotonic() - self.begun)
            count = sum(map(len, self.failed.values()))
            failed = f", {count} failed" if count else ""
            self.say(f"{self.board.done} of {_job_count(self.board.total)} made in {took}{failed}")
            if self.board.done == self.board.total:
                self.show_pages()
        self._closed = True

    def show_pages(self) -> None:
        """Print the findings of the requested pages, links to them, and the command that audits them."""
        pages = {Path(page): config for page, config in _PAGES.items() if Path(page).exists()}
        for page in pages:
            findings = page.with_name(FINDINGS)
            for line in findings.read_text().splitlines() if findings.is_file() else ():
                self.say(line)
            self.say(f"report: {page.absolute().as_uri()}")
        for config in dict.fromkeys(pages.values()):
            self.say(f"next: `shiftbench audit{f' --config {config}' if config else ''}`")

    def say(self, text: str, style: str = "") -> None:
        """Print a text above the display."""
        self.console.print(Text(text, style), soft_wrap=True)

    def _picture(self) -> RenderableType:
        """The bar, the remaining time and the running jobs; no line is longer than the terminal."""
        board, now = self.board, time.monotonic()
        running = sorted(board.running.values(), key=lambda job_and_start: job_and_start[1])
        count = f"{board.done}/{board.total}"
        left = board.left()
        times = duration_text(now - self.begun) + ("" if left is None else f", about {duration_text(left)} left")
        if warm.is_importing():
            lines = [f"{'':13}  starting workers (importing torch); {_job_count(len(running))} waiting"]
            return Group(self._head(count, times), *map(_cut_line, lines))
        lines = [f"{duration_text(_ran(begun)):>13}  {job.title}" for job, begun in running[:SHOWN]]
        if len(running) > SHOWN:
            lines.append(f"{'':13}  and {len(running) - SHOWN} more")
        return Group(self._head(count, times), *map(_cut_line, lines))

    def _head(self, count: str, times: str) -> Table:
        head = Table.grid(padding=(0, 2))
        head.add_row(ProgressBar(1.0, self.board.share(), width=24), _cut_line(count), _cut_line(times))
        return head


def made_text(outputs: Sequence[str]) -> str:
    """What a job made, from its outputs: samples of shards, rows of tables; empty for a job of another kind.

    Example:
        >>> made_text(["checkpoints/digits/convnet-erm-s0.safetensors"])
        ''
    """
    from shiftbench.data import shards

    with contextlib.suppress(DataError, OSError, ValueError):
        manifests = [shards.manifest(file.parent) for file in map(Path, outputs) if file.name == shards.MANIFEST]
        tables = [Path(path) for path in outputs if path.endswith(".parquet") and Path(path).is_file()]
        if manifests:
            samples = sum(about["samples"] for about in manifests)
            severities = [f"{about['severity']:g}" for about in manifests if about["severity"]]
            levels = f" at severit{'y' if len(severities) == 1 else 'ies'} {', '.join(severities)}"
            return f"{samples:,} samples{levels if severities else ', clean'}"
        if tables:
            import pyarrow.parquet as pq

            rows = sum(pq.read_metadata(file).num_rows for file in tables)
            return f"{rows:,} rows in {len(tables)} file{'' if len(tables) == 1 else 's'}"
    return ""


def tail(log: Path) -> list[str]:
    """The last lines of a log, below a line with its path."""
    if not log.is_file():
        return [f"  log: {log} (missing)"]
    lines = log.read_text(errors="replace").splitlines()
    cut = f", its last {TAIL} lines of {len(lines)}" if len(lines) > TAIL else ""
    return [f"  log: {log}{cut or ('' if lines else ' (empty)')}", *(f"    {x}" for x in lines[-TAIL:])]


def duration_text(seconds: float) -> str:
    """A duration as text; from ten minutes on in whole minutes.

    Example:
        >>> duration_text(4.2), duration_text(200), duration_text(1812), duration_text(3900)
        ('4 s', '3 min 20 s', '30 min', '1 h 5 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    if minutes >= 10:
        return f"{minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _cut_line(line: str) -> Text:
    """A line that is cut at the width of the terminal."""
    return Text(line, no_wrap=True, overflow="ellipsis")


def _job_count(jobs: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'}"
