"""What a benchmark found, in sentences and cards that are made from its tables.

The first sentence compares models that differ in one thing, such as a trainer: what it gains under shift, and what it
costs on clean data. Without such a pair it names the best model, or says that none is significantly better. A
difference is stated as a fact if its interval excludes zero. Two training seeds have no interval, so both values are
given.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shiftbench.base.refs import without_seed
from shiftbench.report.chapters import Chapter, ends
from shiftbench.report.leaderboard import FIFTEEN, IMAGENET_C, Column, Who
from shiftbench.report.measures import Entry, Measure
from shiftbench.report.titles import PLAIN

SENTENCES = 3
"""Pairs of models that a finding names."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference in the better direction: positive is a gain.

    Attributes:
        value, low, high: in the unit of the metric; the ends are None where there is no interval.
        seeds: the difference in each training seed, where both sides have the same seeds.
        raw: the difference of the values.
    """

    value: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...]
    raw: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero; without an interval, whether all seeds agree."""
        if self.low is not None and self.high is not None:
            return self.low > 0 or self.high < 0
        return len(self.seeds) > 1 and (min(self.seeds) > 0 or max(self.seeds) < 0)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models that differ in one thing.

    Attributes:
        base, treated: the models.
        what: title of what the treated one has, such as a trainer.
        subject: title of what both share, such as an architecture.
    """

    base: Who
    treated: Who
    what: str
    subject: str


@dataclass(frozen=True, slots=True)
class Card:
    """One number of the first screen: its title, value, what is known of its uncertainty, a name, and a link."""

    title: str
    value: str
    spread: str
    name: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of a benchmark.

    Attributes:
        short: the first sentence without its uncertainty.
        lead: the first sentence.
        rest: the other sentences.
        cards: the numbers in it.
    """

    short: str
    lead: str
    rest: str
    cards: tuple[Card, ...]

    @property
    def text(self) -> str:
        """All sentences."""
        return f"{self.lead} {self.rest}".strip()


def finding(chapter: Chapter) -> Finding | None:
    """The finding of a benchmark; None where nothing was evaluated under a shift or against OOD sets."""
    clean, shifted = chapter.clean, chapter.shifted
    if clean is None or shifted is None:
        detected = _detection(chapter)
        return Finding(detected, detected, "", tuple(_ood_cards(chapter))) if detected else None
    effects = [
        (pair, one, two) for pair in pairs(chapter) if (one := effect(shifted, pair)) and (two := effect(clean, pair))
    ]
    if effects:
        first = effects[0]
        short, lead = (_sentence(chapter, *first, sure=sure) for sure in (False, True))
        more = [
            _also(chapter, *one) if one[0].what == first[0].what else _sentence(chapter, *one)
            for one in effects[1:SENTENCES]
        ]
        cards = _pair_cards(chapter, *first)
    else:
        short = lead = _ranking(chapter, shifted)
        more, cards = [], []
    rest = " ".join([*more, _detection(chapter)]).strip()
    return Finding(short, lead, rest, (*cards, *_best_cards(chapter), *_ood_cards(chapter))[:5])


def pairs(chapter: Chapter) -> list[Pair]:
    """Pairs of models that differ in the trainer or the method alone, the largest gain under shift first.

    The base of the others is the trainer of the model by whose errors mCE divides, else the first that params.yaml
    names; the method `plain` is that of other methods.
    """
    shifted = chapter.shifted
    order = {name: at for at, name in enumerate(_trainers(chapter))}
    models = [(who, *_parts(who)) for who in chapter.places.who]
    compared: list[Pair] = []
    for who, prefix, architecture, trainer in models:
        same = [one for one in models if one[1:3] == (prefix, architecture) and one[0][1] == who[1]]
        base = min(same, key=lambda one: (order.get(one[3], len(order)), one[3]))
        if who[1] != PLAIN and (who[0], PLAIN) in chapter.places.who:
            compared.append(
                Pair((who[0], PLAIN), who, chapter.titles.of("methods", who[1]), chapter.models[who[0], PLAIN])
            )
        elif base[0] != who:
            what = chapter.titles.of("trainers", trainer)
            compared.append(Pair(base[0], who, what, chapter.titles.of("models", architecture)))
    compared = [pair for pair in compared if shifted and effect(shifted, pair)]
    return sorted(compared, key=lambda pair: -abs(_value(shifted, pair)))


