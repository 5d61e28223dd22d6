"""Git is asked about a repository of somebody else's, and starts none of the programs that its files name."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shiftbench.audit.evidence import git_state
from shiftbench.provenance import git, trust
from shiftbench.release import git as released

PROGRAMS = """
core.fsmonitor core.sshCommand core.askPass core.pager core.editor core.gitProxy core.alternateRefsCommand
filter.x.clean filter.x.smudge filter.x.process filter.a.b=c.clean
diff.external diff.x.textconv diff.x.command gpg.program gpg.ssh.program credential.helper pager.status pager.show
remote.origin.uploadpack remote.origin.vcs uploadpack.packObjectsHook sequence.editor
""".split()
"""Settings of git that name a program (git-config(1))."""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, the working folder of the test; every program that it names leaves the file `ran`."""
    home = tmp_path / "repository"
    call(tmp_path, "init", "-q", str(home))
    (home / ".gitattributes").write_text("* filter=x diff=x\n*.b filter=a.b=c\n")
    for name in ("one.txt", "two.b"):
        (home / name).write_text("one")
    call(home, "-c", "user.name=A", "-c", "user.email=a@b.c", "add", "-A")
    call(home, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first")
    program = f"touch {tmp_path / 'ran'};"
    for key in PROGRAMS:
        call(home, "config", key, program)
    call(home, "config", "log.showSignature", "true")
    call(home, "config", "remote.origin.url", f"ext::{program}")
    call(home, "config", "remote.origin.promisor", "true")
    call(home, "config", "extensions.partialClone", "origin")
    for hook in ("post-index-change", "post-checkout", "reference-transaction", "pre-auto-gc"):
        (home / ".git/hooks").mkdir(exist_ok=True)
        (home / ".git/hooks" / hook).write_text(f"#!/bin/sh\n{program}\n")
        (home / ".git/hooks" / hook).chmod(0o755)
    for name in ("one.txt", "two.b"):  # same size, another time: git has to look at the bytes
        (home / name).write_text("two")
        os.utime(home / name, (1, 1))
    monkeypatch.chdir(home)
    return home


def call(home: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=home, check=True, capture_output=True)


HERE, OTHER = Path(), "0" * 40
ASKED: dict[str, Callable[[], object]] = {
    "what differs": lambda: released.dirty(HERE),
    "tracked files that differ": lambda: git.changed("--untracked-files=no"),
    "which bytes differ": git_state.changed,
    "what is tracked": git_state.tracked,
    "a file of a commit": lambda: released.show(HERE, "HEAD", "one.txt"),
    "an object that is not here": lambda: released.show(HERE, OTHER, "one.txt"),
    "a commit that is not here": lambda: git.is_known(OTHER),
    "what is before": lambda: git_state.is_ancestor(OTHER),
    "what is rewritten": git_state.rewritten,
}


@pytest.mark.parametrize("question", ASKED)
def test_no_question_starts_a_program_that_the_repository_names(hostile: Path, question: str) -> None:
    ASKED[question]()
    assert not (hostile.parent / "ran").exists()


def test_the_repository_can_start_programs_where_nothing_is_done_about_it(hostile: Path) -> None:
    subprocess.run(["git", "status"], cwd=hostile, check=False, capture_output=True)
    assert (hostile.parent / "ran").exists()


def test_what_differs_is_told_without_filters(hostile: Path) -> None:
    (hostile / "new\nline").touch()
    assert released.dirty(hostile) == ["new\nline", "one.txt", "two.b"]
    assert git.changed("--untracked-files=no", home=hostile) == ["one.txt", "two.b"]
    assert released.show(hostile, "HEAD", "one.txt") == b"one"


@pytest.mark.parametrize("word", ["--output=written", "-h", "--textconv", "--batch-command"])
def test_a_revision_is_no_option(hostile: Path, word: str) -> None:
    before = sorted(hostile.rglob("*"))
    assert released.show(hostile, word, "one.txt") is None
    assert not git.is_known(word, hostile)
    assert not git_state.is_known(word)
    assert not git_state.is_ancestor(word)
    assert sorted(hostile.rglob("*")) == before


def test_settings_that_are_yours_are_not_the_repositorys(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(hostile, "config", "gpg.ssh.allowedSignersFile", "theirs")
    monkeypatch.setenv("HOME", str(hostile.parent))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert git.yours("gpg.ssh.allowedSignersFile") is None
    (hostile.parent / ".gitconfig").write_text("[gpg.ssh]\n  allowedSignersFile = mine\n")
    assert git.yours("gpg.ssh.allowedSignersFile") == "mine"


# --- a repository that leads elsewhere ----------------------------------------------------------------


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of the user's, of which a stranger's checkout beside it may tell nothing; nothing is trusted."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "trusted"))
    home = tmp_path / "private"
    call(tmp_path, "init", "-q", str(home))
    (home / "secret.txt").write_text("secret")
    call(home, "add", "-A")
    call(home, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first")
    return home


def linked(theirs: Path, private: Path) -> None:
    (theirs / ".git").symlink_to(private / ".git")


def file_to(theirs: Path, private: Path) -> None:
    (theirs / ".git").write_text(f"gitdir: {private / '.git'}\n")


def relative_file_to(theirs: Path, private: Path) -> None:
    (theirs / ".git").write_text(f"gitdir: {os.path.relpath(private, theirs)}/.git\n")


def common(theirs: Path, private: Path) -> None:
    call(theirs, "init", "-q")
    (theirs / ".git/commondir").write_text(f"{private / '.git'}\n")


def false_worktree(theirs: Path, private: Path) -> None:
    there = theirs / "some/worktrees/one"
    there.mkdir(parents=True)
    (theirs / ".git").write_text(f"gitdir: {there}\n")
    (there / "gitdir").write_text(f"{theirs / '.git'}\n")
    (there / "HEAD").write_bytes((private / ".git/HEAD").read_bytes())
    (there / "commondir").write_text(f"{private / '.git'}\n")


def false_submodule(theirs: Path, private: Path) -> None:
    call(theirs, "init", "-q", "some")
    call(theirs / "some", "config", "core.worktree", str(theirs))
    (theirs / "some/.git/commondir").write_text(f"{private / '.git'}\n")
    (theirs / ".git").write_text("gitdir: some/.git\n")


def bare(theirs: Path, private: Path) -> None:
    """Git takes a folder with these for a repository without a work tree."""
    for name in ("objects", "refs"):
        (theirs / name).symlink_to(private / ".git" / name)
    shutil.copy(private / ".git/HEAD", theirs)


def pipe(theirs: Path, private: Path) -> None:
    """Who reads it waits forever."""
    (theirs / "some").mkdir()
    os.mkfifo(theirs / "some/gitdir")
    (theirs / ".git").write_text(f"gitdir: some\n{private}")


LEADING = (linked, file_to, relative_file_to, common, false_worktree, false_submodule, bare, pipe)


INSIDE = {
    "alternates": lambda git_dir, other: write(git_dir / "objects/info/alternates", f"{other / 'objects'}\n"),
    "objects": lambda git_dir, other: link(git_dir / "objects", other / "objects"),
    "packs": lambda git_dir, other: link(git_dir / "objects/pack", other / "objects/pack"),
    "branches": lambda git_dir, other: link(git_dir / "refs/heads", other / "refs/heads"),
    "a branch": lambda git_dir, other: link(git_dir / "refs/heads/x/y", other / "refs/heads/master"),
    "HEAD": lambda git_dir, other: link(git_dir / "HEAD", other / "HEAD"),
    "index": lambda git_dir, other: link(git_dir / "index", other / "index"),
    "what is ignored": lambda git_dir, other: link(git_dir / "info/exclude", other / "config"),
    "a pipe": lambda git_dir, _: pipe_at(git_dir / "packed-refs"),
    "a pipe for HEAD": lambda git_dir, _: pipe_at(git_dir / "HEAD"),
    "an include": lambda git_dir, other: setting(git_dir, "include", f"path = {other}/config"),
    "a condition": lambda git_dir, other: setting(git_dir, 'includeIf "gitdir:/.path"', f"path = {other}/config"),
    "attributes": lambda git_dir, _: setting(git_dir, "core", "attributesFile = /dev/zero"),
    "ignored files": lambda git_dir, _: setting(git_dir, "CORE", "ExcludesFILE = /dev/zero"),
    "a setting of the work tree": lambda git_dir, other: write(
        git_dir / "config.worktree", f"[include]\npath={other}/config\n"
    ),
    "deep": lambda git_dir, other: link(git_dir / ("refs" + "/a" * 900), other / "refs"),
}
"""What in a repository of its own would have git read other files; each gets the repository and another one."""


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def link(at: Path, to: Path) -> None:
    if at.is_dir():
        shutil.rmtree(at)
    at.parent.mkdir(parents=True, exist_ok=True)
    at.unlink(missing_ok=True)
    at.symlink_to(to)


def pipe_at(file: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def setting(git_dir: Path, section: str, line: str) -> None:
    with (git_dir / "config").open("a") as file:
        file.write(f"[{section}]\n\t{line}\n")


@pytest.mark.parametrize("names", [*([name] for name in INSIDE), *range(8)], ids=str)
def test_a_repository_that_would_read_files_of_others_is_none(
    private: Path, tmp_path: Path, names: list[str] | int
) -> None:
    """Each way alone, and some drawn together."""
    if isinstance(names, int):
        rng = np.random.default_rng(names)
        names = rng.choice([n for n in INSIDE if n != "deep"], 3, replace=False).tolist()
    theirs = tmp_path / "theirs"
    call(tmp_path, "clone", "-q", str(private), str(theirs))
    assert git.says("ls-files", home=theirs) == "secret.txt"
    for name in names:
        INSIDE[name](theirs / ".git", private / ".git")
    assert git.says("rev-parse", "HEAD", home=theirs) is None
    assert git.says("ls-files", home=theirs) is None
    assert git.changed(home=theirs) == []


def test_what_is_usual_in_a_repository_is_read(private: Path, tmp_path: Path) -> None:
    """Links in hooks, packs, tags, a stash, a shallow clone."""
    for words in (("tag", "one"), ("gc", "-q"), ("pack-refs", "--all")):
        call(private, *words)
    theirs = tmp_path / "theirs"
    call(tmp_path, "clone", "-q", "--depth=1", private.as_uri(), str(theirs))
    (theirs / ".git/hooks/pre-commit").symlink_to(tmp_path / "mine.sh")
    assert git.says("ls-files", home=theirs) == "secret.txt"


@pytest.mark.parametrize("lead", LEADING)
def test_no_file_of_a_checkout_leads_git_to_another_repository(
    private: Path, tmp_path: Path, lead: Callable[[Path, Path], None]
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "below").mkdir(parents=True)
    lead(theirs, private)
    for home in (theirs, theirs / "below"):
        assert git.says("rev-parse", "HEAD", home=home) is None
        assert git.says("ls-tree", "--name-only", "HEAD", home=home) is None
        assert "secret.txt" not in "".join(git.changed(home=home))


def test_a_work_tree_that_the_configuration_names_is_not_looked_into(private: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    call(tmp_path, "init", "-q", str(theirs))
    call(theirs, "config", "core.worktree", str(private))
    (theirs / "mine.txt").touch()
    assert git.changed("--untracked-files=all", home=theirs) == ["mine.txt"]


def test_worktrees_and_submodules_are_repositories(private: Path, tmp_path: Path) -> None:
    call(private, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    known = git.says("rev-parse", "HEAD", home=private)
    assert known
    assert git.says("rev-parse", "HEAD", home=tmp_path / "tree") == known
    assert git.changed(home=tmp_path / "tree") == []
    above = tmp_path / "above"
    call(tmp_path, "init", "-q", str(above))
    call(above, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(private), "sub")
    assert (above / "sub/.git").is_file()
    assert git.says("rev-parse", "HEAD", home=above / "sub") == known
    (above / "sub/new.txt").touch()
    assert git.changed(home=above / "sub") == ["new.txt"]


def test_a_trusted_checkout_may_have_its_repository_elsewhere(private: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    file_to(theirs, private)
    trust.trust(theirs)
    assert git.says("ls-tree", "--name-only", "HEAD", home=theirs) == "secret.txt"
