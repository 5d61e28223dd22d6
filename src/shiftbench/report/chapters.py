"""One benchmark as a chapter of the report: its run, its leaderboard and its OOD detection."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import polars as pl

from shiftbench.base.refs import without_seed
from shiftbench.report import samples
from shiftbench.report.cells import Cell
from shiftbench.report.figures import Style
from shiftbench.report.leaderboard import FIFTEEN, Column, Places, Tables, Who, certain, columns
from shiftbench.report.links import slug
from shiftbench.report.measures import Measure
from shiftbench.report.ood import Detection
from shiftbench.report.searches import Search, proof, searches
from shiftbench.report.titles import CLEAN, NONE, Titles


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a leaderboard: the mean over training seeds, and each seed below it; `label`: its name in links."""

    who: Who
    label: str
    seeds: tuple[tuple[Who, str], ...]


@dataclass
class Chapter:
    """One benchmark: its run, and the parts of the report that show it.

    Attributes:
        name: of the benchmark.
        params: the benchmark's part of params.yaml.
        tables: those of the stage aggregate.
        about: facts of metrics by name.
        sampled: whether a page shows its samples.
        titles: of all names in the benchmark.
        places: the rows of `tables`, sorted.
        columns: of the leaderboard.
        detection: of OOD sets.
        labels: name of each model with its method, in links and ids: `convnet-erm + tent`.
        models: title of each model with its method: `ConvNet + TENT`.
        styles: how models are drawn, by label.
    """

    name: str
    params: Mapping[str, Any]
    tables: Tables
    about: Mapping[str, Mapping[str, Any]]
    sampled: bool = False
    titles: Titles = NONE
    places: Places = field(init=False)
    columns: list[Column] = field(init=False)
    detection: Detection = field(init=False)
    labels: dict[Who, str] = field(init=False)
    models: dict[Who, str] = field(init=False)
    styles: dict[str, Style] = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(self.tables, self.params["dataset"], self.params["split"])
        self.columns = columns(self.tables, self.places, self.about)
        self.detection = Detection(self.params, self.tables, self.places, self.about, self.titles)
        all_models = sorted({who for column in self.columns for who in column.entries} | set(self.places.who))
        self.labels = {who: self._label(*who) for who in all_models}
        self.models = self.titles.models(all_models, self.params["dataset"])
        self.styles = Style.of({self.labels[who]: self.models[who] for who in self.places.who})

    def _label(self, model: str, method: str) -> str:
        short = model.removeprefix(f"{self.params['dataset']}/")
        is_bare = self.params["methods"] == ["plain"] and method == "plain"  # models may name others
        return short if is_bare else f"{short} + {method}"

    @property
    def title(self) -> str:
        """Title of the benchmark."""
        return self.titles.of("benchmarks", self.name)

    @property
    def dataset(self) -> str:
        """Title of the benchmark's data set."""
        return self.titles.of("datasets", self.params["dataset"])

    @property
    def clean(self) -> Column | None:
        """The leading metric on the clean set."""
        return self._lead("clean")

    @property
    def shifted(self) -> Column | None:
        """The leading metric under shift: on ImageNet-C's corruptions, else on all shifts, else on other domains."""
        return self._lead(FIFTEEN) or self._lead("corruptions") or self._lead("domain shifts")

    def _lead(self, group: str) -> Column | None:
        lead = self.places.metrics[:1]
        return next((one for one in self.columns if one.group == group and one.measure.name in lead), None)

    def anchor(self, who: Who) -> str:
        """Link to a model's row of the leaderboard."""
        return f"#model-{self.name}-{slug(self.labels[who])}"

    def column_title(self, column: Column) -> str:
        """Title of a metric, with the detector's where there is one."""
        parts = [column.measure.title]
        return " ".join([*parts, self.titles.of("detectors", column.detector)] if column.detector else parts)

    # ------------------------------------------------------------------ what was run

    @property
    def draws(self) -> int:
        """Number of bootstrap resamples behind each interval."""
        longest = self.tables.replicates["draws"].list.len().max()
        return int(longest or 0)  # type: ignore[arg-type]

    @property
    def n(self) -> int:
        """Samples of the clean set."""
        return int(self.places.clean["n"].max() or 0)  # type: ignore[arg-type]

    @property
    def seeds(self) -> list[int]:
        """Training seeds of the models."""
        seeds: list[int] = self.tables.metrics["seed"].drop_nulls().unique().sort().to_list()
        return seeds

    @property
    def ood(self) -> str:
        """The OOD sets, with their groups where there are some."""
        titles = {
            group: ", ".join(self.titles.of("datasets", name) for name in sets)
            for group, sets in self.detection.groups.items()
        }
        return "; ".join(f"{group}: {sets}" if group else sets for group, sets in titles.items())

    @property
    def val_ood(self) -> list[str]:
        """The validation OOD sets; what follows a slash is the split."""
        sets = (name.partition("/") for name in self.params["val_ood"])
        return [self.titles.of("datasets", name) + slash + split for name, slash, split in sets]

    @property
    def shifts(self) -> list[str]:
        """Titles of the shifts."""
        return [self.titles.of("shifts", name) for name in self.params["shifts"]]

    @property
    def names(self) -> list[str]:
        """Titles of the compared models: means over seeds, and models without a seed."""
        return [self.models[who] for who in self.places.who]

    @property
    def rows(self) -> list[Row]:
        """The leaderboard's lines, the best under shift first."""
        children = self._children
        first = self.ranked_by
        worst = float("-inf")

        def rank(who: Who) -> tuple[float, Who]:
            value = first.entries[who].value if first and who in first.entries else None
            sign = -1 if first and first.measure.higher_is_better else 1
            return (-worst if value is None else sign * value), who

        return [
            Row(who, self.labels[who], tuple((child, self.labels[child]) for child in children.get(who, [])))
            for who in sorted(self.places.who, key=rank)
        ]

    @property
    def normaliser(self) -> str:
        """Title of the model by whose errors mCE divides."""
        name = str((self.about.get("mce", {}).get("options") or {}).get("normaliser", ""))
        return next(
            (self.models[who] for who, label in self.labels.items() if label == name), self.titles.of("models", name)
        )

    @property
    def ranked_by(self) -> Column | None:
        """The column by which the leaderboard is sorted at first."""
        return self.shifted or next(iter(self.columns), None)

    @property
    def families(self) -> dict[str, str]:
        """Model with a training seed -> name of the mean over its seeds."""
        return {seed[0]: who[0] for who, seeds in self._children.items() for seed in seeds}

    @property
    def searches(self) -> list[Search]:
        """Searches of detectors' options on validation OOD."""
        return searches(self.tables.searches, self.families)

    @property
    def proof(self) -> str:
        """Sentence on the samples that the sets of OOD detection share."""
        return proof(self.tables.overlaps)

    def behind(self, who: Who, cells: Iterable[Cell]) -> str:
        """Address of the samples behind a number: of its first seed, on the first of its sets."""
        model = next(iter(self._children.get(who, [])), who)
        conditions = [cell for cell in cells if cell[2] is not None] or self._levels
        if not self.sampled or not conditions:
            return ""
        return samples.link(self.name, self.labels[model], conditions[0])

    @functools.cached_property
    def _levels(self) -> list[Cell]:
        """Conditions of metrics of whole curves."""
        place = ("dataset", "split", "shift", "severity")
        levels = self.places.levels.select(place).unique().sort(place)
        return list(levels.iter_rows())

    @functools.cached_property
    def _children(self) -> dict[Who, list[Who]]:
        seeded = self.tables.metrics.filter(pl.col("seed").is_not_null()).select("model", "method", "seed").unique()
        children: dict[Who, list[Who]] = {}
        for model, method, _ in sorted(seeded.iter_rows(), key=lambda row: row[2]):
            if (model, method) in self.labels:
                children.setdefault((without_seed(model)[0], method), []).append((model, method))
        return children

    @property
    def measures(self) -> list[Measure]:
        """Metrics of single conditions, the leading one first."""
        return [Measure.of(name, self.about) for name in self.places.metrics]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns, with how many columns each spans."""
        return _spans(self.columns)

    @property
    def ranks(self) -> dict[str, int]:
        """Which columns to keep where there is no room for all: 0 the longest."""
        ordered = sorted(self.columns, key=lambda column: (column is not self.ranked_by, not column.leads))
        return {column.key: rank for rank, column in enumerate(ordered)}

    @property
    def means(self) -> list[tuple[str, str]]:
        """Sets that columns of means average, by group, in words."""
        columns = {column.group: column for column in self.columns if column.positions > 1}
        texts = [(group, _over(column.cells, self.titles)) for group, column in columns.items()]
        return [(group, over.partition(":")[0] if group == FIFTEEN else over) for group, over in texts]

    @property
    def uncertain(self) -> list[str]:
        """Models that give classes without probabilities, so that their calibration is not defined."""
        return [self.models[who] for who in self.places.who if who in certain(self.tables)]


def _over(cells: Sequence[Cell], titles: Titles) -> str:
    """Sets that a mean averages, in words; with the severities that each shift has."""
    levels = sorted({severity for *_, severity in cells if severity is not None})
    shifts = list(dict.fromkeys(shift for _, _, shift, _ in cells if shift is not None))
    if not levels or shifts == [CLEAN]:
        names = [
            titles.of("datasets", dataset) if shift == CLEAN else titles.of("shifts", str(shift))
            for dataset, _, shift, _ in cells
        ]
        return ends(dict.fromkeys(names))
    severities = f"at severities {ends(f'{level:g}' for level in levels)}, {len(cells)} sets"
    return f"{len(shifts)} shifts {severities}: {', '.join(titles.of('shifts', name) for name in shifts)}"


def _spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    return [(name, len(list(members))) for name, members in groupby(columns, key=lambda column: column.group)]


def ends(names: Iterable[object]) -> str:
    """Join names or numbers as in a sentence.

    Example:
        >>> ends(["a", "b", "c"])
        'a, b and c'
    """
    *most, last = [str(name) for name in names] or [""]
    return f"{', '.join(most)} and {last}" if most else last