def effect(column: Column, pair: Pair) -> Effect | None:
    """What the treated model of a pair gains in a column; None where a value is missing."""
    difference = next((one for one in column.differences if {one.a, one.b} == {pair.base, pair.treated}), None)
    if difference is None or difference.value is None:
        return None
    sign = (1 if difference.a == pair.treated else -1) * (-1 if column.measure.higher_is_better is False else 1)
    low = high = None
    if difference.low is not None and difference.high is not None:
        low, high = sorted((sign * difference.low, sign * difference.high))
    raw = difference.value if difference.a == pair.treated else -difference.value
    return Effect(sign * difference.value, low, high, tuple(_by_seed(column, pair)), raw)


def _by_seed(column: Column, pair: Pair) -> Iterator[float]:
    """The gain in each training seed that both sides have."""
    sign = -1 if column.measure.higher_is_better is False else 1
    sides = [
        {
            without_seed(model)[1]: entry.value
            for (model, method), entry in column.entries.items()
            if method == who[1] and without_seed(model)[0] == who[0] and without_seed(model)[1] is not None
        }
        for who in (pair.base, pair.treated)
    ]
    for seed in sorted(set(sides[0]) & set(sides[1]), key=str):
        one, two = sides[0][seed], sides[1][seed]
        if one is not None and two is not None:
            yield sign * (two - one)


def _value(column: Column | None, pair: Pair) -> float:
    one = effect(column, pair) if column else None
    return one.value if one else 0.0


def _parts(who: Who) -> tuple[str, str, str]:
    """Where a model was trained, its architecture and its trainer."""
    prefix, _, name = who[0].rpartition("/")
    architecture, _, trainer = name.partition("-")
    return prefix, architecture, trainer


def _trainers(chapter: Chapter) -> list[str]:
    """Trainers of the benchmark, the baseline's first."""
    normaliser = str((chapter.about.get("mce", {}).get("options") or {}).get("normaliser", ""))
    named = [str(trainer) for entry in chapter.params["models"] for trainer in entry.get("trainers") or ()]
    return list(dict.fromkeys([*([normaliser.partition("-")[2]] if "-" in normaliser else []), *named]))


# ---------------------------------------------------------------------------------------- sentences


def where(column: Column) -> str:
    """Under which shift a column's values are, in words."""
    shifts = {shift for _, _, shift, _ in column.cells}
    if column.group == FIFTEEN or shifts == IMAGENET_C:
        return "under the 15 corruptions of ImageNet-C"
    if column.group == "corruptions":
        return f"under {len(shifts)} shifts" if len(shifts) > 1 else "under shift"
    return f"on {len(shifts)} other domains" if len(shifts) > 1 else "on another domain"


