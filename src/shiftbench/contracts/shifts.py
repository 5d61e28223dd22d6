"""The contract of the shifts family; a new file in shifts/ is tested by existing."""

import itertools
import re
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.base import registry
from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import names, shift_digests
from shiftbench.contracts.shift_digests import TEXT, masked, picture
from shiftbench.evaluation.corruption import corrupt
from shiftbench.workflow.tools import preview as previews

NAMES = names("shifts")
APPLIED = [name for name in NAMES if not hasattr(registry.find("shifts", name), "DOMAIN")]
GRADED = [name for name in APPLIED if registry.find("shifts", name).LEVELS]
LEVELLED = [name for name in GRADED if hasattr(registry.find("shifts", name), "CONTINUOUS")]
IMAGES = [name for name in GRADED if registry.find("shifts", name).FIELD == "image"]
SOUNDS = [name for name in GRADED if previews.drawn_field(registry.find("shifts", name)) == "audio"]
TASKS = [name for name in GRADED if hasattr(registry.find("shifts", name), "TASK")]
"""Shifts of whole samples that are no images."""
MASKED = [name for name in GRADED if registry.find("shifts", name).FIELD is None and name not in {*SOUNDS, *TASKS}]
DOMAIN = [name for name in NAMES if name not in APPLIED]
SHAPES = [(28, 28), (33, 57, 3), (224, 224, 3), (1, 1), (5, 90, 3), (7, 1), (3, 3, 3)]
CHAPTER = f"{TEXT} " * 20
GRID = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]


def inputs(shift: ModuleType) -> list[Any]:
    if hasattr(shift, "TASK") or previews.drawn_field(shift) == "audio":
        return list(shift_digests.values(shift))
    if shift.FIELD is None:
        return [masked(*shape) for shape in SHAPES[:2]]
    if shift.FIELD == "label":
        return [0, 9]
    return [CHAPTER] if shift.FIELD == "text" else [picture(*shape) for shape in SHAPES]


def applied(name: str, value: Any, severity: float, key: str = "k", **options: Any) -> Any:
    shift = registry.find("shifts", name)
    chosen = {**getattr(shift, "CONTINUOUS", {}), **options}
    return shift_digests.apply(shift, value, severity, RandomStream(0, name, "d", key), **chosen)


def same(one: Any, other: Any) -> bool:
    return shift_digests.digest(one) == shift_digests.digest(other)


def damage(one: Any, other: Any) -> float:
    """Return how far two values are apart: levels of pixels or of sounds, or the edits between two texts."""
    if isinstance(one, Sample) and "query" in one.fields:
        return float(np.abs(one.fields["query"] - other.fields["query"]).mean())
    if isinstance(one, Sample) and "table" in one.fields:
        return float(cells(one.fields["table"], other.fields["table"]))
    if isinstance(one, Sample):
        return damage(one.fields["image"], other.fields["image"])
    if isinstance(one, str):
        return float(edits(one, other))
    return float(np.abs(one.astype(int) - other).mean())


