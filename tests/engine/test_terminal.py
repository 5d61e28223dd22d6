"""What a run shows, by the events that Snakemake logs."""

import io
import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.common import LogEvent

from shiftbench.base.errors import ParamsError
from shiftbench.workflow.engine import terminal
from shiftbench.workflow.engine.terminal import Board, Terminal
from shiftbench.workflow.plan.planned_job import PlannedJob
from snakemake_logger_plugin_shiftbench import LogHandler


def job(title: str, seconds: float = 4.0) -> PlannedJob:
    verb, name = title.split()
    return PlannedJob(
        verb=verb,
        name=name,
        root="",
        title=title,
        outputs=(),
        needs=(),
        runs=True,
        again=False,
        group=None,
        seconds=seconds,
        priority=0,
    )


JOBS = {one.marker: one for one in map(job, ("shift a", "shift b", "train a", "train b"))}
COUNTS = {"shift": 2, "train": 2}
SHIFT_A, _, TRAIN_A, TRAIN_B = JOBS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test moves."""
    now = SimpleNamespace(at=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.at)
    return now


def test_time_that_is_left_follows_what_jobs_of_a_stage_took(clock: SimpleNamespace) -> None:
    board = Board(JOBS)
    board.plan({**COUNTS, "all": 1, "total": 5})
    assert (board.total, board.left()) == (4, 16.0)
    board.begin(1, SHIFT_A)
    board.begin(2, TRAIN_A)
    board.begin(9, "")
    assert len(board.running) == 2
    clock.at += 3
    assert board.left() == (1 + 4 + 1 + 4) / 2
    clock.at += 5
    assert board.end(1) == (JOBS[SHIFT_A], 8.0)
    # A shift took twice what was said; of trainings, nothing else is known.
    factor = (8 + terminal.PRIOR) / (4 + terminal.PRIOR)
    assert board.left() == pytest.approx((4 + 0 + 4) * factor / 2)
    assert board.end(2, failed=True) == (JOBS[TRAIN_A], 8.0)
    assert (board.done, board.todo) == (1, {"shift": 4.0, "train": 8.0})
    assert board.end(9) is None


def test_a_slow_download_makes_no_hours_of_minutes(clock: SimpleNamespace) -> None:
    jobs = [job("fetch a"), *(job(f"train {n}") for n in range(20))]
    board = Board({one.marker: one for one in jobs})
    board.plan({"fetch": 1, "train": 20})
    before = board.left()
    board.begin(1, jobs[0].marker)
    clock.at += 500
    board.end(1)
    assert before - board.left() == 4
    board.begin(2, jobs[1].marker)
    clock.at += 40
    board.end(2)
    assert board.left() < 3 * before


def handler(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[LogHandler, io.StringIO]:
    """Return the plugin and what it prints."""
    monkeypatch.setattr(terminal, "_EXPECTED", JOBS)
    common = {"dryrun": False, "stdout": False, "nocolor": False, **settings}
    printed = io.StringIO()
    monkeypatch.setattr("sys.stderr", printed)
    plugin = LogHandler(SimpleNamespace(**common), None)
    return plugin, printed


def tell(plugin: LogHandler, event: LogEvent | None, text: str = "", **facts: Any) -> None:
    record = logging.LogRecord("snakemake", facts.pop("level", logging.INFO), "", 0, text, (), None)
    record.__dict__.update(facts)
    if event is not None:
        record.event = event
    plugin.emit(record)


def test_without_a_terminal_there_is_a_line_for_each_job_that_ended(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace, tmp_path: Path
) -> None:
    plugin, printed = handler(monkeypatch)
    (tmp_path / "b.log").write_text("\n".join(f"line {n}" for n in range(1, 51)))
    tell(plugin, None, "Building DAG of jobs...")
    tell(plugin, LogEvent.WORKFLOW_STARTED, "Workflow has started!")
    tell(plugin, LogEvent.RUN_INFO, "Job stats: ...", stats={"shift": 1, "train": 1, "all": 1})
    for number, output in enumerate(([SHIFT_A], [TRAIN_B], [])):
        tell(plugin, LogEvent.JOB_INFO, "rule", jobid=number, output=output)
    clock.at += 2.5
    for number in (0, 2):
        tell(plugin, LogEvent.JOB_FINISHED, "Finished", job_id=number)
    tell(plugin, LogEvent.PROGRESS, done=1, total=3)
    error = {"rule_msg": "killed (SIGKILL)", "rule_name": "train", "log": [str(tmp_path / "b.log")]}
    tell(plugin, LogEvent.JOB_ERROR, "Error", jobid=1, level=logging.ERROR, **error)
    tell(plugin, None, "a warning", level=logging.WARNING)
    tell(plugin, None, "Complete log(s): /x.log")
    plugin.close()
    plugin.close()
    assert printed.getvalue().splitlines() == [
        "2 jobs, about 8 s on one core",
        "[1/2]     2.5 s  shift a",
        "failed: train b after 2.5 s: killed (SIGKILL)",
        f"  log: {tmp_path / 'b.log'}, its last 40 lines of 50",
        *(f"    line {number}" for number in range(11, 51)),
        "a warning",
        "1 of 2 jobs made in 2 s",
        "Complete log(s): /x.log",
    ]


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_ends_with_the_pages_that_were_asked_for(
    failed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(terminal, "_PAGES", [str(tmp_path / "index.html"), str(tmp_path / "none")])
    (tmp_path / "index.html").touch()
    plugin, printed = handler(monkeypatch)
    tell(plugin, LogEvent.RUN_INFO, "Job stats: ...", stats={"shift": 1})
    tell(plugin, LogEvent.JOB_INFO, "rule", jobid=1, output=[SHIFT_A])
    if failed:
        tell(plugin, LogEvent.JOB_ERROR, "", jobid=1, rule_name="shift", rule_msg="x", log=[])
    else:
        tell(plugin, LogEvent.JOB_FINISHED, "Finished", job_id=1)
    tell(plugin, None, "Complete log(s): /x.log")
    plugin.close()
    told = [line for line in printed.getvalue().splitlines() if line.startswith("report: ")]
    assert told == ([] if failed else [f"report: {tmp_path / 'index.html'}"])


def test_a_run_that_has_nothing_to_do_names_the_pages_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(terminal, "_PAGES", [str(tmp_path)])
    for dry in (False, True):
        plugin, printed = handler(monkeypatch, dryrun=dry)
        tell(plugin, None, NOTHING_TO_BE_DONE_MSG)
        plugin.close()
        assert printed.getvalue().count(f"report: {tmp_path}") == (not dry)


def test_an_error_on_purpose_ends_snakemake_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, terminal.plainly():
        raise ParamsError("no scale 'x[y]'")
    assert ended.value.code == ParamsError("").code
    assert capsys.readouterr().err == "error: no scale 'x[y]'\n"


def test_samples_that_a_job_left_out_are_told_when_it_ends(tmp_path: Path) -> None:
    about: dict[str, object] = {"dataset": "own", "split": "test", "samples": 5, "tars": {}}
    about |= {"fields": {"label": "cls"}, "skipped": ["own/test/1: cut short"]}
    about |= {"index": "", "pixels": ""}
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    told = io.StringIO()
    shown = Terminal(Console(file=told, width=60))
    own = replace(job("shift own"), outputs=(f"{tmp_path}/manifest.json",))
    shown.board.expected = {own.marker: own}
    shown.plan({"shift": 1})
    shown.board.begin(1, own.marker)
    shown.end(1)
    assert "own/test: 1 of 6 samples could not be read and were skipped" in told.getvalue()
    assert f"{tmp_path}/manifest.json; the first: own/test/1: cut short" in told.getvalue()


def test_a_dry_run_prints_what_snakemake_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, printed = handler(monkeypatch, dryrun=True)
    tell(plugin, None, "Building DAG of jobs...")
    tell(plugin, LogEvent.JOB_INFO, "rule shift:\n    input: [x]", jobid=1, output=[SHIFT_A])
    tell(plugin, LogEvent.RUN_INFO, "Job stats: ...", stats={"shift": 1})
    plugin.close()
    assert printed.getvalue() == "Building DAG of jobs...\nrule shift:\n    input: [x]\nJob stats: ...\n"


def test_a_terminal_shows_what_runs_how_far_it_is_and_what_is_left(clock: SimpleNamespace) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    shown = Terminal(console)
    shown.board = Board(JOBS)
    shown.plan(COUNTS)
    shown.board.begin(1, TRAIN_A)
    shown.board.begin(2, SHIFT_A)
    clock.at += 3
    assert drawn(shown, 120)[0].endswith("0/4  3 s, about 5 s left")
    assert drawn(shown, 120)[1:] == ["3 s  train a", "3 s  shift a"]
    shown.end(1)
    shown.close()
    assert "1/4" in console.file.getvalue(), "it was shown while it ran"  # type: ignore[attr-defined]


def drawn(shown: Terminal, width: int) -> list[str]:
    picture = io.StringIO()
    Console(file=picture, width=width).print(shown._picture())
    return [line.strip() for line in picture.getvalue().splitlines()]


@pytest.mark.parametrize("width", [20, 60, 80, 160])
def test_what_is_shown_is_a_line_for_each_job_however_long_its_name_is(width: int) -> None:
    jobs = [replace(job(f"train {n}"), title="train " + "m" * 20 * n, seconds=9e4) for n in range(12)]
    shown = Terminal(Console(file=io.StringIO(), width=width))
    shown.board = Board({one.marker: one for one in jobs})
    shown.board.plan({"train": 12})
    for number, one in enumerate(jobs):
        shown.board.begin(number, one.marker)
    shown.begun -= 35_990
    lines = drawn(shown, width)
    assert len(lines) == 1 + terminal.SHOWN + 1
    assert max(map(len, lines)) <= width
    assert width < 80 or (lines[0].endswith("0/12  9 h 59 min, about 25 h 0 min left"), lines[-1]) == (
        True,
        "and 4 more",
    )
