"""The contract of the shifts family; a new file in shifts/ is tested by existing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import shift_digests
from shift_digests import TEXT, picture
from shiftbench import plugins
from shiftbench.errors import RangeError
from shiftbench.rng import Words

NAMES = plugins.names("shifts")
APPLIED = shift_digests.applied()
OURS = [name for name in APPLIED if plugins.file("shifts", name).is_relative_to(plugins.PACKAGE)]
GRADED = [name for name in APPLIED if plugins.find("shifts", name).LEVELS]
DOMAIN = [name for name in NAMES if name not in APPLIED]
SHAPES = [(28, 28), (33, 57, 3), (224, 224, 3), (1, 1), (5, 90, 3), (7, 1)]
CHAPTER = f"{TEXT} " * 20


def inputs(shift: ModuleType) -> list[Any]:
    return [CHAPTER] if shift.FIELD == "text" else [picture(*shape) for shape in SHAPES]


def applied(name: str, value: Any, severity: float, key: str = "k") -> Any:
    return plugins.find("shifts", name).apply(value, severity, Words(0, name, "d", key))


def same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other)


def damage(one: Any, other: Any) -> float:
    """Return the mean distance between two pictures, or the words that are not the same."""
    if isinstance(one, str):
        return float(sum(a != b for a, b in zip(one.split(" "), other.split(" "), strict=False)))
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("name", NAMES)
def test_file_says_what_it_is(name: str) -> None:
    shift = plugins.find("shifts", name)
    assert shift.__doc__
    assert isinstance(shift.PARAMS, dict)
    if name in DOMAIN:
        assert set(shift.DOMAIN) == {"dataset", "clean", "split"}
        assert "https://" in shift.__doc__
        assert not hasattr(shift, "apply")
    else:
        assert shift.FIELD is None or isinstance(shift.FIELD, str)
        assert shift.RANGE[0] == 0
    if name in GRADED:
        assert list(shift.LEVELS) == [1, 2, 3, 4, 5]
        assert "Source" in shift.__doc__


@pytest.mark.parametrize("name", DOMAIN)
def test_domain_names_two_datasets(name: str) -> None:
    domain = plugins.find("shifts", name).DOMAIN
    assert domain["dataset"] != domain["clean"]
    assert {domain["dataset"], domain["clean"]} <= set(plugins.names("datasets"))


@pytest.mark.parametrize("name", GRADED)
def test_result_is_of_the_same_kind(name: str) -> None:
    for value in inputs(plugins.find("shifts", name)):
        shifted = applied(name, value, 3.0)
        assert type(shifted) is type(value)
        if isinstance(value, np.ndarray):
            assert (shifted.dtype, shifted.shape) == (value.dtype, value.shape)
            assert not np.shares_memory(shifted, value)


@pytest.mark.parametrize("name", APPLIED)
def test_severity_0_changes_nothing(name: str) -> None:
    for value in inputs(plugins.find("shifts", name)):
        assert same(applied(name, value, 0.0), value)


@pytest.mark.parametrize("name", APPLIED)
@pytest.mark.parametrize("severity", [-0.1, 5.01, float("nan"), float("inf")])
def test_severity_outside_the_range_is_refused(name: str, severity: float) -> None:
    low, high = plugins.find("shifts", name).RANGE
    message = f"shift '{name}': severity {severity:g} lies outside {low:g} to {high:g}"
    with pytest.raises(RangeError, match=message):
        applied(name, inputs(plugins.find("shifts", name))[0], severity)


@pytest.mark.parametrize("name", GRADED)
def test_result_depends_on_nothing_but_its_arguments(name: str) -> None:
    values = inputs(plugins.find("shifts", name))
    forwards = [applied(name, value, 3.0, str(i)) for i, value in enumerate(values)]
    backwards = [
        applied(name, value, 3.0, str(i)) for i, value in reversed(list(enumerate(values)))
    ]
    assert all(map(same, forwards, reversed(backwards)))


@pytest.mark.parametrize("name", GRADED)
def test_input_stays_as_it_was(name: str) -> None:
    for value in inputs(plugins.find("shifts", name)):
        if not isinstance(value, np.ndarray):
            continue
        before = value.copy()
        value.flags.writeable = False  # what codecs and memory maps hand out
        applied(name, value, 4.0)
        assert same(value, before)
        flipped = value[::-1, ::-1]  # any memory layout gives the same
        assert same(applied(name, flipped, 4.0), applied(name, flipped.copy(), 4.0))


@pytest.mark.parametrize("name", GRADED)
def test_damage_grows_with_severity(name: str) -> None:
    shift = plugins.find("shifts", name)
    values = [CHAPTER] if shift.FIELD == "text" else [*photos(), picture(28, 28)]
    for value in values:
        rising = [
            np.mean([damage(value, applied(name, value, level, str(key))) for key in range(12)])
            for level in (0, 1, 2, 3, 4, 5)
        ]
        assert rising == sorted(set(rising)), f"{name} is not monotone: {rising}"


@pytest.mark.parametrize("name", GRADED)
def test_severity_between_two_levels_lies_between(name: str) -> None:
    shift = plugins.find("shifts", name)
    value = CHAPTER if shift.FIELD == "text" else photos()[0]
    below, middle, above = (
        np.mean([damage(value, applied(name, value, level, str(key))) for key in range(12)])
        for level in (2.0, 2.5, 3.0)
    )
    assert below <= middle <= above


@pytest.mark.parametrize("name", OURS)
def test_bytes_are_the_known_ones(name: str, golden: Callable[[str, Any], None]) -> None:
    golden(name, shift_digests.shift_digest(name))


def test_tables_and_encoder_are_the_known_ones(golden: Callable[[str, Any], None]) -> None:
    golden("png", shift_digests.encoder_digest())
    golden("tables", shift_digests.table_digest())


@pytest.mark.slow
@pytest.mark.needs("qemu-x86_64")
@pytest.mark.parametrize("cpu", ["Nehalem", "Haswell"])
def test_bytes_are_the_same_on_an_older_cpu(cpu: str) -> None:
    script = Path(shift_digests.__file__)
    command = ["qemu-x86_64", "-cpu", cpu, sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    native = {name: shift_digests.shift_digest(name) for name in OURS}
    native |= {"png": shift_digests.encoder_digest(), "tables": shift_digests.table_digest()}
    assert json.loads(done.stdout) == native


def photos() -> list[np.ndarray]:
    """Return quarters of the two photographs that scikit-learn ships, at a fifth of their size."""
    from sklearn.datasets import load_sample_images

    images = load_sample_images().images
    return [image[::5, half : half + 300 : 5].copy() for image in images for half in (0, 300)]
