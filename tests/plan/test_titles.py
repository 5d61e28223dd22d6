"""Titles in params, plugins and variants; they are in no recipe but a page's."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from isolation import ROOT
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, PluginError
from shiftbench.base.registry import variants
from shiftbench.workflow.plan import loading, titles
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.plan import Plan

PLACES = (
    ("datasets", "fashion_mnist"),
    ("shifts", "fog"),
    ("models", "convnet"),
    ("trainers", "augmix"),
    ("metrics", "accuracy"),
    ("benchmarks", "clothes"),
)


def params(section: str = "", name: str = "", title: object = None) -> Params:
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    if section:
        content[section][name] = {**(content[section][name] or {}), "title": title}
    return loading.check(content, "params.yaml", ROOT)


@pytest.mark.parametrize(("section", "name"), PLACES)
def test_a_title_changes_the_fingerprints_of_pages_alone(section: str, name: str) -> None:
    before, after = (Plan.of(one).artifacts for one in (params(), params(section, name, "Another title")))
    assert before.keys() == after.keys()
    moved = {ref for ref in before if before[ref].fingerprint != after[ref].fingerprint}
    assert {ref.kind for ref in moved} == {"report"}


@pytest.mark.parametrize(("section", "name"), PLACES)
@pytest.mark.parametrize("title", ["", "  ", 5, ["a"], True])
def test_a_title_that_is_no_text_is_refused(section: str, name: str, title: object) -> None:
    with pytest.raises(ParamsError, match=rf"{section}\.{name}\.title = .*expected a text"):
        params(section, name, title)


def test_params_come_before_the_plugin_and_the_name() -> None:
    assert titles.title(params(), "datasets", "fashion_mnist") == "Fashion-MNIST"
    assert titles.title(params("datasets", "fashion_mnist", "Clothes"), "datasets", "fashion_mnist") == "Clothes"
    assert titles.title(params(), "datasets", "twelve_photo") == "Tux Paint stamps, 12 classes"  # a variant
    assert titles.title(params(), "shifts", "fog") == "Fog"
    assert titles.title(params(), "shifts", "rotate+fog") == "Rotation + Fog"


def test_an_entry_of_another_name_has_no_title_of_its_plugin() -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["detectors"] = {"mds_small": {"use": "mds"}}
    one = loading.check(content, "params.yaml", ROOT)
    assert titles.title(one, "detectors", "mds_small") == "MDS small"
    assert titles.title(one, "detectors", "mds") == "Mahalanobis distance"


def test_equal_titles_are_followed_by_the_name() -> None:
    known = titles.of_benchmarks(params("datasets", "mnist", "Fashion-MNIST"), ["clothes"], set())
    assert known["datasets"]["mnist"] == "Fashion-MNIST (mnist)"
    assert known["datasets"]["fashion_mnist"] == "Fashion-MNIST (fashion_mnist)"
    assert known["benchmarks"] == {"clothes": params().benchmarks["clothes"].title}
    assert "erm" not in known["trainers"]


@pytest.mark.parametrize("title", ["''", "5", "[a]"])
def test_a_variant_with_another_title_than_a_text_is_refused(tmp_path: Path, title: str) -> None:
    (tmp_path / variants.FILE).write_text(f"mine: {{use: fog, about: Fog., title: {title}}}\n")
    with pytest.raises(PluginError, match=r"mine\.title = .*expected a text"):
        variants.read(tmp_path)


def test_a_variant_does_not_have_the_title_of_its_file() -> None:
    assert registry.title(registry.read("datasets", "twelve_photo")) == "Tux Paint stamps, 12 classes"
    assert registry.title(registry.read("shifts", "rotate")) == "Rotation"
    assert registry.title(registry.read("metrics", "map50")) is None
