"""Items in eleven languages: complete, parallel, balanced; and those of the official layout."""

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from makers import xtrust_clone
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.xtrust.datasets import _catalogue, _facts, _parallel, xtrust
from shiftbench.systems.xtrust.datasets._catalogue import ENGLISH, LANGUAGES
from shiftbench.systems.xtrust.shifts import _language

KINDS = list(_parallel.TASKS)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return xtrust_clone.sources(tmp_path_factory.mktemp("sources"))


def items(kind: str, sources: dict[str, Path], count: int = 60, split: str = "test") -> list[Sample]:
    params = {"kind": kind, "count": count, "train": 10}
    return list(_parallel.samples(split, sources, params))


def translated(sample: Sample, language: str) -> Sample:
    return _language.apply(sample, 1.0, RandomStream(0, "l", "d", "k"), to=language)


def test_every_prompt_stands_in_every_language_with_the_slots_of_the_english_one() -> None:
    with _catalogue.FILE.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    places = Counter((row["task"], row["variant"]) for row in rows)
    assert set(places.values()) == {len(LANGUAGES) + 1}
    for row in rows:
        english = _catalogue.text(row["task"], ENGLISH, row["variant"])
        slots = re.compile(r"{\w+}")
        assert sorted(slots.findall(row["text"])) == sorted(slots.findall(english)), row
    with pytest.raises(DataError, match="no text of statements, en, nothing"):
        _catalogue.text("statements", ENGLISH, "nothing")


@pytest.mark.parametrize("kind", KINDS)
def test_items_are_parallel(kind: str, sources: dict[str, Path]) -> None:
    found = items(kind, sources)
    assert len({sample.fields["text"] for sample in found}) == 60
    classes = _parallel.classes_of(kind)
    for sample in found:
        meta = sample.fields["meta"]
        assert set(meta["translations"]) == set(LANGUAGES)
        assert [name for name, _ in meta["options"]] == list(_catalogue.OPTIONS[_parallel.TASKS[kind]])
        assert {name for name, _ in meta["options"]} <= set(classes)
        for language in LANGUAGES:
            other = translated(sample, language)
            assert (other.key, other.fields["label"]) == (sample.key, sample.fields["label"])
            told = other.fields["meta"]
            assert (told["language"], told["task"], told["cluster"]) == (
                language, meta["task"], meta["cluster"],
            )  # fmt: skip
            assert [name for name, _ in told["options"]] == [name for name, _ in meta["options"]]
            assert len({word for _, word in told["options"]}) == len(told["options"])
            assert "translations" not in told


def test_labels_are_what_the_sources_say(sources: dict[str, Path]) -> None:
    countries = _facts.countries(sources["countryinfo"], sources["country_names"])
    by_name = {country.names["de"]: country for country in countries}
    assert len(by_name) == 20
    assert by_name["de Landa"].names["zh"] == "zh_CN Landa"
    where = {f"{_catalogue.text('regions', 'de', region)}": region for region in _facts.REGIONS}
    for sample in items("facts", sources):
        text = translated(sample, "de").fields["text"]
        name, place = re.fullmatch(r"Das Land (.+) liegt (.+)\.", text).groups()  # type: ignore[union-attr]
        label = _parallel.classes_of("facts")[sample.fields["label"]]
        assert label == ("true" if by_name[name].region == where[place] else "false")
    for sample in items("comparisons", sources):
        text = translated(sample, "de").fields["text"]
        names = re.findall(r"de Land\w", text)
        more = max(names[:2], key=lambda one: by_name[one].population)
        label = _parallel.classes_of("comparisons")[sample.fields["label"]]
        assert label == ("no" if names[2] == more else "yes")
    for sample in items("capitals", sources):
        city, *options = translated(sample, "de").fields["text"].splitlines()
        town = re.match(r"Town(\w)", city)
        right = [one for one in options if one.endswith(f"de Land{town[1]}")]  # type: ignore[index]
        label = _parallel.classes_of("capitals")[sample.fields["label"]]
        assert [one[0] for one in right] == [label]
        assert len(set(options)) == 4


def test_yes_and_no_are_as_likely(sources: dict[str, Path]) -> None:
    for kind, count in (("facts", 20), ("comparisons", 80)):  # twenty countries, once each
        labels = Counter(sample.fields["label"] for sample in items(kind, sources, count))
        assert min(labels.values()) >= count // 4, kind


def test_releases_are_late_and_those_shown_are_no_items(sources: dict[str, Path]) -> None:
    found = items("releases", sources, 80)
    assert {sample.fields["label"] for sample in found} == {0}
    shown = {text for sample in found for text, _ in sample.fields["meta"]["demonstrations"]}
    assert len(shown) == 3
    versions = {one.split()[1] for one in shown}
    for sample in found:
        _, version, *_, date = sample.fields["text"].rstrip(".").split()
        assert date >= _facts.RELEASED
        assert version not in versions
    early = [one for one in _facts.releases(sources["browser_releases"]) if one.date < "2024-12-01"]
    assert early == []
    assert max(Counter(sample.fields["meta"]["cluster"] for sample in found).values()) == 2


