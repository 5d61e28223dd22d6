"""docs/own_system.md as a new user reads it: every command of its steps runs as printed."""

import re

import pytest

from isolation import ROOT
from makers.repositories import Repository
from shiftbench.workflow.tools import init_benchmark

pytestmark = pytest.mark.workflow


def test_commands_of_the_page_run_as_printed(tmp_path):
    block = re.search(r"```sh\n(.*?)```", (ROOT / "docs/own_system.md").read_text(), re.S)
    assert block is not None
    init_benchmark.create(tmp_path / "my-benchmark")
    repository = Repository(tmp_path / "my-benchmark", sources=ROOT / "src")
    said = [repository.run(*line.split()).stdout for line in block[1].splitlines()]
    assert len(said) == 5
    assert "inconclusive" in said[-1]
