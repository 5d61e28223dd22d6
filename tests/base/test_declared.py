"""Plugins that are functions: found by name, read without their imports, and digested one by one."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import NotRunError, PluginError, RangeError
from shiftbench.base.registry import declared, defaults
from shiftbench.base.rng import RandomStream
from shiftbench.provenance import code_digest

METRICS = """
import math
from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, mean

SIZE = 3

def double(values):
    return 2 * values

@declare.sample_metric(columns=("correct",), finish=mean, higher_is_better=True)
def first(rows, part: float = 0.5):
    '''The first. Source: ours.'''
    return Contributions(rows.counting, (double(rows.column("correct")),))

@declare.sample_metric(columns=("correct",), finish=mean, higher_is_better=False)
def second(rows, size: int = SIZE):
    '''The second. Source: ours.'''
    return Contributions(rows.counting, (rows.column("correct") * size,))

@declare.sample_metric(columns=("correct",), finish=mean, higher_is_better=False)
def _third(rows, size: int = 1):
    '''Used by variants alone.'''
    return Contributions(rows.counting)
"""


SHIFTS = """
import numpy as np
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels

ONE = 256

def moved(image, by):
    return np.roll(image, by)

@declare.image_shift(_levels.Linear((1.0, 2.0, 3.0, 4.0, 5.0), zero=0.0), moves=True, title="Move")
def first(image, pixels, rng, *, border: str = "wrap"):
    '''The first. Source: ours.'''
    return moved(image, round(pixels))

@declare.image_shift(_levels.Direct((0.0, 9.0)))
def second(image, degrees, rng, *, most: int = ONE):
    '''The second. Source: ours.'''
    return np.minimum(image + round(degrees), most)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "metrics" / "themed.py"
    path.parent.mkdir(parents=True)
    path.write_text(METRICS)
    registry.Folders.use((tmp_path / "mine",))
    return path


