"""What a newcomer does after a run: pulls in a clone, looks at the workflow, reads what a wrong word ends with."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from isolation import ROOT
from makers.repositories import Repository, clone
from shiftbench.workflow.storage import dvc_lock

pytestmark = pytest.mark.workflow
MAKE = ("make", "--old-file", "setup")  # the environment is this one


@pytest.fixture
def pushed(author: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The author's benchmark, pushed to the remote that the repository comes with, in a home of its own."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(author.path, tmp_path / "A", symlinks=True)
    mine = Repository(tmp_path / "A")
    shutil.copy(ROOT / ".dvc/config", mine.path / ".dvc/config")
    mine.run("git", "commit", "-qam", "the default remote")
    mine.run("dvc", "push", "--quiet")
    return mine


def test_a_clone_on_this_machine_pulls_from_the_default_remote(pushed: Repository, tmp_path: Path) -> None:
    said = clone(pushed, tmp_path / "B").run(*MAKE, "pull").stdout
    assert re.search(r"remote local served [1-9]\d+ objects", said)
    assert "1 shards (secret/test/identity/0): may not be redistributed, so a run makes them" in said
    assert not (pushed.path / ".dvc-remote").exists()


def test_a_benchmark_that_was_recorded_without_its_recipes_is_pulled(pushed: Repository, tmp_path: Path) -> None:
    (recipes,) = [one for one in dvc_lock.outputs(pushed.path) if one.path == "recipes"]
    remote = tmp_path / "home/.local/share/shiftbench/remotes/shiftbench/files/md5"
    (remote / dvc_lock.place(recipes.oid)).unlink()
    there = clone(pushed, tmp_path / "B")
    there.run("shiftbench", "pull")
    assert there.planned() == set()


def test_after_a_plain_dvc_pull_nothing_has_changed(pushed: Repository, tmp_path: Path) -> None:
    there = clone(pushed, tmp_path / "B")
    there.run("dvc", "pull", "--quiet")
    assert "up to date" in there.run("dvc", "status").stdout
    assert there.planned() == set()


def test_where_no_remote_answers_the_command_is_told(
    pushed: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = clone(pushed, tmp_path / "B")
    monkeypatch.setenv("HOME", str(tmp_path))  # another user's
    failed = there.run("shiftbench", "pull", "tables", check=False)
    assert failed.returncode == 3
    assert f"{tmp_path}/.local/share/shiftbench/remotes/shiftbench does not exist" in failed.stderr
    told = re.search(r"`(dvc remote add [^`]*)`, and pull again", failed.stderr)
    assert told
    there.run("git", "remote", "set-url", "origin", "https://example.org/benchmark")
    elsewhere = there.run("shiftbench", "pull", "tables", check=False).stderr
    assert "`dvc remote add --local --default NAME URL`, and pull again" in elsewhere
    there.run(*shlex.split(told[1]))
    assert "remote origin served" in there.run("shiftbench", "pull", "tables").stdout


def test_snakemake_shows_the_whole_workflow_after_a_run(colleague: Repository) -> None:
    jobs = sum(1 for _ in (colleague.path / "recipes").rglob("*.json"))
    drawn = colleague.run("snakemake", "--dag").stdout
    assert drawn.count("label") == jobs + 1  # and `all`
    assert drawn.count("->") > jobs
    summary = colleague.run("snakemake", "--summary").stdout
    assert "logs/jobs/evaluate/tiny/convnet-erm-s0/plain.done" in summary
    colleague.run("snakemake", "--report", "workflow.html")
    page = (colleague.path / "workflow.html").read_text()
    assert "evaluate" in page
    assert colleague.planned() == set()


def test_dvc_shows_a_row_of_few_metrics_for_each_weights(colleague: Repository) -> None:
    said = json.loads(colleague.run("dvc", "metrics", "show", "--json").stdout)
    files = said[""]["data"]
    assert list(files) == ["results/report/metrics/tiny/convnet-erm.json"]
    assert {"clean-accuracy", "corruptions-accuracy"} <= next(iter(files.values()))["data"].keys()
    header, row = colleague.run("dvc", "metrics", "show").stdout.strip().splitlines()
    assert max(len(header), len(row)) < 160


def test_a_wrong_word_in_params_ends_a_run_with_one_line(colleague: Repository) -> None:
    colleague.edit("params.yaml", "epochs: 1", "epochz: 1")
    done = colleague.run("snakemake", check=False)
    assert done.returncode == 2
    *_, last = done.stderr.strip().splitlines()
    assert last.startswith("error: params.yaml: trainers.erm.epochz: unknown option")
    assert ".smk" not in done.stderr
