"""What a run shows, by the events that Snakemake logs."""

import importlib.util
import io
import json
import logging
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from rich.console import Console
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.common import LogEvent

from shiftbench.base.errors import ParamsError
from shiftbench.workflow.engine import failures, terminal, warm
from shiftbench.workflow.engine.client import ADDRESS
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
    assert (board.total, board.left(), board.share()) == (4, None, 0.0), "nothing is known before the first job is done"
    board.begin(1, SHIFT_A)
    board.begin(2, TRAIN_A)
    board.begin(9, "")
    assert len(board.running) == 2
    clock.at += 3
    assert (board.left(), board.share()) == (None, (3 + 3) / 16)
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
    board.begin(1, jobs[0].marker)
    clock.at += 500
    board.end(1)
    assert board.left() is None, "a download says nothing about trainings"
    board.begin(2, jobs[1].marker)
    clock.at += 40
    board.end(2)
    left = board.left()
    assert left is not None
    assert left < 3 * 4 * 20


def handler(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[LogHandler, io.StringIO]:
    """Return the plugin and what it prints."""
    monkeypatch.setattr(terminal, "_EXPECTED", JOBS)
    common = {"dryrun": False, "stdout": False, "nocolor": False, "show_failed_logs": False, **settings}
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


@pytest.mark.parametrize("show_logs", [False, True])
def test_without_a_terminal_there_is_a_line_for_each_job_that_ended(
    show_logs: bool, monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace, tmp_path: Path
) -> None:
    plugin, printed = handler(monkeypatch, show_failed_logs=show_logs)
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
    tell(plugin, None, "RuleException:\nCalledProcessError in file x", level=logging.ERROR)
    tell(plugin, LogEvent.JOB_ERROR, "Error", jobid=1, level=logging.ERROR, **error)
    tell(plugin, None, "a warning", level=logging.WARNING)
    tell(plugin, None, "Exiting because a job execution failed. Look above", level=logging.ERROR)
    tell(plugin, None, "Complete log(s): /x.log")
    plugin.close()
    plugin.close()
    log = tmp_path / "b.log"
    shown = [f"  log: {log}, its last 40 lines of 50", *(f"    line {number}" for number in range(11, 51))]
    assert printed.getvalue().splitlines() == [
        "2 jobs: shift 1, train 1",
        "[1/2]     2.5 s  shift a",
        "failed: train b - line 50",
        *(shown if show_logs else [f"  log: {log}"]),
        "a warning",
        *([] if show_logs else ["The log has the traceback. `--show-failed-logs` prints its end in the next run."]),
        "1 of 2 jobs made in 2 s, 1 failed",
        "Complete log(s): /x.log",
    ]


def test_an_equal_error_of_several_jobs_is_printed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jobs = {one.marker: one for one in (job(f"train {name}") for name in "abcdef")}
    plugin, printed = handler(monkeypatch)
    plugin.terminal.board.expected = jobs
    tell(plugin, LogEvent.RUN_INFO, "Job stats: ...", stats={"train": 6})
    for number, (marker, planned) in enumerate(jobs.items()):
        log = tmp_path / f"{planned.name}.log"
        cause = "ValueError: other" if planned.name == "b" else "RuntimeError: boom"
        log.write_text(f"Traceback\n  line\nRuntimeError: boom\n\x1b[1;31merror:\x1b[0m {cause}\n")
        tell(plugin, LogEvent.JOB_INFO, "rule", jobid=number, output=[marker])
        tell(plugin, LogEvent.JOB_ERROR, "Error", jobid=number, rule_msg=None, rule_name="train", log=[str(log)])
    plugin.close()
    assert printed.getvalue().splitlines()[1:] == [
        "failed: train a - RuntimeError: boom",
        f"  log: {tmp_path}/a.log",
        "failed: train b - ValueError: other",
        f"  log: {tmp_path}/b.log",
        "failed with the same error: 4 jobs (train c, train d, train e, ...)",
        "The log has the traceback. `--show-failed-logs` prints its end in the next run.",
        "0 of 6 jobs made in 0 s, 6 failed",
    ]


def test_the_cause_is_the_last_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert failures.cause(log) == ""
    log.write_text("started\nerror: an earlier one\nmore\nerror: the file is damaged\nwrite it again\n\n")
    assert failures.cause(log) == "the file is damaged\nwrite it again"
    log.write_text("started\nkilled (SIGKILL)\n\n")
    assert failures.cause(log) == "killed (SIGKILL)"


def test_an_unexpected_error_names_the_deepest_line_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mine/models/pocket.py"
    own.parent.mkdir(parents=True)
    own.write_text("import json\n\ndef features(text):\n    return json.loads(text)\n")
    spec = importlib.util.spec_from_file_location("pocket", own)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(ValueError, match="Expecting") as caught:
        module.features("{")
    text = failures.describe(caught.value)
    assert re.fullmatch(r"JSONDecodeError: Expecting .* \(mine/models/pocket\.py:4, in features\)", text)
    assert failures.describe(RuntimeError("first\nsecond")) == "RuntimeError: first"


def test_imports_are_no_time_of_jobs(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server needs from 1 s to 13 s after the first job was given to it."""
    told = io.StringIO()
    shown = Terminal(Console(file=told, width=80))
    shown.board = Board(JOBS)
    monkeypatch.setenv(ADDRESS, str(tmp_path / "jobs"))
    monkeypatch.setattr(time, "time", lambda: clock.at + 1e9)

    def touch(name: str) -> None:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (clock.at + 1e9, clock.at + 1e9))

    shown.plan(COUNTS)
    shown.begin(1, SHIFT_A)
    clock.at += 1
    touch(warm.IMPORTING)
    clock.at += 10
    assert warm.is_importing()
    assert shown.board.share() == pytest.approx(1 / 16), "one second before the imports"
    clock.at += 2
    touch(warm.READY)
    clock.at += 2.5
    shown.end(1)
    assert told.getvalue().splitlines() == [
        "4 jobs: shift 2, train 2",
        "starting workers (importing torch)",
        "workers started in 12.0 s, once for all jobs",
        "[1/4]     3.5 s  shift a",
    ]


def test_what_a_job_made_is_counted(tmp_path: Path) -> None:
    about: dict[str, object] = {"tars": {}, "fields": {"label": "cls"}, "index": "", "pixels": "", "samples": 1200}
    outputs = []
    for severity in (3.0, 5.0):
        file = tmp_path / f"{severity:g}" / "manifest.json"
        file.parent.mkdir()
        file.write_text(json.dumps({**about, "severity": severity}))
        outputs.append(str(file))
    assert terminal.made_text(outputs) == "2,400 samples at severities 3, 5"
    assert terminal.made_text(outputs[:1]) == "1,200 samples at severity 3"
    pl.DataFrame({"key": ["a", "b"]}).write_parquet(tmp_path / "3.parquet")
    assert terminal.made_text([str(tmp_path / "3.parquet"), "model.safetensors"]) == "2 rows in 1 file"
    outputs.append(str(tmp_path / "manifest.json"))
    assert terminal.made_text(outputs) == "", "a job whose output is gone stops no display"


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_ends_with_the_pages_that_were_asked_for(
    failed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(terminal, "_PAGES", {str(tmp_path / "index.html"): "smoke", str(tmp_path / "none"): None})
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
    told = [line for line in printed.getvalue().splitlines() if line.startswith(("report: ", "next: "))]
    page = (tmp_path / "index.html").as_uri()
    assert told == ([] if failed else [f"report: {page}", "next: `shiftbench audit --config smoke`"])


def test_a_run_that_has_nothing_to_do_names_the_pages_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(terminal, "_PAGES", {str(tmp_path): None})
    for dry in (False, True):
        plugin, printed = handler(monkeypatch, dryrun=dry)
        tell(plugin, None, NOTHING_TO_BE_DONE_MSG)
        plugin.close()
        assert printed.getvalue().count(f"report: {tmp_path.as_uri()}\nnext: `shiftbench audit`\n") == (not dry)


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
    assert drawn(shown, 120)[0].endswith("0/4  3 s")
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
    shown.board.took = {"shift": [(1.0, 1.0)]}
    shown.begun -= 35_990
    lines = drawn(shown, width)
    assert len(lines) == 1 + terminal.SHOWN + 1
    assert max(map(len, lines)) <= width
    assert width < 80 or (lines[0].endswith("0/12  9 h 59 min, about 25 h 0 min left"), lines[-1]) == (
        True,
        "and 4 more",
    )
