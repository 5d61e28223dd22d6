"""Released accuracies by corruption and severity: means over models, models by mCE, and where two sources differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtr

from shiftbench.report.field_text import Ends, percent, points
from shiftbench.report.figures import COLOURS, Figure
from shiftbench.report.leaderboard import GROUPS
from shiftbench.report.titles import from_name, spell
from shiftbench.statistics import bootstrap
from shiftbench.statistics.detector_comparisons import holm

FIFTEEN = tuple(name for names in GROUPS.values() for name in names)
"""The corruptions of ImageNet-C of which mCE is the mean."""
BASELINE = "alexnet"
SAME = {  # models of the testbed, and their names in RobustBench
    "alexnet": "AlexNet",
    "resnet50": "Standard_R50",
    "resnet50_augmix": "Hendrycks2020AugMix",
    "resnet50_deepaugment": "Hendrycks2020Many",
    "resnet50_trained_on_SIN": "Geirhos2018_SIN",
    "resnet50_trained_on_SIN_and_IN": "Geirhos2018_SIN_IN",
    "resnet50_trained_on_SIN_and_IN_then_finetuned_on_IN": "Geirhos2018_SIN_IN_IN",
}
_ATTACKS = {"autoattack_linf": "Linf", "autoattack_l2": "L2"}
_MEAN = "common_corruptions"


@dataclass(frozen=True, slots=True)
class Model:
    """A model on the fifteen corruptions; shares.

    Attributes:
        name: of the model.
        clean: accuracy on the clean set; None: not released.
        mean: accuracy, mean over the fifteen corruptions at five severities.
        mce: mean corruption error relative to AlexNet's of the same release; None: without AlexNet.
        at: file and row of the first of its cells.
    """

    name: str
    clean: float | None
    mean: float
    mce: float | None
    at: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Corrupted:
    """The models of a release on the corruptions of one data set.

    Attributes:
        release: its name.
        dataset: the clean data set.
        count: models with all cells.
        severities: in order.
        rows: corruption, its title, whether mCE averages it, mean accuracy over the models by severity.
        models: best first; those with all of the fifteen corruptions.
    """

    release: str
    dataset: str
    count: int
    severities: tuple[float, ...]
    rows: tuple[tuple[str, str, bool, tuple[float, ...]], ...]
    models: tuple[Model, ...]

    @property
    def title(self) -> str:
        """The corrupted data set's name."""
        return f"{spell(self.dataset)}-C"

    def heat(self, share: float) -> float:
        """Error between the extremes of the table, 0 to 1."""
        values = [value for *_, means in self.rows for value in means]
        return round((max(values) - share) / (max(values) - min(values) or 1.0), 2)

    @property
    def ends(self) -> tuple[str, str]:
        """The easiest and the hardest corruption of those of mCE, with the mean accuracy over severities."""
        means = sorted((float(np.mean(values)), title) for _, title, counts, values in self.rows if counts)
        return tuple(f"{title} ({percent(mean)}%)" for mean, title in (means[-1], means[0]))  # type: ignore[return-value]


def corrupted(release: str, rows: pl.DataFrame) -> list[Corrupted]:
    """Tables of a release, one for each data set with corruptions at several severities.

    Args:
        release: its name.
        rows: its numbers, in the columns of RELEASED.
    """
    return [found for dataset in sorted(rows["dataset"].unique()) if (found := _of(release, rows, dataset))]


