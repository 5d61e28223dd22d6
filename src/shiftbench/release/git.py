"""What a release asks of git."""

from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.provenance import git


def commit(home: Path) -> str:
    """Return the commit that is checked out.

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
    """Return the files that differ from the commit or are unknown to it, sorted."""
    return git.changed("--untracked-files=all", "--", ".", home=home)


def show(home: Path, revision: str, path: str) -> bytes | None:
    """Return a file of a commit; None when the commit (a shallow clone) or the file is not there."""
    return git.ask("cat-file", "blob", "--end-of-options", f"{revision}:./{path}", home=home)


def config(home: Path, key: str) -> str | None:
    """Return a setting of git; None where it is not set."""
    output = git.ask("config", "--get", key, home=home)
    return output.decode().strip() if output else None