def _sentence(chapter: Chapter, pair: Pair, shifted: Effect, clean: Effect, *, sure: bool = True) -> str:
    """What a pair's one difference does under shift and on clean data; with its uncertainty, if `sure`."""
    column, measure = chapter.shifted, _measure(chapter)
    assert column is not None  # noqa: S101 - for mypy: a pair has an effect in it
    what, place, subject = _capital(pair.what), where(column), f"the {pair.subject}"

    def amount(one: Effect) -> str:
        return f" ({_amount(measure, one)})" if sure else ""

    def spread(one: Effect) -> str:
        return _uncertain(measure, one) if sure else ""

    if not shifted.significant and not clean.significant:
        return (
            f"{what} changes the {measure.title} of {subject} significantly neither {place}{amount(shifted)} "
            f"nor on clean data{amount(clean)}."
        )
    if not shifted.significant:
        start = f"{what} does not change the {measure.title} of {subject} significantly {place}{amount(shifted)}"
    elif measure.name == "accuracy":
        more = "more" if shifted.value > 0 else "less"
        points = _points(measure, abs(shifted.value))
        start = f"{what} makes {subject} {points} {more} accurate {place}{spread(shifted)}"
    else:
        verb = "raises" if shifted.raw > 0 else "lowers"
        points = _points(measure, abs(shifted.value))
        start = f"{what} {verb} the {measure.title} of {subject} by {points} {place}{spread(shifted)}"
    if not clean.significant:
        return f"{start}, without a significant difference on clean data{amount(clean)}."
    verb = "costs" if clean.value < 0 else "gains"
    return f"{start} and {verb} {_points(measure, abs(clean.value))} on clean data{spread(clean)}."


def _also(chapter: Chapter, pair: Pair, shifted: Effect, clean: Effect) -> str:
    """The same change on another model, in short."""
    measure = _measure(chapter)

    def part(one: Effect, place: str) -> str:
        if not one.significant:
            return f"no significant difference {place} ({_amount(measure, one)})"
        verb = "gains" if one.value > 0 else "loses"
        return f"{verb} {_points(measure, abs(one.value))} {place}{_uncertain(measure, one)}"

    ends_of = [part(shifted, "there"), part(clean, "on clean data")]
    verb = "" if shifted.significant else "has "
    return f"The {pair.subject} {verb}{ends_of[0]} and {'' if clean.significant else 'has '}{ends_of[1]}."


def _ranking(chapter: Chapter, column: Column) -> str:
    """Which model is the best under shift, or what a single one loses."""
    measure, place = column.measure, where(column)
    values = {
        who: entry for who in chapter.places.who if (entry := column.entries.get(who)) and entry.value is not None
    }
    if not values:
        return f"No model has a value {place}."
    sign = -1 if measure.higher_is_better is False else 1
    order = sorted(values, key=lambda who: -sign * (values[who].value or 0.0))
    best = order[0]
    if len(order) == 1:
        clean = chapter.clean.entries[best] if chapter.clean else None
        assert clean is not None  # noqa: S101 - for mypy: a finding has a clean column
        return (
            f"{chapter.models[best]}: {measure.title} {_printed(measure, clean)} on clean data and "
            f"{_printed(measure, values[best])} {place}."
        )
    tied = [who for who in order if who in column.best or who in column.tied]
    low, high = (measure.text(values[who].value) for who in (order[-1], best))
    if len(tied) > 1:
        ends_of = (measure.text(values[tied[-1]].value), measure.text(values[tied[0]].value))
        lead = f"{len(tied)} of {len(order)}" if len(tied) < len(order) else f"{len(order)}"
        return (
            f"No significant difference {place} between {lead} models: {measure.title} "
            f"{ends_of[0]} to {ends_of[1]}{measure.symbol}."
        )
    second = order[1]
    gap = abs((values[best].value or 0.0) - (values[second].value or 0.0))
    if best in column.best:
        return (
            f"{chapter.models[best]} has the best {measure.title} {place}: {_printed(measure, values[best])}, "
            f"{_points(measure, gap)} from {chapter.models[second]}."
        )
    return (
        f"{_capital(measure.title)} {place} is {low} to {high}{measure.symbol}, the best value that of "
        f"{chapter.models[best]}. The number of training seeds gives no interval."
    )


@dataclass(frozen=True, slots=True)
class _Detection:
    """The highest AUROC (or what the first table of detection shows), and the models that do not differ from it."""

    measure: Measure
    who: Who
    entry: Entry
    detector: str
    tied: tuple[Who, ...] = ()


