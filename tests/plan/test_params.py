"""params.yaml: what is wrong is told with file, key, value and what is allowed, before any job starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import planned_campaign
from shiftbench import files
from shiftbench.errors import ParamsError
from shiftbench.plan import loading, params


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a plugin of each family."""
    planned_campaign.make(tmp_path)
    return tmp_path


LAUGHS = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 22))
PERCEPTRONS = {"models": ["perceptron"], "trainers": ["mixup"]}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a bool for a number": (
        {"seed": True},
        r"seed = True: .*valid integer \(params.yaml, line \d+\)",
    ),
    "no severities": (
        {"shifts__bright__severities": []},
        r"shifts.bright.severities = \[\]: .*expected one or more",
    ),
    "a seed twice": (
        {"campaigns__small__weights": [PERCEPTRONS | {"seeds": [0, 0]}]},
        r"campaigns.small.weights.0.seeds = \[0, 0\]: .*0 stands twice; each may stand once \(params.yaml, line",
    ),
    "no model": (
        {"campaigns__small__weights": [PERCEPTRONS | {"models": []}]},
        r"weights.0.models = \[\]: .*nothing is listed",
    ),
    "a shift twice": (
        {"campaigns__small__shifts": ["bright", "bright"]},
        r"campaigns.small.shifts = .*'bright' stands twice",
    ),
    "no epochs": (
        {"trainers__mixup__epochs": 0},
        r"mixup.epochs = 0: expected 1 or more \(default 12\)",
    ),
    "a width below 0": (
        {"models": {"perceptron": {"hidden": -3}}},
        r"models.perceptron.hidden = -3: expected 1 or more",
    ),
    "a number that YAML reads as a text": (
        {"trainers__mixup__lr": "1e-3"},
        r"mixup.lr = '1e-3': expected float .*YAML reads 1e-3 as a text, write 0.001",
    ),
    "OOD that is ID": (
        {"campaigns__small__ood": ["shapes"]},
        r"campaigns.small.ood names 'shapes', the campaign's own dataset, which is ID",
    ),
    "a shift of texts on images": (
        {"campaigns__small__shifts": ["char_noise"]},
        r"campaigns.small.shifts: char_noise changes the text of a sample, which the classification of 'shapes' has",
    ),
    "no folder of plugins": (
        {"plugins": ["mine", "nowhere"]},
        r"plugins names 'nowhere', which is no folder in .* \(params.yaml, line \d+\)",
    ),
    "a root outside": (
        {"root": "../outside"},
        r"root = '../outside': .*a folder inside of the repository",
    ),
    "an absolute root": (
        {"root": "/tmp/x"},
        r"root = '/tmp/x': .*a folder inside of the repository",
    ),
    "a root with a wildcard": (
        {"root": "build/{x}"},
        r"root = 'build/{x}': .*\{\} means something else",
    ),
    "unknown key": (
        {"sed": 1},
        r"params.yaml: 1 wrong parameter.*\n  sed: unknown key; did you mean seed",
    ),
    "unknown inner key": (
        {"evaluate": {"batchsize": 1}},
        r"evaluate.batchsize: unknown key; did you mean batch_size",
    ),
    "wrong type": ({"seed": "one"}, r"seed = 'one': Input should be a valid integer"),
    "out of range": ({"seed": -1}, r"seed = -1: Input should be greater than or equal to 0"),
    "wrong choice": (
        {"evaluate": {"precision": "half"}},
        r"precision = 'half': Input should be 'float32', 'bfloat16' or",
    ),
    "subset of nothing": (
        {"datasets__shapes__subset": {"test": 0}},
        r"subset.test.* = 0: Input should be greater than 0",
    ),
    "name with a capital": ({"shifts__Bright": {}}, r"shifts.Bright.*should match pattern"),
    "unknown plugin": (
        {"models": {"perceptrn": {}}},
        r"models.perceptrn: no models named 'perceptrn' \(did you mean percept",
    ),
    "unknown plugin behind a name": (
        {"models": {"wide": {"use": "perceptrn"}}},
        r"models.wide: no models named 'perceptrn'",
    ),
    "unknown option": (
        {"trainers__mixup__epoch": 1},
        r"trainers.mixup.epoch: unknown option of .*; did you mean epochs",
    ),
    "option of another type": (
        {"trainers__mixup__epochs": "many"},
        r"trainers.mixup.epochs = 'many': expected int \(default 12\), found str",
    ),
    "a bool is no number": (
        {"trainers__mixup__epochs": True},
        r"epochs = True: expected int \(default 12\), found bool",
    ),
    "trained on a severity that the shift has not": (
        {"trainers__mixup__train_on": "bright/9"},
        r"trainers.mixup.train_on = 'bright/9': expected a shift that can be applied, and a severity of 0 to 5",
    ),
    "trained on a shift that is none": (
        {"trainers__mixup__train_on": "brigth/1"},
        r"trainers.mixup.train_on: no shifts named 'brigth' \(did you mean bright",
    ),
    "a slice of nothing": (
        {"datasets__shapes__slice": {"train": [0.5, 0.5]}},
        r"train goes from 0.5 to 0.5; expected a rising pair",
    ),
    "severity too large": (
        {"shifts__bright__severities": [1, 9]},
        r"shifts.bright.severities holds 9; allowed are 0 to 5",
    ),
    "severity negative": (
        {"shifts__bright__severities": [-1]},
        r"severities.0 = -1: Input should be greater than or equal",
    ),
    "severity twice": (
        {"shifts__bright__severities": [1, 1.0]},
        r"severities holds a value twice: \[1.*, 1.0\]",
    ),
    "a domain shift has no shards of its own": (
        {"shifts": {"mnist_to_digits": {"materialise": False}}},
        r"mnist_to_digits.materialise: a domain shift is other data, read from the clean shards of 'digits'",
    ),
    "asked for and not there": (
        {"campaigns__small__shifts": ["brigth"]},
        r"campaigns.small asks for shifts 'brigth', which is neither listed .*; did you mean bright",
    ),
    "a campaign without weights": (
        {"campaigns__small": {"dataset": "shapes"}},
        r"campaigns.small.weights.*Field required",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_params_are_told(home: Path, case: str) -> None:
    over, message = WRONG[case]
    with pytest.raises(ParamsError, match=message):
        planned_campaign.load(home, **over)


def test_all_that_is_wrong_is_told_at_once(home: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"(?s)2 wrong parameter\(s\).*bootstrap.draws = -3.*sed: unknown"
    ):
        planned_campaign.load(home, sed=1, bootstrap={"draws": -3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: 2\na: 3",
            r"(?s)the key 'a' stands twice, in line 1 too; remove one.*line 3, column 1",
        ),
        ("a: " + "[" * 900 + "]" * 900, r"params.yaml is not valid YAML: it is nested too deeply"),
        ("a: &a [*a]", r"params.yaml is not valid YAML: it is nested too deeply, or holds itself"),
        (LAUGHS, r"params.yaml is not valid YAML: its aliases repeat more than 1,000,000 values"),
        (
            "seed: 1" + "0" * 5000,
            r"(?s)params.yaml is not valid YAML: Exceeds the limit.*line 1, column 7",
        ),
        (
            "a: 2024-13-45",
            r"(?s)params.yaml is not valid YAML: month must be in 1..12.*line 1, column 4",
        ),
        ("seed: caf\udce9", r"params.yaml is no UTF-8: byte 0xe9 at 9; save it as UTF-8"),
        ("a: [", r"(?s)params.yaml is not valid YAML: .*line 2, column 1"),
        ("- a", r"params.yaml must be a mapping of keys, found list"),
        (
            "a: !!python/object/apply:os.getcwd []",
            r"params.yaml is not valid YAML: could not determine a constructor",
        ),
    ],
)
def test_unreadable_files_are_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ParamsError, match=message):
        loading.load(tmp_path / "params.yaml")
    with pytest.raises(
        ParamsError, match=r"gone.yaml does not exist; run in the repository's root"
    ):
        loading.load(tmp_path / "gone.yaml")