def _cells(rows: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """Accuracies by corruption and severity; of no attack, and of no mean over corruptions."""
    own = rows.filter(pl.col("severity") >= 1, dataset=dataset, metric="accuracy")
    levels = pl.col("severity").n_unique().over("shift")
    return own.filter(pl.col("shift") != "identity", levels == 5)


def _of(release: str, rows: pl.DataFrame, dataset: str) -> Corrupted | None:
    cells = _cells(rows, dataset)
    if cells.is_empty():
        return None
    common = cells.filter(pl.col("model").count().over("shift", "severity") >= cells["model"].n_unique() / 2)
    table = common.pivot(on=["shift", "severity"], index="model", values="value").drop_nulls()
    means = (
        common.filter(pl.col("model").is_in(table["model"].implode()))
        .group_by("shift", "severity")
        .agg(pl.col("value").mean())
    )
    by_place = {(shift, severity): value for shift, severity, value in means.iter_rows()}
    severities = tuple(sorted(set(means["severity"])))
    shifts = [name for name in FIFTEEN if (name, severities[0]) in by_place]
    shifts += sorted({shift for shift, _ in by_place} - set(FIFTEEN))
    found = tuple(
        (s, from_name("shifts", s), s in FIFTEEN, tuple(by_place[s, severity] for severity in severities))
        for s in shifts
    )
    return Corrupted(release, dataset, len(table), severities, found, tuple(_models(rows, cells, dataset)))


def _models(rows: pl.DataFrame, cells: pl.DataFrame, dataset: str) -> Iterator[Model]:
    fifteen = cells.filter(pl.col("shift").is_in(FIFTEEN))
    own = fifteen.group_by("model").agg(pl.len(), pl.col("value").mean(), pl.col("file").first(), pl.col("row").first())
    clean = dict(rows.filter(dataset=dataset, shift="identity", metric="accuracy").select("model", "value").iter_rows())
    errors = _errors(fifteen)
    base = next((errors[name] for name in sorted(errors) if name.lower().endswith(BASELINE)), None)
    complete = own.filter(pl.col("len") == 5 * len(FIFTEEN)).sort("value", "model", descending=[True, False])
    for name, _, mean, file, row in complete.iter_rows():
        mce = None if base is None else _mce(errors[name], base)
        yield Model(name, clean.get(name), mean, mce, (file, row))


def _errors(cells: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Error of each model under each corruption, the sum over severities."""
    found: dict[str, dict[str, float]] = {}
    for model, shift, value in cells.group_by("model", "shift").agg((1 - pl.col("value")).sum()).iter_rows():
        found.setdefault(model, {})[shift] = value
    return found


def _mce(errors: dict[str, float], base: dict[str, float]) -> float:
    return float(np.mean([errors[shift] / base[shift] for shift in FIFTEEN]))


# ------------------------------------------------------------------------------------- two sources


@dataclass(frozen=True, slots=True)
class Twice:
    """One model in two releases; shares.

    Attributes:
        name, other: its names.
        clean, mean, mce: accuracy on clean data, mean accuracy and mCE in both, with each release's own AlexNet.
        mce_shared: mCE in the second with the AlexNet of the first.
        apart: number of the cells that differ by more than the images of the smaller set explain.
        cells: number of cells that both have.
        largest: where they differ most, and by how much.
    """

    name: str
    other: str
    clean: tuple[float, float]
    mean: tuple[float, float]
    mce: tuple[float, float]
    mce_shared: float
    apart: int
    cells: int
    largest: str


def twice(one: pl.DataFrame, two: pl.DataFrame) -> list[Twice]:
    """Models of ImageNet-C that two releases have, by the names in `SAME`.

    Args:
        one: numbers of the testbed, in the columns of RELEASED.
        two: numbers of RobustBench.
    """
    sides = [rows.filter(dataset="imagenet", metric="accuracy") for rows in (one, two)]
    cells = [_cells(rows, "imagenet").filter(pl.col("shift").is_in(FIFTEEN)) for rows in sides]
    short = pl.col("model").str.split("/").list.last()
    sides[1], cells[1] = (frame.with_columns(model=short) for frame in (sides[1], cells[1]))
    errors = [_errors(frame) for frame in cells]
    if BASELINE not in errors[0] or SAME[BASELINE] not in errors[1]:
        return []
    found = []
    for name, other in SAME.items():
        own = cells[0].filter(model=name).join(cells[1].filter(model=other), on=["shift", "severity"], suffix="_two")
        if len(own) == 5 * len(FIFTEEN):
            clean = [
                frame.filter(shift="identity", model=who)["value"]
                for frame, who in zip(sides, (name, other), strict=True)
            ]
            found.append(_both(own.sort("shift", "severity"), (name, other), errors, [float(c[0]) for c in clean]))
    return found


def _both(own: pl.DataFrame, names: tuple[str, str], errors: Sequence[Any], clean: Sequence[float]) -> Twice:
    values, others = own["value"].to_numpy(), own["value_two"].to_numpy()
    smaller, larger = (
        own.select(pl.min_horizontal("n", "n_two")).to_series(),
        own.select(pl.max_horizontal("n", "n_two")).to_series(),
    )
    part = np.sqrt(values * (1 - values) * (1 / smaller.to_numpy() - 1 / larger.to_numpy()))  # a part of the images
    with np.errstate(divide="ignore", invalid="ignore"):  # accuracies of 0 and 1
        p_values = holm(2 * ndtr(-np.abs(others - values) / part))
    most = int(np.argmax(np.abs(others - values)))
    place = own.row(most, named=True)
    bases = errors[0][BASELINE], errors[1][SAME[BASELINE]]
    return Twice(
        *names,
        (clean[0], clean[1]),
        (float(values.mean()), float(others.mean())),
        (_mce(errors[0][names[0]], bases[0]), _mce(errors[1][names[1]], bases[1])),
        _mce(errors[1][names[1]], bases[0]),
        int((p_values < bootstrap.ERROR).sum()),
        len(own),
        f"{spell(place['shift'])}, severity {place['severity']:g}: {points(others[most] - values[most])} pp",
    )


# --------------------------------------------------------------------------- attacks and corruptions


@dataclass(frozen=True, slots=True)
class Attacked:
    """A model under attacks and corruptions; shares with their 95% intervals where these can be had.

    Attributes:
        dataset, norm: of the attack.
        names: in both folders.
        adversarial: accuracy under AutoAttack.
        corrupted: mean accuracy under corruptions.
        clean: accuracies on the clean set in both folders.
        places: file and row of both numbers.
    """

    dataset: str
    norm: str
    names: tuple[str, str]
    adversarial: Ends
    corrupted: float
    clean: tuple[float, float]
    places: tuple[tuple[str, int], tuple[str, int]]


def attacked(rows: pl.DataFrame) -> list[Attacked]:
    """Models of RobustBench with both numbers: by their names, which may end in the norm, and clean accuracies.

    Args:
        rows: its numbers, in the columns of RELEASED.
    """
    attacks = {
        (row["dataset"], _ATTACKS[row["shift"]], row["model"].rpartition("/")[2]): row
        for row in rows.filter(pl.col("shift").is_in(list(_ATTACKS))).iter_rows(named=True)
    }
    clean = dict(rows.filter(shift="identity", metric="accuracy").select("model", "value").iter_rows())
    found = []
    for row in rows.filter(shift=_MEAN, metric="accuracy").iter_rows(named=True):
        name = row["model"].rpartition("/")[2]
        for norm in _ATTACKS.values():
            other = attacks.get((row["dataset"], norm, name.removesuffix(f"_{norm}")))
            if other and (
                name.endswith(f"_{norm}") or not name.endswith(tuple(f"_{one}" for one in _ATTACKS.values()))
            ):
                ends = other["value"], other["ci_low"], other["ci_high"]
                both = clean[other["model"]], clean[row["model"]]
                at = (other["file"], other["row"]), (row["file"], row["row"])
                found.append(
                    Attacked(row["dataset"], norm, (other["model"], row["model"]), ends, row["value"], both, at)
                )
    return sorted(found, key=lambda one: (one.dataset, one.norm, -one.adversarial[0], one.names))


def against(models: Iterable[Attacked]) -> Figure:
    """Accuracy under corruptions over accuracy under AutoAttack; a series for each data set and norm."""
    groups: dict[str, list[Attacked]] = {}
    for model in models:
        groups.setdefault(f"{spell(model.dataset)}, {model.norm}", []).append(model)
    symbols = ("circle", "triangle-up", "square", "diamond", "triangle-down", "star")
    return {
        "title": "",
        "width": 640.0,
        "height": 420.0,
        "x": {"title": "accuracy under AutoAttack, %", "digits": 1},
        "y": {"title": "mean accuracy under corruptions, %", "digits": 1},
        "series": [
            {
                "kind": "points",
                "key": name,
                "name": name,
                "names": [one.names[0].rpartition("/")[2] for one in own],
                "x": [round(100 * one.adversarial[0], 2) for one in own],
                "y": [round(100 * one.corrupted, 2) for one in own],
                "x_ends": [[round(100 * one.adversarial[side], 2) for one in own] for side in (1, 2)],
                "colour": COLOURS[at % 8],
                "symbol": symbols[at % 6],
            }
            for at, (name, own) in enumerate(groups.items())
        ],
    }
