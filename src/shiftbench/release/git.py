"""Questions of a release to git."""

from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.provenance import git


def commit(home: Path) -> str:
    """Commit that is checked out.

    Raises:
        DataError: there is no git, no repository or no commit.
    """
    head = git.ask("rev-parse", "--verify", "HEAD", home=home)
    if head is None:
        raise DataError(
            f"{home.resolve()} has no git commit, and a release names one; "
            "run `git init`, `git add -A` and `git commit`"
        )
    return head.decode().strip()


def dirty(home: Path) -> list[str]:
    """Files that differ from the commit or are unknown to it, sorted."""
    return git.changed("--untracked-files=all", "--", ".", home=home)


def show(home: Path, revision: str, path: str) -> bytes | None:
    """A file of a commit; None if the commit (in a shallow clone) or the file is missing."""
    return git.ask("cat-file", "blob", "--end-of-options", f"{revision}:./{path}", home=home)


def config(home: Path, key: str) -> str | None:
    """A setting of git; None if it is not set."""
    output = git.ask("config", "--get", key, home=home)
    return output.decode().strip() if output else None
