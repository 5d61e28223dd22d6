"""params.yaml as it is read: overlays, plugins of the user's own; what is wrong is in test_wrong_params.py."""

from pathlib import Path

import pytest
import yaml

from makers import planned_benchmark
from shiftbench import contracts
from shiftbench.base import files
from shiftbench.base.errors import ParamsError
from shiftbench.cli.application import use_plugin_folders
from shiftbench.workflow.plan import loading, params


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a plugin of each family."""
    planned_benchmark.make(tmp_path)
    return tmp_path


def test_all_that_is_wrong_is_told_at_once(home: Path) -> None:
    with pytest.raises(ParamsError, match=r"(?s)2 wrong parameter\(s\).*bootstrap.resamples = -3.*sed: unknown"):
        planned_benchmark.load(home, sed=1, bootstrap={"resamples": -3})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"gone.yaml does not exist; run in the repository's root"):
        loading.load(tmp_path / "gone.yaml")


def test_a_plugin_that_cannot_be_imported_is_told_with_its_file(home: Path) -> None:
    planned_benchmark.add(home, "shifts", "broken", "import nothing_of_that_name\n")
    with pytest.raises(ParamsError, match=r"shifts.broken: .*mine/shifts/broken.py cannot be imported: ModuleNotFound"):
        planned_benchmark.load(home, shifts={"broken": {}})


def test_keys_that_come_by_an_alias_may_be_laid_over() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}"
    assert files.from_yaml(text) == yaml.load(text, yaml.SafeLoader)


def test_a_key_is_told_with_the_file_and_line_that_decide(home: Path) -> None:
    planned_benchmark.load(home)
    (home / "over.yaml").write_text("trainers:\n  mixup:\n    epochs: many\n")
    with pytest.raises(ParamsError, match=r"expected a whole number.* \(over.yaml, line 3\)$"):
        loading.load(home / "params.yaml", home / "over.yaml")


def test_two_files_of_one_name_are_told(home: Path) -> None:
    planned_benchmark.add(home, "models", "convnet", "PARAMS = {}\n")
    with pytest.raises(ParamsError, match=r"two files for models 'convnet': .* and .*; rename yours"):
        planned_benchmark.load(home, models={"convnet": {}})


def test_an_overlay_wins_key_by_key_and_null_drops_an_entry(home: Path) -> None:
    planned_benchmark.load(home)
    overlay = {
        "root": "build",
        "trainers": {"mixup": {"lr": 0.1}},
        "benchmarks": {"small": None, "other": planned_benchmark.PARAMS["benchmarks"]["small"]},
    }
    (home / "over.yaml").write_text(yaml.safe_dump(overlay))
    both = loading.load(home / "params.yaml", home / "over.yaml")
    assert both.root == "build"
    assert both.options("trainers", "mixup")["lr"] == 0.1
    assert both.options("trainers", "mixup")["epochs"] == 1
    assert list(both.benchmarks) == ["other"]


def test_an_overlay_is_named_in_errors(home: Path) -> None:
    planned_benchmark.load(home)
    (home / "over.yaml").write_text("seed: x\n")
    with pytest.raises(ParamsError, match=r"params.yaml \+ .*over.yaml: 1 wrong parameter"):
        loading.load(home / "params.yaml", home / "over.yaml")


def test_params_are_frozen(home: Path) -> None:
    loaded = planned_benchmark.load(home)
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 2  # type: ignore[misc]


def test_looking_works_while_params_are_wrong(home: Path) -> None:
    (home / "params.yaml").write_text("plugins: [mine]\nsed: 1\n")
    loading.use_plugins(home / "params.yaml")
    assert params.registry.file("shifts", "bright") == home / "mine/shifts/bright.py"
    (home / "params.yaml").write_text("plugins: mine\n")
    with pytest.raises(ParamsError, match="plugins = 'mine': expected a list of folders"):
        loading.use_plugins(home / "params.yaml")


def test_a_configuration_may_add_a_folder_of_plugins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "params.yaml").write_text("seed: 1\n")
    (home / "params").mkdir(exist_ok=True)
    (home / "params/with_mine.yaml").write_text("plugins: [mine]\n")
    monkeypatch.chdir(home)
    use_plugin_folders()
    with pytest.raises(ParamsError, match=r"Name the folder .* or the configuration with `plugins:`"):
        contracts.of_user(None)
    use_plugin_folders("with_mine")
    assert "bright" in contracts.of_user("bright")["shifts"]
    use_plugin_folders("systems/palm")
    with pytest.raises(ParamsError, match="no plugin or system of yours"):
        contracts.of_user(None)
