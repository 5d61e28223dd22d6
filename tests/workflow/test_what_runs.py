"""Snakemake starts the jobs that have something to do, in drawn states on the disk, and no others."""

from pathlib import Path

import pytest

from makers import stubbed_runs

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(("seed", "count"), [(0, 4), pytest.param(1, 30, marks=pytest.mark.slow)])
def test_snakemake_starts_the_jobs_that_have_something_to_do(tmp_path: Path, seed: int, count: int) -> None:
    stubbed_runs.make(tmp_path)
    assert stubbed_runs.run(tmp_path, seed, count) == []


def test_a_root_is_quoted(tmp_path: Path) -> None:
    """Whatever a shell makes of its characters; jobs that start warm have no shell."""
    root = 'build/it\'s $(touch X) `touch X`; "touch" X & > X | #~!\\'
    said = stubbed_runs.commands_of(tmp_path, root)
    assert [words[:3] for words in said] == [["shiftbench", "shift", "--recipe"]] * 4
    for words in said:
        assert words[3].startswith(f"{root}/recipes/shift/shapes/")
        assert words[4] == ">"
        assert words[5].startswith(f"{root}/logs/shift/shapes/")
