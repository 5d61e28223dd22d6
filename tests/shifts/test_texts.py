"""The text shifts: what they promise about which characters and words they touch."""

import math
import re
import unicodedata
from collections import Counter
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _texts, homoglyphs, ocr_confusions

NAMES = (
    "keyboard_typos", "ocr_confusions", "char_swap", "char_delete", "char_insert", "case_flip", "whitespace",
    "homoglyphs", "word_drop", "word_order",
)  # fmt: skip
IN_PLACE = ("keyboard_typos", "case_flip", "homoglyphs", "char_swap")  # length and other places stay
PROSE = (
    "The battery lasts for two days, and the screen is bright enough to read outside at noon. "
    "Nobody would have believed in the last years of the nineteenth century that this was watched. "
)
ODD = ["", " ", " \t\n ", "a", "I", "\u00df", "e\u0301te\u0301s", "\u0301 \u0301", "\U0001f469\u200d\U0001f680 ok!",
       "\u0645\u0631\u062d\u0628\u0627\u064b \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u4f60\u597d\u4e16\u754c",
       "\ud800", "\u0130stanbul \ufb01ve \u01c4"]  # fmt: skip
TEXTS = st.text(max_size=60) | st.text(alphabet="aAbe\u0301 \n.0rn\u0435", max_size=60)
KEYS = st.integers(0, 5).map(str)
SEVERITIES = st.sampled_from([0.3, 1.0, 2.5, 5.0])


def shifted(name: str, text: str, severity: float, key: str = "k", **options: Any) -> str:
    shift = registry.find("shifts", name)
    result: str = shift.apply(text, severity, RandomStream(0, name, "d", key), **options)
    return result


def share(name: str, severity: float) -> float:
    return float(np.interp(severity, [0, *range(1, 6)], [0, *_first(registry.find("shifts", name))]))


def _first(shift: ModuleType) -> list[float]:
    return [level[0] if isinstance(level, tuple) else level for level in shift.LEVELS.values()]


def also_on(*texts: str) -> Any:
    """Run a property on these texts too."""

    def add(function: Any) -> Any:
        for text in texts:
            function = example(text=text, key="0", severity=5.0)(function)
        return function

    return add


@pytest.mark.parametrize("name", NAMES)
@also_on(*ODD, PROSE)
@given(text=TEXTS, key=KEYS, severity=SEVERITIES)
def test_any_text_is_taken(name: str, text: str, key: str, severity: float) -> None:
    assert shifted(name, text, 0.0, key) == text
    result = shifted(name, text, severity, key)
    assert result == shifted(name, text, severity, key)
    assert len(result) <= 2 * len(text)
    assert bool(result.strip()) == bool(text.strip()), "a text never vanishes, nor comes from nothing"


# ------------------------------------------------------------------------- how much is touched


def candidates(name: str, text: str) -> int:
    """Return how much of a text a shift could touch, counted another way than the shift does."""
    if name.startswith("word_"):
        return len(text.split())
    if name == "whitespace":
        return max(len(text.split()) - 1, 0)
    if name == "case_flip":
        return sum(len(c.swapcase()) == 1 and c != c.swapcase() for c in text)
    if name == "homoglyphs":
        return sum(any(c in alike for alike in homoglyphs.ALIKE) for c in text)
    if name == "keyboard_typos":
        return sum(c in "abcdefghijklmnopqrstuvwxyz" for c in text.lower())
    return sum(max(len(word) - 2, 0) for word in re.findall(r"[^\W\d_]{4,}", text))


def touches(name: str, text: str, severity: float, key: str) -> int:
    """Return how much of a text a shift did touch."""
    result = shifted(name, text, severity, key)
    if name == "word_order":
        return sum(a != b for a, b in zip(text.split(), result.split(), strict=True))
    if name == "word_drop":
        return len(text.split()) - len(result.split())
    if name == "whitespace":  # spaces are the only thing that changes; what was removed is counted
        assert "".join(result.split()) == "".join(text.split())
        return len(text.split()) - 1 - _kept_gaps(text, result)
    if name in ("char_delete", "char_insert"):
        return abs(len(result) - len(text))
    return sum(a != b for a, b in zip(text, result, strict=True))


