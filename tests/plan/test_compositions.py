"""Compositions of shifts: options and severities of the parts reach them, and their own come first."""

import numpy as np
import pytest

from shiftbench.workflow.plan.params import Params

PARTS = ("dropout_stripes", "occlusion", "fog", "contrast")


def shift_params(rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {"severities": sorted(map(int, rng.choice([1, 2, 3, 4, 5], 3, replace=False)))}
    return options


@pytest.mark.parametrize("seed", range(30))
def test_a_composition_has_what_its_parts_have(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = map(str, rng.choice(PARTS, 2, replace=False))
    shifts = {name: shift_params(rng) for name in (one, two)}
    if one == "dropout_stripes":
        shifts[one]["stripes"] = int(rng.integers(2, 20))
    name = f"{one}+{two}"
    params = Params.model_validate({"shifts": shifts, "benchmarks": {}})
    composed = params.shift(name)
    common = tuple(level for level in shifts[one]["severities"] if level in shifts[two]["severities"])  # type: ignore[union-attr, attr-defined]
    assert composed.severities == (common or (1, 2, 3, 4, 5))
    assert composed.options.get(one, {}) == ({"stripes": shifts[one]["stripes"]} if "stripes" in shifts[one] else {})
    assert params.component("shifts", name) == composed


def test_what_the_composition_states_comes_first() -> None:
    shifts = {
        "dropout_stripes": {"stripes": 8, "severities": [1]},
        "dropout_stripes+gaussian_noise": {"dropout_stripes": {"stripes": 4}, "severities": [2, 3]},
    }
    composed = Params.model_validate({"shifts": shifts, "benchmarks": {}}).shift("dropout_stripes+gaussian_noise")
    assert composed.options == {"dropout_stripes": {"stripes": 4}}
    assert composed.severities == (2, 3)


def test_a_part_that_is_another_plugin_under_its_name_gives_nothing() -> None:
    shifts = {"fog": {"use": "contrast", "severities": [1]}, "contrast": {"severities": [1]}}
    composed = Params.model_validate({"shifts": shifts, "benchmarks": {}}).shift("fog+contrast")
    assert composed.options == {}
    assert composed.severities == (1, 2, 3, 4, 5)
