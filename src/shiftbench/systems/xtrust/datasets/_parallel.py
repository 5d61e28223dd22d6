"""Items that say the same in eleven languages: facts, comparisons, releases, capitals.

    facts         whether a country lies in a region: true or false, either with probability 1/2
    comparisons   a question which of two countries has more inhabitants, and an answer: does it hallucinate?
    releases      a browser's version and the day of its release, after the model was published: unknown is wanted;
                  a second statement on the same release has the day of another release of that product
    capitals      which of four countries has a capital, options alpha to delta; the city stands in its Latin spelling

The sample is stated in English; `meta.translations` holds it in each of the ten languages of XTRUST, for the shifts
`language_*`. Classes begin with `unknown`, `both` (several answers) and `none` (no answer), which no item but a release
has for its label. Items of one country, or of one release, are resampled together. Three releases that are in no item
are the demonstrations, with the answer that is wanted.

Source: types of items after XTRUST, Li et al. 2024, arXiv:2409.15762 (hallucination: a question with one right or wrong
answer, by a coin; OOD: statements on events after the cut-off; health: four options called by Greek letters). Differs:
facts from packages in place of the released items, of which no licence is stated; coins are seeded by the item, and
items are parallel in all languages. Prompts are ours (`prompts.csv`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.xtrust.datasets import _catalogue, _facts
from shiftbench.systems.xtrust.datasets._catalogue import ENGLISH, LANGUAGES

TASK = "text_classification"
NATIVE = ("train", "test")
ASSETS = ("prompts.csv",)
LICENCE = "MIT (countryinfo), LGPL-2.1-only (names of countries), CC0-1.0 (releases)"
CITATION = (
    "Chandro et al., countryinfo; Theune et al., pycountry; MDN contributors, browser-compat-data; types of items "
    "after Li et al., XTRUST, arXiv:2409.15762, 2024"
)
REDISTRIBUTE = True
IN_ORDER = True
RESERVED = ("unknown", "both", "none")
TASKS = {"facts": "statements", "releases": "statements", "comparisons": "comparisons", "capitals": "choice"}
"""Kind of items -> whose instruction and options they have."""
DATASETS = {
    "facts": "country_facts",
    "releases": "release_facts",
    "comparisons": "country_comparisons",
    "capitals": "country_capitals",
}
"""Kind of items -> the dataset that their keys begin with."""
SHOTS = 3
_SEED = 0
_APART = 1.5
"""Least ratio of the inhabitants of two compared countries."""
State = Callable[[str], str]
"""A language -> the item in it."""
Thing = TypeVar("Thing")


class Options(declare.Options):
    kind: Literal["facts", "comparisons", "releases", "capitals"] = Field("facts", description="kind of the items")
    count: int = Field(60, ge=0, description="number of test items")
    train: int = Field(40, ge=0, description="number of training items")


@dataclass(frozen=True, slots=True)
class _Item:
    state: State
    label: str
    cluster: str


@dataclass(frozen=True, slots=True)
class _World:
    countries: tuple[_facts.Country, ...]
    releases: tuple[_facts.Release, ...]
    demonstrations: tuple[_facts.Release, ...]


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The classes and the source files of a kind of items."""
    kind = str(options["kind"])
    countries = () if kind == "releases" else (_facts.COUNTRIES, _facts.NAMES)
    releases = (_facts.RELEASES,) if TASKS[kind] == "statements" else ()
    return {"CLASSES": classes_of(kind), "SOURCES": (*countries, *releases)}