def _detection(chapter: Chapter) -> str:
    """The highest AUROC, where OOD sets were scored, and how many models tie with it."""
    best = _best_detection(chapter)
    if best is None:
        return ""
    measure, detector = best.measure, chapter.titles.of("detectors", best.detector)
    model = f" on {chapter.models[best.who]}" if len(chapter.names) > 1 else ""
    spread = measure.spread(best.entry)
    if spread and not spread.startswith("["):
        spread = f"({spread})"
    value = " ".join(part for part in (f"{measure.text(best.entry.value)}{measure.symbol}", spread) if part)
    others = [chapter.models[who] for who in best.tied if who != best.who]
    named = others[0] if len(others) == 1 else f"{len(others)} other models"
    tie = f" {detector} on {named} is not significantly worse." if others else ""
    extreme = "lowest" if measure.higher_is_better is False else "highest"
    return f"The {extreme} {measure.title} of an OOD detector is {value}, by {detector}{model}.{tie}"


def _best_detection(chapter: Chapter) -> _Detection | None:
    columns = [column for column in chapter.columns if column.detector and column.measure.name == "auroc"]
    found = [
        _Detection(column.measure, who, column.entries[who], str(column.detector), _tied(chapter, column))
        for column in columns
        for who in chapter.places.who
        if who in column.entries and column.entries[who].value is not None
    ]
    view = chapter.detection.views[0] if chapter.detection.views and not found else None
    if view is not None and view.columns and view.measure.higher_is_better is not None:
        entries = view.columns[0].entries
        found = [
            _Detection(view.measure, who[:2], entry, who[2])
            for who, entry in entries.items()
            if entry.value is not None
        ]
    if not found:
        return None
    sign = -1 if found[0].measure.higher_is_better is False else 1
    return max(found, key=lambda one: sign * (one.entry.value or 0.0))


def _tied(chapter: Chapter, column: Column) -> tuple[Who, ...]:
    """The best of a column and what does not differ from it significantly, in the order of their values."""
    sign = -1 if column.measure.higher_is_better is False else 1
    tied = [who for who in chapter.places.who if who in column.best or who in column.tied]
    return tuple(sorted(tied, key=lambda who: -sign * (column.entries[who].value or 0.0)))


# -------------------------------------------------------------------------------------------- cards


def _pair_cards(chapter: Chapter, pair: Pair, shifted: Effect, clean: Effect) -> list[Card]:
    measure = _measure(chapter)
    names = f"{chapter.models[pair.treated]} against {chapter.models[pair.base]}"
    link = chapter.anchor(pair.treated)
    verb = "Gain" if shifted.value >= 0 else "Loss"
    price = "Price" if clean.value < 0 else "Gain"
    return [
        Card(f"{verb} {_short(chapter)}", _signed(measure, shifted.value), _range(measure, shifted), names, link),
        Card(f"{price} on clean data", _signed(measure, clean.value), _range(measure, clean), names, link),
    ]


def _best_cards(chapter: Chapter) -> Iterator[Card]:
    for column, title in ((chapter.shifted, _short(chapter)), (chapter.clean, "on clean data")):
        if column is None or column.measure.higher_is_better is None:
            continue
        measure = column.measure
        values = {who: e for who in chapter.places.who if (e := column.entries.get(who)) and e.value is not None}
        if len(values) < 2:
            continue
        sign = 1 if measure.higher_is_better else -1
        order = sorted(values, key=lambda who: -sign * (values[who].value or 0.0))
        head = f"Best {measure.title} {title}{_arrow(measure)}"
        tied = _tied(chapter, column)
        if len(tied) > 1:
            yield Card(head, _between(measure, values, tied), _TIE.format(len(tied)), _names(chapter, tied))
            continue
        first, second = order[:2]
        margin = _points(measure, abs((values[first].value or 0.0) - (values[second].value or 0.0)))
        yield Card(
            head,
            f"{measure.text(values[first].value)}{measure.symbol}",
            measure.spread(values[first]),
            f"{chapter.models[first]}, {margin} from {chapter.models[second]}",
            chapter.anchor(first),
        )