@pytest.fixture
def shifts(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "shifts" / "themed.py"
    path.parent.mkdir(parents=True)
    path.write_text(SHIFTS)
    registry.Folders.use((tmp_path / "mine",))
    return path


def digests(file: Path) -> dict[str, str]:
    code_digest.forget()
    return {name: code_digest.of([registry.Location(file, name)]).linked for name in ("first", "second")}


def test_each_function_is_a_plugin_and_the_file_is_none(file: Path) -> None:
    names = registry.names("metrics")
    assert {"first", "second"} <= set(names)
    assert not {"themed", "_third", "double"} & set(names)
    plugin = registry.find("metrics", "first")
    assert (plugin.KIND, plugin.COLUMNS, plugin.HIGHER_IS_BETTER) == ("sample", ("correct",), True)
    assert defaults(plugin) == {"part": 0.5}
    assert registry.about(plugin) == "The first. Source: ours."
    assert registry.called(plugin) == "first"
    assert registry.locate("metrics", "first") == registry.location(plugin) == (file, "first")
    assert defaults(registry.find("metrics", "second")) == {"size": 3}


def test_a_variant_may_use_a_function(file: Path) -> None:
    file.with_name("variants.yaml").write_text(
        "big: {about: Big. Source ours., use: second, size: 9}\nhidden: {about: Hidden., use: _third, size: 4}\n"
        "wrong: {about: Wrong., use: secnd}\n"
    )
    assert defaults(registry.find("metrics", "big")) == {"size": 9}
    assert defaults(registry.find("metrics", "hidden")) == {"size": 4}
    assert registry.locate("metrics", "hidden") == (file, "_third")
    with pytest.raises(PluginError, match="secnd.*second"):
        registry.find("metrics", "wrong")
    with pytest.raises(PluginError, match="no metrics named '_third'"):
        registry.find("metrics", "_third")


def test_two_of_one_name_are_refused(file: Path) -> None:
    file.with_name("first.py").write_text("KIND = 'sample'\n")
    with pytest.raises(PluginError, match=r"two files for metrics 'first': .*themed.py and .*first.py|first.py and"):
        registry.find("metrics", "first")


CHANGES = [
    ('rows.column("correct") * size', 'rows.column("correct") + size', {"second"}),
    ("2 * values", "3 * values", {"first"}),
    ("SIZE = 3", "SIZE = 4", {"second"}),
    ("part: float = 0.5", "part: float = 0.6", {"first"}),
    ("higher_is_better=True", "higher_is_better=False", {"first"}),
    ("'''The first. Source: ours.'''", "'''The first, told otherwise. Source: ours.'''", set()),
    ("double", "twice", set()),
    ("def _third(rows, size: int = 1)", "def _third(rows, size: int = 2)", set()),
    ("import math\n", "import math\nimport sys\n", set()),
    ("SIZE = 3\n", "SIZE = 3\nprint()\n", {"first", "second"}),
]


@pytest.mark.parametrize(("old", "new", "moved"), CHANGES)
def test_a_change_moves_the_digests_of_the_plugins_that_it_reaches(
    file: Path, old: str, new: str, moved: set[str]
) -> None:
    before = digests(file)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    after = digests(file)
    assert {name for name in before if before[name] != after[name]} == moved


def test_a_shift_is_a_function_of_constants(shifts: Path) -> None:
    assert shifts.is_file()
    first, second = (registry.find("shifts", name) for name in ("first", "second"))
    assert (first.FIELD, first.RANGE, first.MOVES, first.TITLE) == ("image", (0.0, 5.0), True, "Move")
    assert first.LEVELS == {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0}
    assert defaults(first) == {"border": "wrap"}
    assert (second.LEVELS, second.RANGE, defaults(second)) == ({}, (0.0, 9.0), {"most": 256})
    assert not hasattr(second, "MOVES")
    image = np.arange(6)
    rng = RandomStream(0, "first", "d", "k")
    assert np.array_equal(first.apply(image, 2.0, rng), np.roll(image, 2))
    assert np.array_equal(second.apply(image, 7.0, rng, most=9), np.minimum(image + 7, 9))
    with pytest.raises(RangeError, match="shift 'first': severity 6 lies outside 0 to 5"):
        first.apply(image, 6.0, rng)


SHIFT_CHANGES = [
    ("np.roll(image, by)", "np.roll(image, -by)", {"first"}),
    ("image + round(degrees)", "image - round(degrees)", {"second"}),
    ("ONE = 256", "ONE = 255", {"second"}),
    ("5.0), zero", "6.0), zero", {"first"}),
    ("zero=0.0", "zero=1.0", {"first"}),
    ("0.0, 9.0", "0.0, 8.0", {"second"}),
    ("moves=True", "moves=False", {"first"}),
    ('title="Move"', 'title="Moved"', set()),
    ('"wrap"', '"clip"', {"first"}),
    ("'''The first. Source: ours.'''", "'''The first, told otherwise. Source: ours.'''", set()),
]


@pytest.mark.parametrize(("old", "new", "moved"), SHIFT_CHANGES)
def test_a_change_of_one_shift_leaves_the_digests_of_its_neighbours(
    shifts: Path, old: str, new: str, moved: set[str]
) -> None:
    before = digests(shifts)
    assert old in SHIFTS
    shifts.write_text(SHIFTS.replace(old, new))
    after = digests(shifts)
    assert {name for name in before if before[name] != after[name]} == moved


def test_the_code_that_applies_a_decorated_shift_counts() -> None:
    table = code_digest.of([registry.locate("shifts", "rotate")]).table
    levels = table["shiftbench/plugins/shifts/_levels.py"]
    assert {"Linear", "_applied", "at", "check"} <= set(levels)
    assert set(table["shiftbench/plugins/shifts/geometry.py"]) == {"rotate"}


def test_a_function_that_is_gone_is_an_error(file: Path) -> None:
    with pytest.raises(PluginError, match=r"mine/metrics/themed.py has no gone"):
        code_digest.of([registry.Location(file, "gone")])


def test_of_an_untrusted_file_options_are_read_and_nothing_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(METRICS.replace("SIZE = 3", "SIZE = 3\nraise SystemExit"))
    monkeypatch.setattr(registry.Folders, "only_read", True)
    plugin = registry.find("metrics", "first")
    assert defaults(plugin) == {"part": 0.5}
    assert plugin.KIND == "sample"
    assert registry.location(plugin) == registry.Location(file, "first")
    for attribute in ("reduce", "function"):
        with pytest.raises(NotRunError, match="of .*themed.py is known only when that file is run"):
            getattr(plugin, attribute)()


@pytest.mark.parametrize("decorator", ["declare.sample", "declare.sample_metric(bound=3)", "declare.sample_metric"])
def test_of_an_untrusted_file_a_wrong_decorator_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, decorator: str
) -> None:
    file.write_text(f"from shiftbench.plugins import declare\n\n@{decorator}\ndef first(rows):\n    return rows\n")
    monkeypatch.setattr(registry.Folders, "only_read", True)
    with pytest.raises(PluginError, match=r"themed.py: @declare.* cannot declare a plugin"):
        registry.find("metrics", "first")


@pytest.mark.parametrize("plugin_type", sorted(registry.DECLARED))
def test_names_by_text_are_those_of_the_syntax_tree(plugin_type: str) -> None:
    several = 0
    for folder in registry.folders(plugin_type):
        for path in folder.glob("*.py"):
            tree = ast.parse(path.read_text())
            expected = tuple(one.name for one in tree.body if declared.is_declared(one))
            assert declared.names(path) == expected
            several += len(expected) > 1
    assert several


def test_reading_a_plugin_imports_none_of_what_its_body_uses() -> None:
    program = (
        "import sys; from shiftbench.base import registry\n"
        "for name in registry.packaged_names('losses'): registry.read('losses', name)\n"
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_a_plugin_that_was_only_read_cannot_be_called() -> None:
    program = (
        "from shiftbench.base import registry\n"
        "try: registry.read('metrics', 'auroc')(None)\n"
        "except NotImplementedError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "use registry.find" in said.stdout
