"""What a reviewer needs stands first, and terminal, page and JSON say the same."""

import html
import json
import os
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from makers import commands, forgeries
from makers.faults import ACCURACY, TABLES
from makers.made_benchmark import Made
from makers.repositories import HOME
from shiftbench import cli
from shiftbench.audit import run, summary
from shiftbench.audit.finding import Audit, Finding, Result

_OPEN = ("level 1", "level 2", "level 3", "level 4")


@pytest.mark.parametrize("level", range(4))
def test_what_a_level_says_and_leaves_open(published: Made, level: int) -> None:
    """The checks of a level that found nothing."""
    results = [
        Result(check.number, check.name, check.level, "", "exact" if level >= check.level else "not run")
        for check in run.checks()
    ]
    (table,) = summary.tables(published.plan(), results, level, inside=True)
    assert (table["name"], table["verdict"]) == ("tiny", "exact")
    assert ("follow from the recorded predictions" in table["says"]) == (level > 0)
    assert [what for what in _OPEN if what in " ".join(table["not_looked_at"])] == list(_OPEN[level:])
    assert any("which is part of the checkout" in what for what in table["believed"])


def test_some_checks_say_nothing_of_the_whole(published: Made) -> None:
    (table,) = published.audit("coverage").about["tables"]
    assert "nothing about its numbers as a whole" in table["says"]


def test_terminal_page_and_json_agree_on_a_forged_number(published: Made) -> None:
    forgeries.cell(published.root, TABLES, ACCURACY, value=pl.col("value") + 1e-4)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOME / "src"), "COLUMNS": "200"}
    environment["HOME"] = str(published.root.parent)
    file = published.root / "mine.json"
    words = ("shiftbench", "audit", "--only", "A10", "--only", "A13", "--only", "A14", "--json", str(file))
    done = commands.run(words, published.root, environment)
    assert done.returncode == 30, done.stderr
    said = json.loads(file.read_text())
    (table,) = said["about"]["tables"]
    assert (table["verdict"], table["checks"]) == ("failed", ["A14"])
    assert "for its numbers (A14)" in table["says"]
    page = html.unescape((published.root / "results/report/audit.html").read_text())
    told = [line.strip() for line in done.stdout.splitlines()]
    assert told[0].startswith("failed at level 1: ")
    assert told[1].startswith("3 checks: 2 exact, 1 failed; by shiftbench ")
    assert told[2].startswith("to repeat this audit: `shiftbench audit --level 1 --only A10 --only A13 --only A14 ")
    assert told[3] == summary.lines(table)[0]
    assert "A14 aggregates failed" in told[4]
    assert not re.search("[0-9a-f]{64}", done.stdout)
    verbose = commands.run((*words, "--verbose"), published.root, environment).stdout.splitlines()
    for line in summary.lines(table):
        assert line in map(str.strip, verbose)
        assert line in page
    assert "what is checked" not in done.stdout
    file.unlink()


def test_findings_are_told_with_the_table_that_they_touch() -> None:
    ours, both, theirs, whole = (
        Finding("failed", name, "why", numbers=tuple(f"{table}: accuracy = 1" for table in tables))
        for name, tables in (("a", "x"), ("b", "xy"), ("c", "y"), ("d", ""))
    )
    result = Result("A1", "one", 0, "", "failed", (ours, both, theirs, whole), limits=("short",))
    done = Audit("failed", (result,), {"tables": [{"name": "x"}, {"name": "y"}]})
    told = [[finding.file for _, finding in found] for _, found in summary.findings_by_table(done)]
    assert told == [["a", "b"], ["c"], ["d"]]
    assert summary.limits(done) == ["A1 short"]


@pytest.mark.parametrize("place", ["file/audit.json", "file/below/audit.json", ".", "/proc/none/audit.json"])
def test_a_json_that_cannot_be_written_ends_before_the_audit(
    published: Made, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (published.root / "file").touch()
    monkeypatch.setattr(run, "run", None)  # nothing is audited
    done = CliRunner().invoke(cli.app, ["audit", "--json", place])
    assert type(done.exception).__name__ == "DataError"
    assert "cannot be written to" in str(done.exception)


def test_a_json_that_can_be_written_is_not_left_empty(tmp_path: Path) -> None:
    from shiftbench.cli import audit

    audit._require_writable(tmp_path / "new/audit.json")
    assert not list((tmp_path / "new").iterdir())