def _ood_cards(chapter: Chapter) -> Iterator[Card]:
    best = _best_detection(chapter)
    if best is None:
        return
    measure, detector = best.measure, chapter.titles.of("detectors", best.detector)
    head, link = f"Best OOD detection, {measure.title}{_arrow(measure)}", f"#detection-{chapter.name}"
    if len(best.tied) > 1:
        column = next(one for one in chapter.columns if one.measure == measure and one.detector == best.detector)
        yield Card(head, _between(measure, column.entries, best.tied), _TIE.format(len(best.tied)), detector, link)
        return
    name = detector + (f", {chapter.models[best.who]}" if len(chapter.names) > 1 else "")
    yield Card(head, f"{measure.text(best.entry.value)}{measure.symbol}", measure.spread(best.entry), name, link)


_TIE = "no significant difference between {} models"


def _between(measure: Measure, entries: Mapping[Who, Entry], tied: Sequence[Who]) -> str:
    """The range of the values of models that tie."""
    low, high = sorted((entries[tied[-1]].value or 0.0, entries[tied[0]].value or 0.0))
    return f"{measure.text(low)}\N{EN DASH}{measure.text(high)}{measure.symbol}"


def _arrow(measure: Measure) -> str:
    """Which direction is better, on the line of the word before it."""
    return f"\N{NO-BREAK SPACE}{measure.arrow}" if measure.arrow else ""


def _names(chapter: Chapter, models: Sequence[Who]) -> str:
    return ends(chapter.models[who] for who in models) if len(models) <= SENTENCES else ""


# ------------------------------------------------------------------------------------------ numbers


def _measure(chapter: Chapter) -> Measure:
    assert chapter.shifted is not None  # noqa: S101 - for mypy: callers checked it
    return chapter.shifted.measure


def _short(chapter: Chapter) -> str:
    column = chapter.shifted
    if column is None or column.group == "domain shifts":
        return "on other domains"
    return "under corruption" if column.group == FIFTEEN else "under shift"


def _printed(measure: Measure, entry: Entry) -> str:
    return f"{measure.text(entry.value)}{measure.symbol}"


def _points(measure: Measure, value: float) -> str:
    """An amount without sign: percentage points of a share."""
    text = measure.text(value)
    return f"{text} {'point' if text == '1.0' else 'points'}" if measure.percent else text


def _signed(measure: Measure, value: float) -> str:
    return f"{measure.text(value, sign=True)}{' pp' if measure.percent else ''}"


def _range(measure: Measure, one: Effect) -> str:
    """The interval, with the seeds where there are some; of two seeds their values alone."""
    interval = measure.interval(one.low, one.high, sign=True) if one.low is not None else ""
    seeds = ", ".join(measure.text(value, sign=True) for value in one.seeds) if len(one.seeds) > 1 else ""
    return " \N{MIDDLE DOT} ".join(part for part in (interval, f"seeds {seeds}" if seeds else "") if part)


def _uncertain(measure: Measure, one: Effect) -> str:
    """What follows a stated difference: nothing where it has an interval, else both seeds."""
    if one.low is not None or len(one.seeds) < 2:
        return ""
    return f" ({ends(measure.text(abs(value)) for value in one.seeds)} in {_number(len(one.seeds))} seeds)"


def _amount(measure: Measure, one: Effect) -> str:
    spread = measure.interval(one.low, one.high, sign=True) if one.low is not None else ""
    if not spread and len(one.seeds) > 1:
        spread = f"seeds {ends(measure.text(value, sign=True) for value in one.seeds)}"
    return f"{_signed(measure, one.value)}{f', {spread}' if spread else ''}"


def _number(count: int) -> str:
    return {2: "two", 3: "three", 4: "four", 5: "five"}.get(count, str(count))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
