"""Measures: metrics with their titles, and their values as the report prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from shiftbench.base import registry
from shiftbench.plugins.metrics.severity import OF_BASELINE
from shiftbench.report.titles import spell
from shiftbench.statistics.interval_kind import interval_kind

DASH = "\N{EN DASH}"  # printed where a value is missing
_MINUS = "\N{MINUS SIGN}"
PERCENT = ("share", "probability", OF_BASELINE)
"""Units that are printed as percent: so is mCE in the paper that defines it (Hendrycks and Dietterich 2019)."""
_BORROWED = "that of the metric"  # unit of the metric that the option `of` names


def _plugin(name: str) -> dict[str, Any]:
    if name not in registry.names("metrics"):
        return {}
    module = registry.find("metrics", name)
    return {
        "unit": module.UNIT,
        "higher_is_better": module.HIGHER_IS_BETTER,
        "kind": interval_kind(module),
        "range": module.RANGE,
        "meaning": registry.about(module),
        "options": {key: value for key, value in registry.defaults(module).items() if value is not None},
        "title": registry.title(module) or "",
    }


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with its 95% interval and the samples behind it (of each position); None: not defined.

    Of a mean over training seeds the interval is of new seeds, too. A mean of two has none.

    Attributes:
        value, low, high, n: see above.
        seeds: number of training seeds that it averages; None: it is no mean.
        seed_low, seed_high: smallest and largest value of a seed.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    seeds: int | None = None
    seed_low: float | None = None
    seed_high: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Entry:
        """Read an entry off a metric row."""
        return cls(*(row[name] for name in ("value", "ci_low", "ci_high", "n", "seeds", "seed_low", "seed_high")))


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric as the report shows it.

    Attributes:
        name: as params.yaml names it.
        unit: `share`, `probability` and that of mCE are printed as percent.
        higher_is_better: None where it is not known.
        meaning: one sentence.
        options: its options in params.yaml.
        kind: of its intervals, see `interval_kind`.
        range: its smallest and largest possible value; None: without such a bound.
        stated: its title in params.yaml or in the metric's file, if any.
    """

    name: str
    unit: str = ""
    higher_is_better: bool | None = None
    meaning: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = "draws"
    range: tuple[float | None, float | None] = (None, None)
    stated: str = ""

    @classmethod
    def of(cls, name: str, about: Mapping[str, Mapping[str, Any]]) -> Measure:
        """Describe a metric from the recipe, else from the plugin of that name, else by its name alone."""
        facts = dict(about[name] if name in about else _plugin(name))
        measure = cls(name, stated=facts.pop("title", ""), **facts)
        if measure.unit != _BORROWED:
            return measure
        return replace(measure, unit=cls.of(str(measure.options.get("of")), about).unit)

    @property
    def title(self) -> str:
        """The name for use in sentences, in lower case unless it is an acronym."""
        return self.stated or spell(self.name)

    @property
    def percent(self) -> bool:
        """Whether values are printed as percent."""
        return self.unit in PERCENT

    @property
    def symbol(self) -> str:
        """The unit behind a number, or nothing."""
        return "%" if self.percent else ""

    @property
    def arrow(self) -> str:
        """Which direction is better."""
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]

    @property
    def direction(self) -> str:
        """Which direction is better, in words."""
        return {True: "higher is better", False: "lower is better", None: ""}[self.higher_is_better]

    def number(self, value: float | None) -> float | None:
        """Scale a value as it is printed: percent by 100; None where it is not defined."""
        if value is None or not isfinite(value):
            return None
        return value * 100 if self.percent else value

    def text(self, value: float | None, *, sign: bool = False) -> str:
        """Print a value: percent with one decimal, anything else with three; a dash where it is missing.

        Example:
            >>> Measure("accuracy", "share").text(0.9123), Measure("nll", "nat").text(0.25)
            ('91.2', '0.250')
        """
        scaled = self.number(value)
        if scaled is None:
            return DASH
        digits = 1 if self.percent else 3
        rounded = round(scaled, digits) + 0.0  # no -0.0
        return f"{rounded:{'+' if sign else ''}.{digits}f}".replace("-", _MINUS)

    def interval(self, low: float | None, high: float | None, *, sign: bool = False) -> str:
        """Print an interval in brackets, or nothing where there is none; one without width says why."""
        if self.number(low) is None or self.number(high) is None:
            return ""
        if low == high:
            return "the baseline" if self.unit == OF_BASELINE and low == 1 else "[no resample differs]"
        return f"[{self.text(low, sign=sign)}, {self.text(high, sign=sign)}]"

    def spread(self, entry: Entry) -> str:
        """Print the uncertainty of a value: its interval, or for a mean of two training seeds their values."""
        if entry.low is None and entry.seeds == 2 and self.number(entry.seed_low) is not None:
            low, high = (self.text(end) for end in (entry.seed_low, entry.seed_high))
            return f"{low} to {high}, two seeds"
        return self.interval(entry.low, entry.high)