def _kept_gaps(text: str, result: str) -> int:
    return len(set(_places_of_gaps(text)) & set(_places_of_gaps(result)))


def _places_of_gaps(text: str) -> list[int]:
    """Return how many other characters stand before each gap."""
    return np.cumsum([len(word) for word in text.split()])[:-1].tolist()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ocr_confusions"])
@pytest.mark.parametrize("severity", [1.0, 2.6, 5.0])
def test_share_is_what_is_promised(name: str, severity: float) -> None:
    promised = share(name, severity) * candidates(name, PROSE)
    found = [touches(name, PROSE, severity, str(key)) for key in range(150)]
    step = 2 if name in ("char_swap", "word_order") else 1  # two move at a time
    if name != "word_order":  # where a word may change places with an equal one
        assert set(found) <= {step * math.floor(promised / step), step * math.ceil(promised / step)}
    assert np.mean(found) == pytest.approx(promised, abs=0.25 * step)


def test_share_of_short_texts_is_kept_in_the_mean() -> None:
    short = "It was bad"  # 8 letters: a twentieth of them is 0.4
    found = [touches("keyboard_typos", short, 1.0, str(key)) for key in range(2000)]
    assert set(found) == {0, 1}
    assert np.mean(found) == pytest.approx(0.4, abs=0.03)


def edits(one: str, other: str) -> int:
    """Return the Levenshtein distance: characters to insert, delete or replace."""
    left, right = (np.array([ord(c) for c in text], dtype=np.int64) for text in (one, other))
    steps = np.arange(len(right) + 1)
    row = steps.copy()
    for number, character in enumerate(left, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (right != character))
        row = np.minimum.accumulate(np.concatenate([[number], best]) - steps) + steps
    return int(row[-1])


@pytest.mark.parametrize("name", [*NAMES, "char_noise"])
def test_edits_grow_with_severity(name: str) -> None:
    rising = [
        np.mean([edits(PROSE, shifted(name, PROSE, level / 2, str(key))) for key in range(8)]) for level in range(11)
    ]
    assert rising == sorted(set(rising))


# ------------------------------------------------------------------- what is touched, and what not


@pytest.mark.parametrize("name", IN_PLACE)
@also_on(*ODD, PROSE)
@given(text=TEXTS, key=KEYS, severity=SEVERITIES)
def test_stronger_keeps_what_weaker_touched(name: str, text: str, key: str, severity: float) -> None:
    weak, strong = shifted(name, text, severity / 2, key), shifted(name, text, severity, key)
    assert len(weak) == len(strong) == len(text)
    for before, once, twice in zip(text, weak, strong, strict=True):
        assert once in (before, twice)


@pytest.mark.parametrize("name", ["word_drop", "char_delete"])
@given(text=TEXTS, key=KEYS, severity=SEVERITIES)
def test_what_is_left_out_is_left_out_of_stronger_ones(name: str, text: str, key: str, severity: float) -> None:
    texts = [text, shifted(name, text, severity / 2, key), shifted(name, text, severity, key)]
    for longer, shorter in pairwise(texts):
        parts = (longer.split(), shorter.split()) if name == "word_drop" else (longer, shorter)
        rest = iter(parts[0])
        assert all(part in rest for part in parts[1])  # in this order


@given(text=TEXTS, key=KEYS, severity=SEVERITIES)
def test_inserted_letters_are_of_the_text(text: str, key: str, severity: float) -> None:
    weak, strong = (shifted("char_insert", text, s, key, inner=False) for s in (severity / 2, severity))
    for shorter, longer in pairwise([text, weak, strong]):
        rest = iter(longer)
        assert all(character in rest for character in shorter)
    folded = {other for c in text for other in (c, c.lower(), c.upper())}
    assert set(strong) <= folded


