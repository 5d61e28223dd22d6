"""The output of a run: progress on a terminal, one line per finished job in a file.

`Board` counts, `Terminal` prints; Snakemake's events come from the logger plugin (snakemake_logger_plugin_shiftbench).
"""

import contextlib
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
from shiftbench.workflow.plan.planned_job import PlannedJob, PlannedJobs

TAIL = 40
"""Lines of a failed job's log that are shown."""

SHOWN = 8
"""Running jobs that a terminal shows."""

PRIOR = 30.0
"""Expected seconds that count as much as measured ones, so that one slow job, such as a download, decides little."""

_EXPECTED: dict[str, PlannedJob] = {}
"""The jobs of the plan by marker."""
_PAGES: list[str] = []


def expect(planned: PlannedJobs) -> None:
    """Set the planned jobs and pages; the Snakefile calls this, after the logger was created."""
    _EXPECTED.update({job.marker: job for job in planned.jobs})
    _PAGES[:] = planned.pages


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

    def plan(self, counts: Mapping[str, int]) -> None:
        """Set the number of jobs of each stage."""
        planned: dict[str, list[float]] = {}
        for job in self.expected.values():
            if job.runs:
                planned.setdefault(job.verb, []).append(job.seconds)
        counts_of_stages = {verb: count for verb, count in counts.items() if verb in planned}
        self.todo = {verb: sum(planned[verb]) / len(planned[verb]) * count for verb, count in counts_of_stages.items()}
        self.total = sum(counts_of_stages.values())

    def begin(self, job: int, marker: str) -> None:
        """Note that a job begins."""
        if marker in self.expected:
            self.running[job] = self.expected[marker], time.monotonic()
            self.width = max(self.width, len(self.running))

    def end(self, job: int, *, failed: bool = False) -> tuple[PlannedJob, float] | None:
        """Note that a job ended; returns it with its seconds, or None for one that is not counted."""
        if job not in self.running:
            return None
        planned, begun = self.running.pop(job)
        seconds = time.monotonic() - begun
        if not failed:
            self.todo[planned.verb] = self.todo.get(planned.verb, 0.0) - planned.seconds
            self.done += 1
            self.took.setdefault(planned.verb, []).append((seconds, planned.seconds))
        return planned, seconds

    def left(self) -> float:
        """The remaining seconds: the expected ones, corrected by the finished jobs of each stage."""
        now = time.monotonic()
        needed = {verb: left * self._factor(verb) for verb, left in self.todo.items()}
        for job, begun in self.running.values():
            needed[job.verb] -= min(now - begun, job.seconds * self._factor(job.verb))
        return sum(max(0.0, left) for left in needed.values()) / self.width

    def _factor(self, verb: str) -> float:
        """Measured over expected seconds of a stage; before its first job, of the other stages without fetch."""
        other_pairs = (pair for name, pairs_of_stage in self.took.items() if name != "fetch" for pair in pairs_of_stage)
        pairs = self.took.get(verb) or list(other_pairs)
        return (sum(took for took, _ in pairs) + PRIOR) / (sum(expected for _, expected in pairs) + PRIOR)


class Terminal:
    """Prints a run to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.board = Board(_EXPECTED)
        self.begun = time.monotonic()
        self._live: Live | None = None
        self._closed = False

    def plan(self, counts: Mapping[str, int]) -> None:
        """Print the number of jobs, and show the progress from now on."""
        self.board.plan(counts)
        if not self.board.total:
            return
        self.say(f"{_job_count(self.board.total)}, about {duration_text(self.board.left())} on one core")
        if self.console.is_terminal and self._live is None:
            self._live = Live(console=self.console, get_renderable=self._picture, transient=True)
            self._live.start()

    def end(self, job: int) -> None:
        """Note that a job has ended; print the samples that it left out and, without a terminal, its line."""
        # Imports OpenCV and pyarrow, which the plan does without.
        from shiftbench.data import skipped

        result = self.board.end(job)
        with contextlib.suppress(DataError):  # jobs that read the shards report the error; the display stops no run
            for skipped_samples in skipped.find_skipped(result[0].outputs if result else ()):
                self.say(str(skipped_samples), "yellow")
        if result and not self.console.is_terminal:
            planned, seconds = result
            done = f"[{self.board.done:>{len(str(self.board.total))}}/{self.board.total}]"
            self.say(f"{done} {seconds:7.1f} s  {planned.title}")

    def fail(self, job: int, rule: str, reason: str | None, logs: Sequence[str]) -> None:
        """Print that a job failed, why, and the end of its log."""
        result = self.board.end(job, failed=True)
        title = f"{result[0].title} after {result[1]:.1f} s" if result else rule
        self.say(f"failed: {title}" + (f": {reason}" if reason else ""), "bold red")
        for log in logs:
            self.say("\n".join(tail(Path(log))))

    def close(self) -> None:
        """End the display; print how many jobs were made."""
        if self._live:
            self._live.stop()
            self._live = None
        if self.board.total and not self._closed:
            took = duration_text(time.monotonic() - self.begun)
            self.say(f"{self.board.done} of {_job_count(self.board.total)} made in {took}")
            if self.board.done == self.board.total:
                self.show_pages()
        self._closed = True

    def show_pages(self) -> None:
        """Print the paths of the requested pages."""
        for page in filter(Path.exists, map(Path, _PAGES)):
            self.say(f"report: {page.absolute()}")

    def say(self, text: str, style: str = "") -> None:
        """Print a text above the display."""
        self.console.print(Text(text, style), soft_wrap=True)

    def _picture(self) -> RenderableType:
        """The bar, the remaining time and the running jobs; no line is longer than the terminal."""
        board, now = self.board, time.monotonic()
        running = sorted(board.running.values(), key=lambda job_and_start: job_and_start[1])
        count = f"{board.done}/{board.total}"
        times = f"{duration_text(now - self.begun)}, about {duration_text(board.left())} left"
        lines = [f"{duration_text(now - begun):>13}  {job.title}" for job, begun in running[:SHOWN]]
        if len(running) > SHOWN:
            lines.append(f"{'':13}  and {len(running) - SHOWN} more")
        head = Table.grid(padding=(0, 2))
        head.add_row(ProgressBar(board.total, board.done, width=24), _cut_line(count), _cut_line(times))
        return Group(head, *map(_cut_line, lines))


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
