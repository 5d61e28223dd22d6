"""Looking at a checkout of somebody else's runs nothing of it; what would run it says so and asks for `--trust`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from makers import planned_campaign
from makers.command_line import ends, run
from shiftbench import plugins
from shiftbench.errors import DataError, UntrustedError
from shiftbench.plan import plan as plans
from shiftbench.plan import snakemake_rules
from shiftbench.provenance import trust
from shiftbench.tools import init_campaign


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of what is trusted: empty."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "state" / "trusted"))
    return tmp_path / "state" / "trusted"


@pytest.fixture
def theirs(tmp_path: Path, listed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, entered; whatever of it is run leaves the file `ran`."""
    home = tmp_path / "theirs"
    planned_campaign.make(home)
    (home / "params.yaml").write_text(yaml.safe_dump(planned_campaign.PARAMS))
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
    "words", ["make", "repair data", "audit --level 2", "systems cns-bench", "preview bright"]
)
def test_what_runs_a_checkout_asks_for_trust(
    theirs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
) -> None:
    assert ends(monkeypatch, *words.split()) == 2
    assert "`shiftbench --trust COMMAND`" in capsys.readouterr().err
    assert not (theirs.parent / "ran").exists()


def test_trust_is_given_once_and_remembered_elsewhere(theirs: Path, listed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in theirs.rglob("*") if path.is_file()}
    assert run("--trust", "list", "shifts").exit_code == 0
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
    plugins.Folders.only_read = True
    read = planned_campaign.fingerprints(plans.load()[0])
    plugins.Folders.only_read = False
    plans._code.cache_clear()
    assert planned_campaign.fingerprints(plans.load()[0]) == read


# --- the rule --------------------------------------------------------------------------------------


def test_a_checkout_is_not_trusted_for_its_neighbours_or_what_is_above(
    tmp_path: Path, listed: Path
) -> None:
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
    monkeypatch.setattr(plugins, "PACKAGE", tmp_path / "clone/src/shiftbench")
    assert trust.is_trusted(tmp_path / "clone")
    assert not trust.is_trusted(tmp_path)
    monkeypatch.setattr(plugins, "PACKAGE", tmp_path / "clone/.venv/lib/site-packages/shiftbench")
    assert not trust.is_trusted(tmp_path / "clone")  # its environment is no part of a checkout


def test_what_one_made_or_runs_is_trusted_at_once(
    tmp_path: Path, theirs: Path, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_campaign, "_call", lambda *_: None)
    init_campaign.create(tmp_path / "mine")
    assert listed.read_text() == f"{tmp_path / 'mine'}\n"
    snakemake_rules.load(None, main=True)
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