def cells(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Return how many cells and names of columns of two tables differ; of one with fewer rows, how many are gone."""
    lines, changed = ([table["header"], *table["rows"]] for table in (one, other))
    if len(lines) != len(changed):
        return (len(lines) - len(changed)) * len(one["header"])
    flat = (list(itertools.chain(*own)) for own in (lines, changed))
    return sum(a != b for a, b in zip(*flat, strict=True))


def spectral_damage(one: Any, other: Any) -> float:
    """Return how far the mean frequencies of two sounds are apart, in Hz.

    Where its phases are mixed up, no sample of a sound says how far.
    """
    middles = []
    for value in (one, other):
        wave = value.fields["audio"] if isinstance(value, Sample) else value
        size = np.abs(np.fft.rfft(wave.astype(float)))
        middles.append(float((size * np.fft.rfftfreq(len(wave), 1 / 16000)).sum() / size.sum()))
    return abs(middles[0] - middles[1])


def edits(one: str, other: str) -> int:
    """Return the Levenshtein distance, a row of its table at a time."""
    letters, places = np.array(list(other)), np.arange(len(other) + 1)
    row = places
    for number, letter in enumerate(one, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (letters != letter))
        # What comes from the left is one more for each place.
        row = np.minimum.accumulate(np.concatenate([[number], best]) - places) + places
    return int(row[-1])


@cache
def photos() -> tuple[np.ndarray, ...]:
    """Return twelve pieces of the two photographs that scikit-learn ships, at half their size."""
    from sklearn.datasets import load_sample_images

    return tuple(
        np.ascontiguousarray(image[top : top + 200 : 2, left : left + 200 : 2])
        for image in load_sample_images().images
        for top in (0, 213)
        for left in (0, 213, 426)
    )


def clean(shift: ModuleType) -> list[Any]:
    """Return what damage is averaged over."""
    if previews.drawn_field(shift) == "audio":
        voice = previews.built_in_sound()
        return [voice if shift.FIELD is None else voice.fields["audio"]]
    if hasattr(shift, "TASK"):
        return list(shift_digests.values(shift))
    if shift.FIELD == "text":
        return [TEXT * 3] * 12
    if shift.FIELD is None:
        mask = shift_digests.disk(100, 100)
        return [Sample("k", {"image": photo, "mask": mask}) for photo in photos()]
    return list(photos())


def rising(name: str, severities: list[float]) -> list[float]:
    values = clean(registry.find("shifts", name))
    apart = spectral_damage if name in ("audio_pitch", "audio_speed") else damage
    return [
        float(np.mean([apart(v, applied(name, v, level, str(i))) for i, v in enumerate(values)]))
        for level in severities
    ]


@pytest.mark.parametrize("name", NAMES)
def test_file_says_what_it_is(name: str) -> None:
    shift = registry.find("shifts", name)
    assert shift.__doc__
    assert isinstance(defaults(shift), dict)
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
    domain = registry.find("shifts", name).DOMAIN
    if not domain["dataset"]:
        assert domain.items() <= defaults(registry.find("shifts", name)).items()  # params name them
        return
    assert domain["dataset"] != domain["clean"]
    assert {domain["dataset"], domain["clean"]} <= set(registry.names("datasets"))


@pytest.mark.parametrize("name", IMAGES)
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    colour=st.booleans(),
    severity=st.floats(0, 5),
    key=st.text(max_size=5),
)
def test_image_in_image_out(name: str, height: int, width: int, colour: bool, severity: float, key: str) -> None:
    value = picture(height, width, 3) if colour else picture(height, width)
    before = value.copy()
    value.flags.writeable = False  # what codecs and memory maps hand out
    shifted = applied(name, value, severity, key)
    assert type(shifted) is np.ndarray
    assert (shifted.dtype, shifted.shape) == (value.dtype, value.shape)
    assert shifted.flags.c_contiguous
    assert not np.shares_memory(shifted, value)
    assert np.array_equal(value, before)
    assert np.array_equal(shifted, applied(name, value, severity, key))


@pytest.mark.parametrize("name", APPLIED)
def test_severity_0_changes_nothing(name: str) -> None:
    for value in inputs(registry.find("shifts", name)):
        assert same(applied(name, value, 0.0), value)


def refusal(function: Callable[..., Any], *args: Any) -> str:
    """Return what is said where something is refused, or nothing where it is taken."""
    try:
        function(*args)
    except (DataError, RangeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("name", APPLIED)
def test_severity_outside_the_range_is_refused(name: str) -> None:
    low, high = registry.find("shifts", name).RANGE
    value = inputs(registry.find("shifts", name))[0]
    beyond = [-0.1, high + 0.01, float("nan"), float("inf")]
    told = {severity: refusal(applied, name, value, severity) for severity in beyond}
    rule = f"shift '{name}': severity {{:g}} lies outside {low:g} to {high:g}"
    wrong = {at: why for at, why in told.items() if rule.format(at) not in why}
    assert wrong == {}
    assert all(why.startswith("RangeError") for why in told.values())


@pytest.mark.parametrize("name", LEVELLED)
def test_published_levels_are_whole(name: str) -> None:
    value = picture(28, 28, 3)
    assert not same(applied(name, value, 3.0, profile="published"), value)
    with pytest.raises(RangeError, match=f"'{name}': severity 2.5 lies between .* `profile: cont"):
        applied(name, value, 2.5, profile="published")


NO_IMAGES = {
    "empty": np.zeros((0, 5), np.uint8),
    "grey-alpha": np.zeros((5, 5, 2), np.uint8),
    "colour-alpha": np.zeros((5, 5, 4), np.uint8),
    "line": np.zeros(5, np.uint8),
    "float": np.zeros((5, 5, 3), np.float32),
    "16-bit": np.zeros((5, 5, 3), np.uint16),
}


@pytest.mark.parametrize("name", APPLIED)
def test_what_is_no_image_is_refused(name: str) -> None:
    told = {kind: refusal(corrupt, value, name) for kind, value in NO_IMAGES.items()}
    wanted = re.compile("DataError: .*(uint8 array|int16 array|takes a text|takes a whole Sample)")
    assert {kind: why for kind, why in told.items() if not wanted.search(why)} == {}


@pytest.mark.parametrize("name", GRADED)
def test_result_depends_on_nothing_but_its_arguments(name: str) -> None:
    values = inputs(registry.find("shifts", name))
    forwards = [applied(name, value, 3.0, str(i)) for i, value in enumerate(values)]
    backwards = [applied(name, value, 3.0, str(i)) for i, value in reversed(list(enumerate(values)))]
    assert all(map(same, forwards, reversed(backwards)))


@pytest.mark.parametrize("name", GRADED)
def test_key_decides_what_is_random(name: str) -> None:
    shift = registry.find("shifts", name)
    value = clean(shift)[0]
    drawn = {shift_digests.digest(applied(name, value, 3.0, str(key))) for key in range(6)}
    fixed = "takes no random words" in " ".join((shift.__doc__ or "").lower().split())
    assert (len(drawn) == 1) == fixed


@pytest.mark.parametrize("name", IMAGES)
def test_any_memory_layout_gives_the_same(name: str) -> None:
    for shape in SHAPES[:2]:
        flipped = picture(*shape)[::-1, ::-1]
        assert same(applied(name, flipped, 4.0), applied(name, flipped.copy(), 4.0))


@pytest.mark.parametrize("name", GRADED)
def test_damage_grows_with_severity(name: str) -> None:
    found = rising(name, GRID)
    assert found == sorted(set(found)), f"{name} is not monotone: {np.round(found, 3)}"


@pytest.mark.parametrize("name", GRADED)
def test_sample_without_the_field_is_told(name: str) -> None:
    with pytest.raises(DataError, match=r"k: .*(no|the) field '(image|text|mask|support|audio|table)'"):
        corrupt(Sample("k", {"label": 1}), name)


@pytest.mark.parametrize("name", MASKED)
def test_mask_of_another_size_is_told(name: str) -> None:
    fields = {"image": picture(20, 30, 3), "mask": shift_digests.disk(30, 20)}
    with pytest.raises(DataError, match=r"k: .*mask.*30"):
        applied(name, Sample("k", fields), 3.0)
