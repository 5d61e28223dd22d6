"""The nine attacks: what each makes of a text, how much of it, determinism, and the released rules beside ours."""

import re
import unicodedata
from pathlib import Path

import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import shift_digests
from shiftbench.systems.detree.methods.plain_characters import plain
from shiftbench.systems.detree.shifts import _edits

TEXT = (
    "The quick brown fox saw a dog in 1961. An owl of the barn had 12 lazy dogs, and the quick ones ran to an "
    "old tree! Was it a day for the birds? They sang. "
)
NAMES = tuple(_edits.ATTACKS)


@pytest.fixture(scope="module")
def lists() -> dict[str, Path]:
    return shift_digests.originals()


def attacked(
    name: str,
    lists: dict[str, Path],
    text: str = TEXT,
    key: str = "k",
    severity: float = 1.0,
    *,
    released: bool = False,
) -> str:
    words = RandomStream(0, name, "d", key)
    return _edits.edit_text(text, name, severity, words, lists, released=released)


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_is_decided_by_seed_and_key_and_grows_with_severity(name: str, lists: dict[str, Path]) -> None:
    text = TEXT * 4
    assert attacked(name, lists, text, severity=0.0) == text
    assert attacked(name, lists, text) == attacked(name, lists, text) != text
    made = {attacked(name, lists, text, str(key), severity=0.5) for key in range(5)}
    assert len(made) == 5
    changed = [sum(a != b for a, b in zip(attacked(name, lists, text, severity=s), text, strict=False)) for s in (0, 1)]
    assert changed[0] == 0 < changed[1]
    shift = registry.find("shifts", name)
    own = {"sources": lists} if shift.SOURCES else {}
    stream = RandomStream(0, name, "d", "k")
    assert shift.apply(text, 1.0, stream, **defaults(shift), **own) == attacked(name, lists, text)
    with pytest.raises(RangeError, match=f"'{name}': severity 1.5 lies outside 0 to 1"):
        shift.apply(text, 1.5, stream, **defaults(shift), **own)


def test_numbers_stay_as_long_and_none_stays_itself(lists: dict[str, Path]) -> None:
    for key in map(str, range(50)):
        found = re.findall(r"\d+", attacked("alter_numbers", lists, "in 1961, 7 or 0042", key))
        assert [len(one) for one in found] == [4, 1, 4]
        assert all(new != old for new, old in zip(found, ("1961", "7", "0042"), strict=True))
    drawn = {attacked("alter_numbers", lists, "7", str(key)) for key in range(300)}
    assert drawn == set("012345689")


def test_lists_are_read_backwards_and_only_where_they_are_certain(lists: dict[str, Path]) -> None:
    folder = lists["codespell"]
    assert _edits.load(folder, "misspelling") == {"quick": ("qick", "quik"), "lazy": ("lasy",)}
    assert _edits.load(folder, "us_to_uk_spelling") == {"brown": ("browne",), "dogs": ("dogges",)}
    found = attacked("misspelling", lists, "Quick, lazy thing")
    assert found in {"Quik, lasy thing", "Qick, lasy thing"}
    assert attacked("us_to_uk_spelling", lists, "Brown dogs, hotdogs") == "Browne dogges, hotdogs"
    released = attacked("us_to_uk_spelling", lists, "Brown dogs, hotdogs", released=True)
    assert released == "Brown dogges, hotdogges"  # as spelt, and inside of words
    with pytest.raises(DataError, match="codespell.*are not here"):
        attacked("misspelling", {})


def test_articles(lists: dict[str, Path]) -> None:
    """Half of them; the released rule sees those in lower case alone."""
    places, share = _edits.ATTACKS["article_deletion"]
    assert share == 0.5
    assert [TEXT[one.start : one.end] for one in places(TEXT, {}, True)] == [
        *("a ", "the ", "the ", "an ", "a ", "the ")
    ]
    assert len(places(TEXT, {}, False)) == 8
    assert [edit.options for edit in places(TEXT, {}, False)] == [("",)] * 8
    assert places("bathe them in a-b thea ", {}, False) == []


def test_paragraphs(lists: dict[str, Path]) -> None:
    """Behind half of the sentences; released: as many places again before the mark that ends the next one."""
    ends = [at for at, one in enumerate(TEXT, 1) if one in ".!?"]
    places, share = _edits.ATTACKS["paragraph_insertion"]
    assert share == 0.5
    assert [one.start for one in places(TEXT, {}, False)] == ends
    assert [one.start for one in places(TEXT, {}, True)] == sorted([*ends, *(end - 1 for end in ends[1:]), len(TEXT)])
    assert {one.options for one in places(TEXT, {}, True)} == {("\n\n", "\n\n  ")}


def test_homoglyphs_are_those_of_the_released_table_and_look_alike(lists: dict[str, Path]) -> None:
    assert "".join(sorted(_edits.ALIKE)) == "ABCEHIKMNOPTXZaceiopxy"  # 22 letters
    assert sum(len(found) for found in _edits.ALIKE.values()) == 33
    for letter, doubles in _edits.ALIKE.items():
        for double in doubles:
            assert re.match("CYRILLIC|GREEK", unicodedata.name(double))
            assert double.isupper() == letter.isupper()
    made = attacked("homoglyphs_all", lists)
    assert not set(made) & set(_edits.ALIKE)
    assert plain(made) == TEXT.strip("")


def test_shares_of_characters_and_words_are_the_released_ones(lists: dict[str, Path]) -> None:
    """The released functions touch, by their constants: half of the words by case and spaces, 0.3 by U+200B."""
    text = " ".join(["word"] * 1000)
    assert attacked("extra_spaces", lists, text).count(" ") - 999 == pytest.approx(500, abs=1)
    assert attacked("zero_width_space", lists, text).count("\u200b") == pytest.approx(300, abs=1)
    assert attacked("first_letter_case", lists, text).count("Word") == 500
    assert set(re.findall(r"W?w?ord", attacked("first_letter_case", lists, text))) == {"Word", "word"}
    behind = attacked("zero_width_space", lists, text).split(" ")
    assert {one.rstrip("\u200b") for one in behind} == {"word"}


def test_plain_characters_undo_what_looks_the_same(lists: dict[str, Path]) -> None:
    for name in ("homoglyphs_all", "zero_width_space", "extra_spaces"):
        assert plain(attacked(name, lists, TEXT.strip())) == TEXT.strip()
    assert plain("\ufb01ne") == "fine"
    assert plain("x\u2003y") == "x y"


def test_effects_worked_out_by_hand(lists: dict[str, Path]) -> None:
    assert attacked("first_letter_case", lists, "a") in {"A", "a"}
    assert _edits.ATTACKS["first_letter_case"][0]("It's 2nd x", {}, False) == [
        _edits.Edit(0, 1, ("i",)),
        _edits.Edit(9, 10, ("X",)),
    ]
    assert _edits.ATTACKS["extra_spaces"][0]("a b", {}, False) == [_edits.Edit(1, 1, (" ",)), _edits.Edit(3, 3, (" ",))]