def classes_of(kind: str) -> tuple[str, ...]:
    """The classes of a kind of items: RESERVED, then its options."""
    names = _catalogue.OPTIONS[TASKS[kind]]
    return (*RESERVED, *(name for name in names if name not in RESERVED))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the items of a split; no two of a dataset say the same."""
    world, kind = _world(sources), params["kind"]
    used_texts: set[str] = set()
    for number in range(params["count"] + params["train"]):
        item = _new(kind, world, number, used_texts)
        if split == ("test" if number < params["count"] else "train"):
            yield _sample(item, kind, world, f"{DATASETS[kind]}/{split}/{number:04d}")


def _world(sources: Mapping[str, Path]) -> _World:
    """Facts of the available sources; three releases are demonstrations, and no items."""
    countries: tuple[_facts.Country, ...] = ()
    releases: tuple[_facts.Release, ...] = ()
    if _facts.COUNTRIES in sources:
        countries = _facts.countries(sources[_facts.COUNTRIES], sources[_facts.NAMES])
    if _facts.RELEASES in sources:
        releases = _facts.releases(sources[_facts.RELEASES])
    demonstrations = _words("demonstrations", "").choice(len(releases))[:SHOTS].tolist()
    items = tuple(release for number, release in enumerate(releases) if number not in demonstrations)
    return _World(countries, items, tuple(releases[number] for number in sorted(demonstrations)))


def _words(purpose: str, key: str) -> RandomStream:
    return RandomStream(_SEED, purpose, "xtrust", key)


def _new(kind: str, world: _World, number: int, used_texts: set[str]) -> _Item:
    """The item of a number: the first of its draws that was not said before.

    Raises:
        ParamsError: more are asked than there are.
    """
    for attempt in range(100):
        item = _MAKERS[kind](world, _words(kind, f"{number}/{attempt}"), number)
        words = item.state(ENGLISH)
        if words not in used_texts:
            used_texts.add(words)
            return item
    raise ParamsError(f"{kind}: there are no {number + 1} items; ask for fewer (count, train)")


def _sample(item: _Item, kind: str, world: _World, key: str) -> Sample:
    versions = {language: _in(language, item, kind, world) for language in (ENGLISH, *LANGUAGES)}
    first = versions.pop(ENGLISH)
    meta = {
        "task": TASKS[kind],
        "cluster": item.cluster,
        "translations": versions,
        **{name: first[name] for name in first if name != "text"},
    }
    label = classes_of(kind).index(item.label)
    return Sample(key, {"text": first["text"], "label": label, "meta": meta})


def _in(language: str, item: _Item, kind: str, world: _World) -> dict[str, Any]:
    """An item in a language: `text`, `instruction`, `options` with their classes, `demonstrations`."""
    task = TASKS[kind]
    unknown = _catalogue.option("statements", language, "unknown")
    demonstrations = [[_release(one)(language), unknown] for one in world.demonstrations]
    return {
        "language": language,
        "text": item.state(language),
        "instruction": _catalogue.text(task, language, "instruction"),
        "options": [[name, _catalogue.option(task, language, name)] for name in _catalogue.OPTIONS[task]],
        "demonstrations": demonstrations if task == "statements" else [],
    }


def _fact(world: _World, words: RandomStream, number: int) -> _Item:
    country = _thing(world.countries, "facts", number)
    others = [region for region in _facts.REGIONS if region != country.region]
    lie, region_draw = words.integers(0, 2), words.integers(0, len(others))
    region = others[int(region_draw)] if lie else country.region

    def state(language: str) -> str:
        region_name = _catalogue.text("regions", language, region)
        form = _catalogue.text("statements", language, "country")
        return form.format(country=country.names[language], region=region_name)

    return _Item(state, "false" if lie else "true", country.code)


def _comparison(world: _World, words: RandomStream, number: int) -> _Item:
    first_country = _thing(world.countries, "comparisons", number)
    comparable = [
        second_country
        for second_country in world.countries
        if max(first_country.population, second_country.population)
        > _APART * min(first_country.population, second_country.population)
    ]
    second_country = comparable[int(words.integers(0, len(comparable)))]
    larger, smaller = sorted((first_country, second_country), key=lambda country: -country.population)
    is_wrong = bool(words.integers(0, 2))
    answer = smaller if is_wrong else larger

    def state(language: str) -> str:
        form = _catalogue.text("comparisons", language, "item")
        names = {"one": first_country, "other": second_country, "answer": answer}
        return form.format(**{name: country.names[language] for name, country in names.items()})

    return _Item(state, "yes" if is_wrong else "no", first_country.code)


def _capital(world: _World, words: RandomStream, number: int) -> _Item:
    with_capital = [country for country in world.countries if country.capital]
    asked_country = _thing(with_capital, "capitals", number)
    others = [country for country in world.countries if country is not asked_country]
    choices = [asked_country, *(others[index] for index in words.choice(len(others), 3).tolist())]
    letters = _catalogue.OPTIONS["choice"]
    order = [choices[index] for index in words.choice(len(letters)).tolist()]

    def state(language: str) -> str:
        first = _catalogue.text("choice", language, "item").format(city=asked_country.capital)
        lines = [f"{letter}. {country.names[language]}" for letter, country in zip(letters, order, strict=True)]
        return "\n".join([first, *lines])

    return _Item(state, letters[order.index(asked_country)], asked_country.code)


def _late(world: _World, words: RandomStream, number: int) -> _Item:
    release = _thing(world.releases, "releases", number)
    cluster = f"{release.product} {release.version}"
    if number >= len(world.releases):  # every release once with its own day
        same_product = [one for one in world.releases if one.product == release.product]
        second_release = same_product[int(words.integers(0, len(same_product)))]
        release = _facts.Release(release.product, release.version, second_release.date)
    return _Item(_release(release), "unknown", cluster)


def _release(release: _facts.Release) -> State:
    def state(language: str) -> str:
        form = _catalogue.text("statements", language, "release")
        return form.format(product=release.product, version=release.version, date=release.date)

    return state


def _thing(things: Sequence[Thing], kind: str, number: int) -> Thing:
    """The thing of a number: all of them in an order of the kind's own, then all again."""
    return things[int(_words("order", kind).choice(len(things))[number % len(things)])]


_MAKERS: dict[str, Callable[[_World, RandomStream, int], _Item]] = {
    "facts": _fact,
    "comparisons": _comparison,
    "releases": _late,
    "capitals": _capital,
}
