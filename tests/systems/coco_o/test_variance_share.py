"""Shares of variance: by hand in a balanced design, how sure they are, and designs that can say nothing."""

from typing import Any

import numpy as np
import pytest

from shiftbench.base.errors import ParamsError
from shiftbench.statistics.rows import Row
from shiftbench.systems.coco_o.metrics import variance_share
from shiftbench.workflow.plan import cards

DRAWS = 400
EFFECT = {"small": 0.0, "wide": 0.1}
Components = dict[str, dict[str, str]]


def row(name: str, value: float) -> Row:
    who = ("c", "detection", f"scenes/{name}", "plain", None, "scenes", "test", "scenes/test/identity/0", None, None)
    return Row(*who, None, None, "map", value, np.full(DRAWS, value), 10, None, "key")


def shares(values: list[float], parts: Components, resample: str) -> dict[str, Row]:
    rows = [row(f"m{at:02d}", value) for at, value in enumerate(values)]
    return {str(one.group): one for one in variance_share.compute(rows, "map", parts, resample)}


def crossed(count: int = 12, noise: float = 0.01) -> tuple[list[float], Components]:
    """Return values and components of a balanced design in which the backbone decides."""
    random = np.random.default_rng(0)
    names = [f"m{at:02d}" for at in range(count)]
    parts = {
        "backbone": {name: ("small", "wide")[at % 2] for at, name in enumerate(names)},
        "head": {name: ("a", "b")[2 * at // count] for at, name in enumerate(names)},
    }
    return [EFFECT[size] + float(random.normal(scale=noise)) for size in parts["backbone"].values()], parts


@pytest.mark.parametrize("resample", variance_share.RESAMPLED)
def test_in_a_balanced_design_it_is_the_sum_of_squares_between_levels(resample: str) -> None:
    values, parts = crossed()
    made = shares(values, parts, resample)
    every = np.array(values)
    for part, levels in parts.items():
        names = np.array(list(levels.values()))
        between = sum(
            (names == level).sum() * (every[names == level].mean() - every.mean()) ** 2 for level in set(names)
        )
        expected = between / ((every - every.mean()) ** 2).sum()
        assert made[part].value == pytest.approx(expected)
    assert made["backbone"].value > 0.9 > made["head"].value
    apart = np.sort(made["backbone"].resamples - made["head"].resamples)
    assert np.isfinite(apart).mean() > 0.9
    assert apart[int(0.025 * DRAWS)] > 0.5


def test_without_an_effect_no_component_is_told_from_another() -> None:
    """The claim can fail: of 60 sets of pure noise, an interval of 95% leaves 0 out in few."""
    _, parts = crossed()
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(60):
        made = shares(random.normal(size=12).tolist(), parts, "residuals")
        low, high = np.quantile(made["backbone"].resamples - made["head"].resamples, [0.025, 0.975])
        wrong += not low <= 0 <= high
    assert wrong <= 9


@pytest.mark.parametrize("resample", variance_share.RESAMPLED)
def test_a_saturated_design_says_nothing(resample: str) -> None:
    names = [f"m{at:02d}" for at in range(6)]
    parts = {
        part: {name: "own" if at == own else "usual" for at, name in enumerate(names)}
        for own, part in enumerate(("backbone", "neck", "head", "augmentation", "start"), 1)
    }
    made = shares([0.1, 0.3, 0.2, 0.4, 0.0, 0.1], parts, resample)
    assert np.isnan([one.value for one in made.values()]).all()
    twins = {"backbone": parts["head"], "head": parts["head"]}  # nobody can tell them apart
    assert np.isnan(shares([0.1, 0.3, 0.2, 0.4, 0.0, 0.1], twins, resample)["head"].value)


def test_wrong_options_are_told() -> None:
    values, parts = crossed()
    del parts["head"]["m03"]
    with pytest.raises(ParamsError, match="components: head does not say what 'm03' has"):
        shares(values, parts, "models")
    with pytest.raises(ParamsError, match="resample: 'residual' .did you mean residuals"):
        shares(values, parts, "residual")


def zoo(scale: str) -> tuple[Components, set[str]]:
    """Return the components of a scale, and the names of the weights that its benchmark has."""
    params: dict[str, Any] = cards.load("coco-o").params[scale]
    (benchmark,) = params["benchmarks"].values()
    names = {
        f"{model}-{trainer}"
        for of in benchmark["models"]
        for model in of["architectures"]
        for trainer in of["trainers"]
    }
    return params["metrics"]["variance_share"]["components"], names


@pytest.mark.usefixtures("in_pristine")
def test_components_of_every_scale_are_of_all_its_models() -> None:
    for scale in ("embedded", "smoke", "full"):
        components, names = zoo(scale)
        assert {frozenset(of) for of in components.values()} == {frozenset(names)}
    random = np.random.default_rng(0)
    ordered = sorted(names)
    assert len(ordered) >= 20
    rows = [row(name, value) for name, value in zip(ordered, random.random(len(ordered)), strict=True)]
    made = variance_share.compute(rows, "map", components, "models")
    assert all(np.isfinite(one.value) for one in made)
    for of in components.values():
        assert min(list(of.values()).count(level) for level in of.values()) >= 3
    assert min(np.isfinite(one.resamples).mean() for one in made) > 0.75


@pytest.mark.usefixtures("in_pristine")
def test_components_of_the_embedded_zoo_are_apart_and_have_each_level_several_times() -> None:
    """An orthogonal array of strength two: all pairs of levels of two components occur alike often."""
    metric: dict[str, Any] = cards.load("coco-o").params["embedded"]["metrics"]["variance_share"]
    levels = {part: list(of.values()) for part, of in metric["components"].items()}
    assert len({tuple(of) for of in metric["components"].values()}) == 1
    assert set(map(len, levels.values())) == {12}
    assert metric["resample"] == "residuals"
    for one in levels:
        assert min(levels[one].count(level) for level in levels[one]) >= 4
        for other in set(levels) - {one}:
            pairs = list(zip(levels[one], levels[other], strict=True))
            assert {pairs.count(pair) for pair in pairs} == {12 // (len(set(levels[one])) * len(set(levels[other])))}