def test_a_plugin_that_cannot_be_imported_is_told_with_its_file(home: Path) -> None:
    planned_campaign.add(home, "shifts", "broken", "import nothing_of_that_name\n")
    with pytest.raises(
        ParamsError,
        match=r"shifts.broken: .*mine/shifts/broken.py cannot be imported: ModuleNotFound",
    ):
        planned_campaign.load(home, shifts={"broken": {}})


def test_keys_that_come_by_an_alias_may_be_laid_over() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}"
    assert files.from_yaml(text) == yaml.load(text, yaml.SafeLoader)


def test_a_key_is_told_with_the_file_and_line_that_decide(home: Path) -> None:
    planned_campaign.load(home)
    (home / "over.yaml").write_text("trainers:\n  mixup:\n    epochs: many\n")
    with pytest.raises(ParamsError, match=r"found str.* \(over.yaml, line 3\)$"):
        loading.load(home / "params.yaml", home / "over.yaml")


def test_two_files_of_one_name_are_told(home: Path) -> None:
    planned_campaign.add(home, "models", "convnet", "PARAMS = {}\n")
    with pytest.raises(
        ParamsError, match=r"two files for models 'convnet': .* and .*; rename yours"
    ):
        planned_campaign.load(home, models={"convnet": {}})


def test_an_overlay_wins_key_by_key_and_null_drops_an_entry(home: Path) -> None:
    planned_campaign.load(home)
    overlay = {
        "root": "build",
        "trainers": {"mixup": {"lr": 0.1}},
        "campaigns": {"small": None, "other": planned_campaign.PARAMS["campaigns"]["small"]},
    }
    (home / "over.yaml").write_text(yaml.safe_dump(overlay))
    both = loading.load(home / "params.yaml", home / "over.yaml")
    assert both.root == "build"
    assert both.options("trainers", "mixup")["lr"] == 0.1
    assert both.options("trainers", "mixup")["epochs"] == 1
    assert list(both.campaigns) == ["other"]


def test_an_overlay_is_named_in_errors(home: Path) -> None:
    planned_campaign.load(home)
    (home / "over.yaml").write_text("seed: x\n")
    with pytest.raises(ParamsError, match=r"params.yaml \+ .*over.yaml: 1 wrong parameter"):
        loading.load(home / "params.yaml", home / "over.yaml")


def test_params_are_frozen(home: Path) -> None:
    loaded = planned_campaign.load(home)
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 2  # type: ignore[misc]


def test_looking_works_while_params_are_wrong(home: Path) -> None:
    (home / "params.yaml").write_text("plugins: [mine]\nsed: 1\n")
    loading.use_plugins(home / "params.yaml")
    assert params.plugins.file("shifts", "bright") == home / "mine/shifts/bright.py"
    (home / "params.yaml").write_text("plugins: mine\n")
    with pytest.raises(ParamsError, match="plugins = 'mine': expected a list of folders"):
        loading.use_plugins(home / "params.yaml")
