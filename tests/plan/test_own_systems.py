"""Systems in a user's plugin folder: written by `shiftbench new systems`, found by name, planned like any other."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from shiftbench import cli, contracts
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.tools import scaffold


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with params.yaml, a plugin folder, and a new system in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "params.yaml").write_text("plugins: [mine]\nbenchmarks: {}\n")
    yield tmp_path
    registry.Folders.use(())


def said(*words: str) -> str:
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_new_system_is_known_and_planned(home: Path) -> None:
    assert "shiftbench systems my-own/smoke" in said("new", "systems", "my_own")
    assert "my-own" in said("list", "systems")
    assert "claim noise" in said("describe", "system", "my-own")
    assert configurations.own_slugs() == ["my-own"]
    for scale in ("embedded", "smoke"):
        params = configurations.load(f"systems/my-own/{scale}", home)
        assert any(ref.kind == "claims" for ref in Plan.of(params).artifacts)
    with pytest.raises(ParamsError, match="there is a system 'my-own' already"):
        scaffold.scaffold_system("my-own", Path("mine"))


def test_a_plugin_of_an_own_system_is_found(home: Path) -> None:
    said("new", "systems", "own")
    folder = home / "mine/systems/own/shifts"
    folder.mkdir()
    registry.Folders.use((home / "mine",))
    scaffold.scaffold("shifts", "dazzle", folder.parent)
    assert registry.find("shifts", "dazzle").apply
    assert registry.file("shifts", "dazzle") == folder / "dazzle.py"


def test_default_metrics_leave_out_what_has_no_normaliser(home: Path) -> None:
    said("new", "systems", "own")
    card = home / "mine/systems/own/card.yaml"
    content = yaml.safe_load(card.read_text())
    content["params"]["embedded"]["benchmarks"]["own"]["models"][0]["trainers"] = ["augmix"]
    del content["params"]["embedded"]["benchmarks"]["own"]["metrics"]
    card.write_text(yaml.safe_dump(content))
    params = configurations.load("systems/own", home)
    assert {"accuracy", "ece"} <= set(params.metrics)
    assert not {"mce", "relative_mce"} & set(params.metrics)
    content["params"]["embedded"]["metrics"] = {"mce": {"normaliser": "convnet-erm"}}
    card.write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match="its normaliser 'convnet-erm' is none"):
        configurations.load("systems/own", home)
    assert cards.load("own").title == "own"


def test_contract_tests_find_own_plugins_and_their_faults(home: Path) -> None:
    registry.Folders.use((home / "mine",))
    with pytest.raises(ParamsError, match="no plugin or system of yours to test"):
        contracts.of_user(None)
    said("new", "metrics", "balanced_again")
    said("new", "systems", "own")
    assert contracts.of_user(None) == {"metrics": frozenset({"balanced_again"}), "systems": frozenset({"own"})}
    with pytest.raises(ParamsError, match="did you mean balanced_again"):
        contracts.of_user("balanced_agin")
    command = (sys.executable, "-m", "shiftbench", "test", "balanced_again")
    right = subprocess.run(command, capture_output=True, text=True, check=False)
    assert right.returncode == 0, right.stdout + right.stderr
    file = home / "mine/metrics/balanced_again.py"
    file.write_text(file.read_text().replace("Source:", "From:"))
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert 'assert "Source:" in' in wrong.stdout
