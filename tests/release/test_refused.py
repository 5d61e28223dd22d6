"""What is not whole is not released; the message names the files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from makers.released_benchmark import CREATED, RECORD, TAR, call, flip
from makers.repositories import Repository
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, ShiftbenchError, StaleError
from shiftbench.release import make, manifest, statement
from shiftbench.workflow.plan import plan as plans

pytestmark = pytest.mark.workflow


@pytest.fixture
def unreleased(author: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that releases the benchmark in this process, in a folder of the test's own."""
    shutil.copytree(author.path, tmp_path / "own", symlinks=True, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(tmp_path / "own")
    monkeypatch.setattr(registry.Folders, "extra", ())

    def release(name: str = "1.0", created: str | None = None) -> None:
        planned, root = plans.load()
        home = Path()
        make.make(planned, root, home, make.Request(name, None, make.release_time(created), None))

    return release


def commit() -> None:
    call("git", "commit", "-qam", "changed")


def stale() -> None:
    file = Path("params.yaml")
    file.write_text(file.read_text().replace("bins: 10", "bins: 12"))
    commit()


REFUSED: dict[str, tuple[Callable[[], None], type[ShiftbenchError], str]] = {
    "a tracked file was changed": (
        lambda: Path("README.md").write_text("x"),
        StaleError,
        r"1 file\(s\) differ from the commit.*\n  README.md",
    ),
    "a file that git does not know": (
        lambda: Path("mine.py").write_text("x"),
        StaleError,
        r"git does not know.*\n  mine.py",
    ),
    "a stale table": (stale, StaleError, r"tiny/metrics.parquet: recipe changed.*bins"),
    "a missing record": (lambda: Path(RECORD).unlink(), DataError, rf"are missing.*\n  {RECORD}"),
    "a damaged shard": (lambda: flip(Path(TAR)), StaleError, rf"bytes changed: {Path(TAR).name}"),
    "no git": (lambda: shutil.rmtree(".git"), DataError, "has no git commit"),
    "no Snakefile": (lambda: (Path("Snakefile").unlink(), commit()), DataError, "Snakefile is missing"),
    "no run file": (lambda: Path(f"{RECORD}.run.json").unlink(), DataError, r"run.json is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_whole_is_refused_and_named(unreleased: Callable[..., None], case: str) -> None:
    change, error, message = REFUSED[case]
    change()
    with pytest.raises(error, match=message):
        unreleased()
    assert list(Path().glob("releases/*")) == []


def test_names_and_times_are_checked_and_nothing_is_written_twice(unreleased: Callable[..., None]) -> None:
    with pytest.raises(ParamsError, match="no valid name for a release"):
        unreleased("../1.0")
    with pytest.raises(ParamsError, match="is no time"):
        unreleased(created="yesterday")
    shutil.rmtree("data/local")  # what a licence withholds may be missing
    unreleased(created=CREATED)
    assert any(one.withheld for one in manifest.artefacts(manifest.read(Path(), "1.0")))
    call("git", "add", "releases")
    commit()
    with pytest.raises(ParamsError, match="never overwritten"):
        unreleased()
    with pytest.raises(ParamsError, match=r"no release '1.1'.*1\.0"):
        manifest.read(Path(), "1.1")
    assert statement.FILE in {file.name for file in Path("releases/1.0").iterdir()}