@given(text=TEXTS, key=KEYS, severity=SEVERITIES)
def test_words_of_another_order_are_the_same_words(text: str, key: str, severity: float) -> None:
    result = shifted("word_order", text, severity, key)
    assert Counter(result.split()) == Counter(text.split())
    assert re.findall(r"\s+", result) == re.findall(r"\s+", text)


@given(text=TEXTS, key=KEYS, severity=SEVERITIES)
def test_whitespace_changes_nothing_else(text: str, key: str, severity: float) -> None:
    assert "".join(shifted("whitespace", text, severity, key).split()) == "".join(text.split())


@pytest.mark.parametrize("name", ["char_swap", "char_delete", "char_insert"])
def test_first_and_last_letters_stay(name: str) -> None:
    for key in range(20):
        words = shifted(name, PROSE, 5.0, str(key)).split()
        for before, after in zip(PROSE.split(), words, strict=True):
            assert (before[0], before[-1]) == (after[0], after[-1])
            assert before == after or len(before.strip(".,")) >= 4
    assert shifted(name, "a bc a bc a bc " * 9, 5.0, "k", inner=False) != "a bc a bc a bc " * 9
    assert shifted(name, "a bc a bc a bc " * 9, 5.0, "k") == "a bc a bc a bc " * 9


def test_marks_stay_with_their_letters() -> None:
    text = unicodedata.normalize("NFD", "\u00e9l\u00e8ve \u00e0 No\u00ebl for\u00eat g\u00e2teau " * 9)
    for name in ("keyboard_typos", "char_delete", "char_swap", "whitespace"):
        for unit in _texts.units(shifted(name, text, 5.0)):
            assert len(unit) <= 2
            assert len(unit) == 1 or unit[0].isalpha()


@pytest.mark.parametrize("name", ["char_swap", "char_delete", "char_insert", "whitespace"])
def test_right_to_left_letters_are_letters(name: str) -> None:
    text = "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u05e9\u05dc\u05d5\u05dd " * 5
    assert shifted(name, text, 5.0) != text


def test_emoji_stay() -> None:
    text = "\U0001f469\u200d\U0001f680\U0001f3fd " * 20
    for name in NAMES:
        result = shifted(name, text, 5.0)
        assert set(result.split()) <= set(text.split()) or name == "whitespace"
        assert result.replace(" ", "") in text.replace(" ", "")


# ---------------------------------------------------------------------------------- the tables


def test_homoglyphs_are_letters_of_other_scripts_in_one_case() -> None:
    for alike in homoglyphs.ALIKE:
        assert len({unicodedata.category(letter) for letter in alike}) == 1
        scripts = [unicodedata.name(letter).split()[0] for letter in alike]
        assert len(set(scripts)) == len(scripts)
        assert scripts[0] == "LATIN"
    joined = "".join(homoglyphs.ALIKE)
    assert len(set(joined)) == len(joined)


def test_ocr_confusions_go_both_ways_and_long_ones_first() -> None:
    for seen, readings in ocr_confusions.CONFUSIONS.items():
        assert len(set(readings)) == len(readings)
        assert all(seen in ocr_confusions.CONFUSIONS[reading] for reading in readings)
    assert ocr_confusions.PATTERN.split("barn 7") == ["", "b", "a", "rn", " ", "7", ""]


def test_keyboard_neighbours_touch() -> None:
    assert set(_texts.NEIGHBOURS["g"]) == set("ftyhbv")
    assert set(_texts.NEIGHBOURS["a"]) == set("qwsz")
    assert all(key in _texts.NEIGHBOURS[near] for key, near_keys in _texts.NEIGHBOURS.items() for near in near_keys)
