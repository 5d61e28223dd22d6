"""Looking at a stranger's checkout runs nothing of it; what would run it says so and asks for `shiftbench trust`."""

import sys
from pathlib import Path

import pytest
import yaml

from makers import planned_benchmark
from makers.command_line import ends, run
from shiftbench.base import files, registry
from shiftbench.base.errors import DataError, UntrustedError
from shiftbench.provenance import trust
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan import planned_jobs
from shiftbench.workflow.tools import init_benchmark


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of what is trusted: empty."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "state" / "trusted"))
    return tmp_path / "state" / "trusted"


@pytest.fixture
def theirs(tmp_path: Path, listed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, entered; whatever of it is run leaves the file `ran`."""
    home = tmp_path / "theirs"
    planned_benchmark.make(home)
    (home / "params.yaml").write_text(yaml.safe_dump(planned_benchmark.PARAMS))
    mark = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    for file in [*home.rglob("*.py"), home / "mine/__init__.py", home / "Snakefile"]:
        file.write_text(f"{file.read_text() if file.exists() else ''}\n{mark}")
    monkeypatch.chdir(home)
    plans._code.cache_clear()
    return home


READING = {
    "list --json": 0,
    "list shifts": 0,
    "plan": 0,
    "plan --estimate --json": 0,
    "why results/report/index.html": 0,
    "describe shifts bright": 0,
    "doctor": 0,
    "doctor --json": 0,
    "cite": 0,
    "audit --level 0": 20,  # nothing is here
    "audit --level 1 --only parameters": 0,
    "release 1.0 --verify": 2,  # there is none
}


@pytest.mark.parametrize("words", READING)
def test_a_reading_command_runs_nothing_of_the_checkout(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    assert ends(monkeypatch, *words.split()) == READING[words]
    assert not (theirs.parent / "ran").exists()


@pytest.mark.parametrize(
    "words", ["make", "repair data", "record", "answers", "audit --level 2", "systems cns-bench", "preview bright"]
)
def test_what_runs_a_checkout_asks_for_trust(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert ends(monkeypatch, *words.split()) == 2
    assert "`shiftbench trust`" in capsys.readouterr().err
    assert not (theirs.parent / "ran").exists()


def test_trust_is_given_once_and_remembered_elsewhere(theirs: Path, listed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in theirs.rglob("*") if path.is_file()}
    assert run("trust").exit_code == 0
    assert run("list", "shifts").exit_code == 0
    assert (theirs.parent / "ran").exists()
    assert listed.read_text() == f"{theirs}\n"
    (theirs.parent / "ran").unlink()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]
    assert run("list", "shifts").exit_code == 0
    assert (theirs.parent / "ran").exists()
    now = {
        path: path.stat().st_mtime_ns
        for path in theirs.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert now == before


def test_a_plan_that_needs_code_of_a_plugin_says_so(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = theirs / "mine/shifts/bright.py"
    file.write_text(f"{file.read_text()}\ndef needs(params):\n    return []\n")
    assert ends(monkeypatch, "plan") == 2
    assert "needs of" in (told := capsys.readouterr().err)
    assert "is known only when that file is run" in told
    assert not (theirs.parent / "ran").exists()


def test_a_plan_is_the_same_with_and_without_trust(theirs: Path) -> None:
    registry.Folders.only_read = True
    read = planned_benchmark.fingerprints(plans.load()[0])
    registry.Folders.only_read = False
    plans._code.cache_clear()
    assert planned_benchmark.fingerprints(plans.load()[0]) == read


# --- the rule --------------------------------------------------------------------------------------


def test_a_checkout_is_not_trusted_for_its_neighbours_or_what_is_above(tmp_path: Path, listed: Path) -> None:
    for name in ("a", "a/b", "ab"):
        (tmp_path / name).mkdir()
    trust.trust(tmp_path / "a")
    assert trust.is_trusted(tmp_path / "a")
    assert not any(trust.is_trusted(tmp_path / name) for name in ("", "a/b", "ab"))
    listed.write_text(f"{tmp_path}/a/*\n")
    assert trust.is_trusted(tmp_path / "a/b")
    assert not any(trust.is_trusted(tmp_path / name) for name in ("", "a", "ab"))
    listed.write_text("/*\n")
    assert trust.is_trusted(tmp_path)


def test_a_link_to_a_checkout_is_the_checkout(tmp_path: Path, listed: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    trust.trust(tmp_path / "link")
    assert listed.read_text() == f"{tmp_path / 'a'}\n"
    trust.require("it runs", tmp_path / "a")


def test_a_folder_whose_name_would_be_two_lines_is_not_listed(tmp_path: Path, listed: Path) -> None:
    (tmp_path / "a\n").mkdir()
    with pytest.raises(DataError, match="cannot be trusted"):
        trust.trust(tmp_path / "a\n")
    assert not listed.exists()


def test_the_checkout_of_the_package_that_runs_is_trusted(
    tmp_path: Path, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PACKAGE", tmp_path / "clone/src/shiftbench")
    assert trust.is_trusted(tmp_path / "clone")
    assert not trust.is_trusted(tmp_path)
    monkeypatch.setattr(registry, "PACKAGE", tmp_path / "clone/.venv/lib/site-packages/shiftbench")
    assert not trust.is_trusted(tmp_path / "clone")  # its environment is no part of a checkout


def test_what_one_made_or_runs_is_trusted_at_once(
    tmp_path: Path, theirs: Path, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_benchmark, "_call", lambda *_: None)
    init_benchmark.create(tmp_path / "mine")
    assert listed.read_text() == f"{tmp_path / 'mine'}\n"
    planned_jobs.load({}, main=True)
    assert trust.is_trusted(theirs)


def test_where_the_list_cannot_be_written_it_is_said_when_one_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "file" / "trusted"))
    trust.by_doing(tmp_path)
    with pytest.raises(DataError, match="cannot write"):
        trust.trust(tmp_path)
    with pytest.raises(UntrustedError, match="it runs"):
        trust.require("it runs", tmp_path)


@pytest.mark.parametrize("name", ["*", "deep/*", "a*/*"])
def test_a_folder_whose_name_would_trust_its_neighbours_is_refused(tmp_path: Path, listed: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be trusted"):
        trust.trust(tmp_path / name)
    assert not listed.exists()
    trust.by_doing(tmp_path / name)
    assert not trust.is_trusted(tmp_path / name)


# --- what may be written ---------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e"])
@pytest.mark.parametrize("target", ["..", "../elsewhere", "/dev/null", ".git", "missing", "loop"])
def test_a_link_at_above_or_below_what_is_written_is_refused_unless_one_trusts_it(
    tmp_path: Path, listed: Path, link: str, target: str
) -> None:
    home = tmp_path / "home"
    (home / link).parent.mkdir(parents=True)
    (home / link).symlink_to(home / link if target == "loop" else target)
    (home / "other").mkdir()
    for path in ("a/b/c", home / "a/b/c"):
        with pytest.raises(UntrustedError, match=f"{link} is a symbolic link.*shiftbench trust"):
            trust.refuse_links("other", path, home=home)
    trust.refuse_links("other", "none/there", home=home)
    trust.trust(home)
    trust.refuse_links("a/b/c", home=home)


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "a/../b", "/", "/etc", "{home}x"])
def test_what_is_not_below_the_checkout_is_refused(tmp_path: Path, listed: Path, path: str) -> None:
    with pytest.raises(UntrustedError, match="not below it"):
        trust.refuse_links(path.format(home=tmp_path), home=tmp_path)


@pytest.mark.parametrize("moved", ["", ".dvc", ".dvc/cache", ".dvc/cache/files/md5/00"])
def test_a_link_into_the_cache_is_dvcs_own_unless_the_cache_is_a_link(tmp_path: Path, listed: Path, moved: str) -> None:
    home, kept = tmp_path / "home", ".dvc/cache/files/md5/00/0"
    (home / kept).parent.mkdir(parents=True)
    (home / kept).touch()
    (home / "data").mkdir()
    (home / "data/file").symlink_to(home / kept)
    if moved:
        (home / moved).rename(tmp_path / "moved")
        (home / moved).symlink_to(tmp_path / "moved")
        with pytest.raises(UntrustedError, match="data/file is a symbolic link"):
            trust.refuse_links("data", home=home)
        return
    trust.refuse_links("data", ".dvc", home=home)
    (home / "data/folder").symlink_to(home / ".dvc/cache/files")
    with pytest.raises(UntrustedError, match="data/folder is a symbolic link"):
        trust.refuse_links("data", home=home)


def test_a_file_of_the_current_folder_is_not_written_through_a_link(
    tmp_path: Path, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/away").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UntrustedError, match="away is a symbolic link"):
        files.write_bytes(Path("away/file"), b"")
    files.write_bytes(tmp_path / "here/away/named", b"")  # by whoever typed it
    files.write_bytes(Path("../named"), b"")
    trust.trust()
    files.write_bytes(Path("away/file"), b"")
