"""Variants in `variants.yaml` are found, listed, resolved and refused like files, and recipes hold what they say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from makers import planned_benchmark as benchmark
from shiftbench import corrupt
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, PluginError
from shiftbench.base.registry import defaults
from shiftbench.workflow.plan import plan as plans

FAMILIES = [name for name in registry.PLUGIN_TYPES if (registry.PACKAGE / "plugins" / name / "variants.yaml").is_file()]
OURS = [
    (family, name)
    for family in FAMILIES
    for name in yaml.safe_load((registry.PACKAGE / "plugins" / family / "variants.yaml").read_text())
]
HELPER = """
PARAMS = {"part": "", "words": 3}
SOURCES = ()
def facts(options):
    return {"PART": options["part"]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    benchmark.make(tmp_path)
    return tmp_path


def write(home: Path, family: str, **entries: Any) -> None:
    file = home / "mine" / family / "variants.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(entries))
    registry.Folders.use((home / "mine",))


@pytest.mark.parametrize(("family", "name"), OURS)
def test_each_of_ours_is_a_file_but_for_its_options(family: str, name: str) -> None:
    found = registry.find(family, name)
    written = yaml.safe_load((registry.PACKAGE / "plugins" / family / "variants.yaml").read_text())[name]
    where = registry.locate(family, name)
    assert where.file == registry.file(family, name) == Path(str(found.__file__))
    assert written["use"] == (where.name or where.file.stem)
    assert name in registry.names(family)
    assert not where.file.with_stem(name).exists()
    options = {key: value for key, value in written.items() if key not in ("about", "use", "title")}
    assert options.items() <= defaults(found).items()
    assert (found.__doc__ or "").startswith(written["about"].strip())
    for option, value in options.items():  # else it says what the file says
        assert found.VARIANT.options[option] == value


def test_a_variant_of_a_shift_is_applied_and_named_like_a_shift(home: Path) -> None:
    write(home, "shifts", foggy={"about": "Fog, ours.", "use": "fog", "profile": "continuous"})
    image = np.full((32, 32), 90, dtype=np.uint8)
    own = corrupt(image, "foggy", 2.5)
    assert np.array_equal(own, corrupt(image, "foggy", 2.5, profile="continuous"))
    assert not np.array_equal(own, corrupt(image, "fog", 2.5, profile="continuous"))  # other words
    assert defaults(registry.find("shifts", "foggy+contrast")) == {"foggy": {}, "contrast": {}}
    with pytest.raises(PluginError, match=r"no shifts named 'fogy' \(did you mean .*foggy"):
        corrupt(image, "fogy")


def test_recipes_hold_name_options_and_the_file_s_code(home: Path) -> None:
    entry = {"about": "Half as bright.", "use": "bright"}
    write(home, "shifts", dim=entry)
    (option,) = defaults(registry.find("shifts", "bright"))
    asked = {"benchmarks__small__shifts": ["dim"], "shifts": {}}

    def shifted(**over: Any) -> dict[str, Any]:
        planned: plans.Plan = benchmark.plan(home, **{**asked, **over})
        (artifact, *_) = (
            c for ref, c in planned.artifacts.items() if ref.path.startswith("data/shards/shapes/test/dim/")
        )
        return artifact.recipe

    value = defaults(registry.find("shifts", "bright"))[option]
    first = shifted()
    assert first["shift"] == {"name": "dim", "use": "dim", "options": {option: value}}
    assert any(name.endswith("shifts/bright.py") for name in first["code"])
    assert not any("entries" in name for name in first["code"])
    write(home, "shifts", dim={**entry, option: value * 2})
    second = shifted()
    assert second["shift"]["options"] == {option: value * 2}
    assert second["code"] == first["code"]
    over = shifted(shifts={"dim": {option: value * 3}})
    assert over["shift"]["options"] == {option: value * 3}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no use": ({"about": "a"}, r"variants.yaml: dim.use = None; expected a text"),
    "no about": ({"use": "bright"}, r"variants.yaml: dim.about = None; expected a text"),
    "no mapping": ("bright", r"variants.yaml: dim.use = None"),  # type: ignore[dict-item]
    "a file that is not there": (
        {"about": "a", "use": "brigth"},
        r"dim.use = 'brigth' is no plugin; did you mean bright",
    ),
    "a variant": ({"about": "a", "use": "dimmer"}, r"dim.use = 'dimmer' is a variant itself"),
    "a helper of others": (
        {"about": "a", "use": "_recode_format"},
        r"dim.use = '_recode_format' is no plugin; known: _own",
    ),
    "an unknown option": (
        {"about": "a", "use": "bright", "fctor": 2},
        r"variants.yaml: dim.fctor: unknown option of \S*bright; ",
    ),
    "another type": (
        {"about": "a", "use": "_own", "words": "many"},
        r'dim.words = "many": expected a whole number \(default 3\)',
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_told_with_file_and_key(home: Path, what: str) -> None:
    given, message = REFUSED[what]
    benchmark.add(home, "shifts", "_own", HELPER)
    write(home, "shifts", dim=given, dimmer={"about": "a", "use": "bright"})
    with pytest.raises(PluginError, match=message):
        registry.find("shifts", "dim")


def test_a_list_that_is_none_is_told(home: Path) -> None:
    file = home / "mine/shifts/variants.yaml"
    registry.Folders.use((home / "mine",))
    for text, message in {
        "- dim": "holds no mapping",
        "a: [": "is not valid YAML",
        "Dim: {about: a, use: bright}": "'Dim' cannot be a plugin's name",
    }.items():
        file.write_text(text)
        with pytest.raises(PluginError, match=f"{re.escape(str(file))}.* ?{message}"):
            registry.names("shifts")


def test_one_name_is_one_plugin(home: Path) -> None:
    write(home, "shifts", bright={"about": "a", "use": "fog"})
    with pytest.raises(PluginError, match=r"a file and a variant.*'bright': .*bright.py and .*variants.yaml"):
        registry.find("shifts", "bright")
    write(home, "metrics", map50={"about": "a", "use": "map"})
    with pytest.raises(PluginError, match="two variants, for metrics 'map50'"):
        registry.find("metrics", "map50")


def test_params_may_not_make_another_thing_of_a_variant(home: Path) -> None:
    for family, name, given, declared in (
        ("datasets", "twelve_photo", {"look": "clipart"}, "SOURCES, LICENCE, CITATION"),
        ("metrics", "mean_ap", {"column": "rr10_e9"}, "COLUMNS"),
        ("shifts", "amazon_to_movie", {"dataset": "vader_nyt"}, "DOMAIN"),
    ):
        message = rf"{family}.{name}: {next(iter(given))} would change what .*{name} declares \({declared}\)"
        with pytest.raises(ParamsError, match=message):
            benchmark.load(home, **{f"{family}__{name}": given})
    benchmark.load(home, datasets__twelve_photo={"kind": "drawing"})
    benchmark.load(home, shifts__mine={"use": "domain", "dataset": "vader_nyt", "clean": "shapes"})


def test_the_old_name_of_the_file_is_an_error_that_says_the_new_one(home: Path) -> None:
    write(home, "shifts", dim={"use": "brightness", "about": "Dim."})
    (home / "mine/shifts/variants.yaml").rename(home / "mine/shifts/entries.yaml")
    with pytest.raises(PluginError, match=r"shifts/entries.yaml is called variants.yaml now; rename it"):
        registry.find("shifts", "dim")