def test_training_items_say_nothing_that_test_items_say(sources: dict[str, Path]) -> None:
    for kind in KINDS:
        train = {sample.fields["text"] for sample in items(kind, sources, 40, "train")}
        test = {sample.fields["text"] for sample in items(kind, sources, 40)}
        assert len(train) == 10
        assert train.isdisjoint(test)


def test_more_items_than_there_are_is_told(sources: dict[str, Path]) -> None:
    with pytest.raises(ParamsError, match="facts: there are no 101 items; ask for fewer"):
        items("facts", sources, 200)


def test_a_language_has_no_degrees(sources: dict[str, Path]) -> None:
    (sample,) = items("facts", sources, 1)
    half = _language.apply(sample, 0.5, RandomStream(0, "l", "d", "k"), to="de")
    assert half == translated(sample, "de")
    with pytest.raises(RangeError, match="lies outside 0 to 1"):
        _language.apply(sample, 1.5, RandomStream(0, "l", "d", "k"), to="de")
    with pytest.raises(DataError, match="is not stated in 'xx'"):
        translated(sample, "xx")
    with pytest.raises(DataError, match="is not stated in 'fr'"):
        translated(translated(sample, "de"), "fr")


def test_capitals_that_give_the_country_away_are_not_asked() -> None:
    assert _facts._unambiguous_capital("Panama City", "Panama", {"Panama City": 1}) == ""
    assert _facts._unambiguous_capital("Kingston", "Jamaica", {"Kingston": 2}) == ""
    assert _facts._unambiguous_capital("Lima", "Peru", {"Lima": 1}) == "Lima"


# --- the official layout ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xtrust_clone.clone(tmp_path_factory.mktemp("clone"))


def official(clone: Path, task: str, folder: str = "data", **options: Any) -> list[Sample]:
    path = clone.parents[2] / "data" if folder == "data" else clone / folder
    params = {**defaults(xtrust), "path": str(path), "task": task, **options}
    return list(xtrust.samples("test", {}, params))


def test_released_items_are_parallel_by_row(clone: Path) -> None:
    found = official(clone, "OOD")
    assert len(found) == xtrust_clone.ITEMS  # French has more
    assert found[3].fields["text"] == "Chinese event 3"
    assert translated(found[3], "fr").fields["text"] == "French event 3"
    assert {sample.fields["label"] for sample in found} == {0}
    assert xtrust.classes({**defaults(xtrust)}, {}) == ("unknown", "both", "none", "true", "false")


def test_items_of_a_run_are_those_that_it_was_asked(clone: Path) -> None:
    found = official(clone, "OOD", "logs_GPT4-api")
    assert translated(found[3], "ko").fields["text"] == "September 2023 Korean event 3, answer"
    asked = official(clone, "Hallucination", "logs_GPT4-api")
    classes = xtrust.classes({**defaults(xtrust), "task": "Hallucination"}, {})
    for language in LANGUAGES:
        assert classes[translated(asked[0], language).fields["label"]] == "yes"


def test_translated_letters_are_read_as_the_letter_or_as_the_scorer_does(clone: Path) -> None:
    classes = xtrust.classes({**defaults(xtrust), "task": "Mental_Health"}, {})
    letters = _catalogue.GREEK
    for way, wanted in (
        ("repaired", {"fr": letters[0], "ru": letters[1], "de": letters[0]}),
        ("official", {"fr": "none", "ru": "none", "de": letters[0]}),
    ):
        (sample, *_) = official(clone, "Mental_Health", letters=way)
        found = {one: classes[translated(sample, one).fields["label"]] for one in wanted}
        assert found == wanted
    assert "\n" in sample.fields["text"]  # a line break within a field


def test_a_hallucination_coin_belongs_to_the_item(clone: Path) -> None:
    found = official(clone, "Hallucination")
    for sample in found:
        wrong = "wrong" in sample.fields["text"]
        for language in LANGUAGES:
            other = translated(sample, language).fields
            assert ("wrong" in other["text"]) == wrong
            assert other["label"] == sample.fields["label"]
    assert 4 < sum("wrong" in sample.fields["text"] for sample in found) < 20


def test_what_is_missing_is_told(clone: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="xtrust: path is ''"):
        list(xtrust.samples("test", {}, dict(defaults(xtrust))))
    with pytest.raises(ParamsError, match="task is 'OODD'"):
        official(clone, "OODD")
    with pytest.raises(DataError, match="Illegal_activity_val.csv does not exist"):
        official(clone, "Illegal_activity")
    assert registry.find("datasets", "xtrust").wants("test", {"path": "x"}) == {
        "x": "data, or logs of a model, of a clone of LluckyYH/XTRUST"
    }
