"""A1: what differs from HEAD, and results that another history made."""

import json
import subprocess
from pathlib import Path

import pytest

from makers.made_benchmark import Made
from shiftbench.audit.finding import Finding
from shiftbench.base import registry


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def stamp(root: Path, commit: str | None) -> None:
    """Let all results be made at a commit."""
    for file in root.rglob("*.run.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "commit": commit, "dirty": []}))


@pytest.fixture
def recorded(made):
    """The benchmark in git, its results made at HEAD."""
    (made.root / ".gitignore").write_text("data/\ncheckpoints/\nresults/\nrecipes/\nlogs/\n__pycache__/\n")
    (made.root / "dvc.lock").write_text("schema: '2.0'\n")
    (made.root / "README.md").write_text("# tiny\n")
    git(made.root, "init", "-q")
    git(made.root, "add", "-A")
    commit(made.root)
    stamp(made.root, git(made.root, "rev-parse", "HEAD"))
    return made


def commit(root: Path) -> None:
    """Commit what changed."""
    git(root, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qam", "x", "--allow-empty")


def enter(made: Made, place: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return what is found in another place of the history, whose plugins are those of that place."""
    plan = made.plan()
    monkeypatch.chdir(place)
    monkeypatch.setattr(registry.Folders, "extra", (place / "mine",))
    return made.findings("commit", plan=plan)


def test_a_clean_checkout_and_a_later_commit(recorded):
    assert recorded.findings("commit") == []
    commit(recorded.root)
    assert recorded.findings("commit") == []


def test_another_place_of_the_same_history(recorded, tmp_path, monkeypatch):
    git(recorded.root, "worktree", "add", "-q", str(tmp_path / "elsewhere"))
    assert enter(recorded, tmp_path / "elsewhere", monkeypatch) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("params.yaml", "seed: 1\n"),
        ("mine/datasets/tiny.py", "\nFIRST = 1\n"),
        ("mine/datasets/tiny.py", "\nimport math as np\n"),  # the same names mean something else
        ("mine/datasets/classes.txt", "fourth\n"),
        ("requirements.lock", "other==1\n"),
        ("dvc.lock", "stages: {}\n"),
    ],
)
def test_what_decides_results_may_not_differ(recorded, name, text):
    plan, file = recorded.plan(), recorded.root / name
    file.write_text(file.read_text() + text)
    (finding,) = recorded.findings("commit", plan=plan)
    assert (finding.verdict, finding.file) == ("failed", name)


@pytest.mark.parametrize(
    ("name", "text"),
    [("params.yaml", "# why\n"), ("mine/datasets/tiny.py", "# why\n"), ("README.md", "More.\n"), ("new.txt", "New.\n")],
)
def test_a_comment_and_a_document_may(recorded, name, text):
    plan, file = recorded.plan(), recorded.root / name
    file.write_text((file.read_text() if file.exists() else "") + text)
    said = recorded.says("commit", plan=plan)
    assert not recorded.findings("commit", plan=plan)
    assert any("1 changed files decide no result" in one.text for one in said)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_to_overlook_fails(recorded, flag):
    plan, file = recorded.plan(), recorded.root / "requirements.lock"
    git(recorded.root, "update-index", flag, file.name)
    assert not recorded.findings("commit", plan=plan)
    file.write_text("other==1\n")
    assert git(recorded.root, "status", "--porcelain") == ""
    (finding,) = recorded.findings("commit", plan=plan)
    assert (finding.verdict, finding.file) == ("failed", file.name)


def test_code_that_is_used_and_in_no_commit_fails(recorded):
    plan, ignore = recorded.plan(), recorded.root / ".gitignore"
    git(recorded.root, "rm", "-q", "--cached", "mine/datasets/classes.txt")
    commit(recorded.root)
    ignore.write_text(ignore.read_text() + "classes.txt\n")
    (finding,) = recorded.findings("commit", plan=plan)
    assert (finding.verdict, finding.file) == ("failed", "mine/datasets/classes.txt")


def test_results_of_another_history_fail(recorded):
    stamp(recorded.root, "0123456789" * 4)
    (finding,) = recorded.findings("commit")
    assert (finding.verdict, finding.found) == ("failed", "0123456789" * 4)
    assert "53 outputs were made at a commit that is not in this repository" in finding.why


def test_a_shallow_clone_cannot_tell(recorded, tmp_path, monkeypatch):
    commit(recorded.root)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{recorded.root}", "shallow")
    (finding,) = enter(recorded, tmp_path / "shallow", monkeypatch)
    assert finding.verdict == "incomplete"
    assert "git fetch --unshallow" in finding.why


def test_without_git_nothing_can_be_told(made):
    (finding,) = made.findings("commit")
    assert (finding.verdict, finding.file) == ("incomplete", "params.yaml")


def test_results_made_without_git_name_no_commit(recorded):
    stamp(recorded.root, None)
    (finding,) = recorded.findings("commit")
    assert finding.verdict == "incomplete"
