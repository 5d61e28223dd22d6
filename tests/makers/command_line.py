"""The command line as a user calls it, in this process."""

import sys

import pytest
from typer.testing import CliRunner, Result

from shiftbench import cli


def run(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, words)


def said(*words: str) -> str:
    """Run a command that must succeed; return what it prints."""
    result = run(*words)
    assert result.exit_code == 0, f"{result.output}{result.exception}"
    return result.output


def ends(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command as the shell does; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["shiftbench", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)
