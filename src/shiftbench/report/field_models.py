"""Models of a release under ImageNet's shifts: lines, effective robustness, findings, and the rows of the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.report.field_text import DATASETS, Ends, difference, interval, listed
from shiftbench.statistics import size_effect, standing
from shiftbench.statistics.effective_robustness import Line, Pairs, architecture, ends, group_mean
from shiftbench.statistics.rows import Floats

CLEAN = "imagenet"
REFERENCE = "ImageNet-1k"
"""Pretraining of the models to which lines are fitted."""
_NAMED = 2  # models named above and below a line
_FEWEST = 5  # models of a kind of pretraining for a mean


@dataclass(frozen=True, slots=True)
class Shift:
    """Models on one shifted data set.

    Attributes:
        name: of the data set.
        pairs: accuracies of the models that were evaluated on both sets.
        line: of the models of the reference.
        residuals: effective robustness of each model with its ends, in shares, float64 (models, 3).
        groups: kind of pretraining -> number of models, mean effective robustness with ends.
        tau: Kendall's tau with the order on the clean set.
        doubling: change of accuracy with twice the parameters, in shares; None: sizes are not known.
    """

    name: str
    pairs: Pairs
    line: Line
    residuals: Floats
    groups: dict[str, tuple[int, Ends]]
    tau: Ends
    doubling: Ends | None

    @property
    def title(self) -> str:
        """The data set's name for readers."""
        return DATASETS[self.name]

    @property
    def slope(self) -> str:
        """Slope of the line on logit axes, with its interval."""
        return interval(ends(self.line.slope))

    @property
    def order(self) -> str:
        """Kendall's tau, with its interval."""
        return interval(self.tau)

    @property
    def size(self) -> str:
        """What a doubling of the parameters goes with, in percentage points; empty where sizes are not known."""
        return difference(self.doubling, 2) if self.doubling else ""

    def group(self, kind: str) -> str:
        """Mean effective robustness of a kind of pretraining; empty where too few models are of it."""
        return difference(self.groups[kind][1]) if kind in self.groups else ""

    def extremes(self) -> tuple[list[int], list[int]]:
        """Places of the models farthest above the line, and below it; one of each architecture."""
        order = np.argsort(-self.residuals[:, 0], kind="stable")
        return self._first(order), self._first(order[::-1])

    def _first(self, order: NDArray[np.int64]) -> list[int]:
        found: dict[str, int] = {}
        for at in order:
            found.setdefault(architecture(self.pairs.models[at]), int(at))
            if len(found) == _NAMED:
                break
        return list(found.values())


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a release, best first on the clean set.

    Attributes:
        release: its name.
        table: a row per model: `model`, `pretraining`, `parameters` (millions), `image_size`, and for each data set
            the `value` (share), `printed`, `file`, `row`, `column`, as struct columns by its name.
        shifts: those on which a line could be fitted.
        kinds: kinds of pretraining, the most frequent first.
    """

    release: str
    table: pl.DataFrame
    shifts: tuple[Shift, ...]
    kinds: tuple[str, ...]

    @property
    def datasets(self) -> list[str]:
        """The clean set, then the shifted ones."""
        return [CLEAN, *(shift.name for shift in self.shifts)]

    @property
    def architectures(self) -> int:
        """Number of architectures."""
        return len({architecture(model) for model in self.table["model"]})

    @property
    def weights(self) -> int:
        """Number of models, whatever the image size."""
        return len({model.partition("@")[0] for model in self.table["model"]})

    def residuals(self) -> dict[str, dict[str, Floats]]:
        """Effective robustness with its ends, by shift and model."""
        return {shift.name: dict(zip(shift.pairs.models, shift.residuals, strict=True)) for shift in self.shifts}

    @classmethod
    def of(cls, release: str, rows: pl.DataFrame, seed: int = 0) -> Models | None:
        """The models of a release; None where it does not have the pretraining of models, or too few models.

        Args:
            release: its name.
            rows: its numbers, in the columns of RELEASED.
            seed: of the bootstrap.
        """
        plain = rows.filter(metric="accuracy", shift="identity").filter(pl.col("dataset").is_in(list(DATASETS)))
        clean = plain.filter(dataset=CLEAN)
        if clean.filter(pretraining=REFERENCE).is_empty():
            return None
        kinds = clean["pretraining"].drop_nulls().value_counts(sort=True).sort("count", "pretraining", descending=True)
        shifts = tuple(filter(None, (_shift(plain, clean, name, seed) for name in list(DATASETS)[1:])))
        if not shifts:
            return None
        facts = clean.select("model", "pretraining", "parameters", "image_size")
        cells = pl.struct("value", "printed", "file", "row", "column")
        for name in (CLEAN, *(shift.name for shift in shifts)):
            own = plain.filter(dataset=name).select("model", cells.alias(name))
            facts = facts.join(own, on="model", how="left")
        order = pl.col(CLEAN).struct.field("value")
        return cls(release, facts.sort(order, "model", descending=[True, False]), shifts, tuple(kinds["pretraining"]))


def _shift(plain: pl.DataFrame, clean: pl.DataFrame, name: str, seed: int) -> Shift | None:
    try:
        pairs = Pairs.of(plain, CLEAN, name, seed)
    except DataError:  # too few models
        return None
    facts = pl.DataFrame({"model": pairs.models}).join(clean, on="model", how="left", maintain_order="left")
    kinds = facts["pretraining"].fill_null("").to_numpy()
    line = pairs.line(kinds == REFERENCE)
    groups = {
        kind: (int((kinds == kind).sum()), group_mean(pairs, line, kinds == kind))
        for kind in sorted(set(kinds) - {"", REFERENCE})
        if (kinds == kind).sum() >= _FEWEST
    }
    sizes = facts["parameters"].cast(pl.Float64).to_numpy()
    known = np.isfinite(sizes).sum() > len(sizes) / 2
    return Shift(
        name,
        pairs,
        line,
        standing.residuals(plain, pairs, line, CLEAN, name, seed),
        groups,
        ends(pairs.kendall()),
        ends(size_effect.doubling(pairs, sizes, list(kinds))) if known else None,
    )


def family(model: str) -> str:
    """The family in the name of timm's weights: its letters, and a version.

    Example:
        >>> family("resnetv2_50x3_bit.goog_in21k@448"), family("tf_efficientnet_b0.in1k@224"), family("eva02_large@448")
        ('resnetv2', 'efficientnet', 'eva')
    """
    match = re.match(r"(?:tf_|legacy_)?([a-z]+?(?:v\d+)?)(?=[\d_.@]|$)", model.lower())
    return match[1] if match else architecture(model)


# ---------------------------------------------------------------------------------------- findings


def findings(models: Models) -> Iterator[tuple[str, str]]:
    """Subject and sentences of each finding."""
    for shift in models.shifts:
        yield from _of_pretraining(shift)
    yield "Order of models", _of_order(models)
    if sized := [shift for shift in models.shifts if shift.doubling]:
        yield "Size", _of_size(sized)
    for shift in models.shifts:
        yield f"Farthest from the line on {shift.title}", _of_extremes(shift)


def _of_pretraining(shift: Shift) -> Iterator[tuple[str, str]]:
    def chosen(passes: Callable[[Ends], bool]) -> list[str]:
        found = sorted(shift.groups.items(), key=lambda item: -item[1][1][0])
        return [f"{kind} {difference(mean)} ({count} results)" for kind, (count, mean) in found if passes(mean)]

    above, below = chosen(lambda mean: mean[1] > 0), chosen(lambda mean: mean[2] < 0)
    like = chosen(lambda mean: mean[1] <= 0 <= mean[2])
    texts = []
    if above:
        texts.append(f"Above models of {REFERENCE} alone at equal ImageNet accuracy: {listed(above)}.")
    if below:
        texts.append(f"Below: {listed(below)}.")
    if like:
        texts.append(f"No significant difference: {listed(like)}.")
    if texts:
        yield f"Pretraining, {shift.title}", " ".join(texts)


def _of_order(models: Models) -> str:
    taus = [f"{shift.order} on {shift.title}" for shift in sorted(models.shifts, key=lambda shift: -shift.tau[0])]
    return f"Kendall's tau between the rank on ImageNet and the rank under a shift is {listed(taus)}."


def _of_size(shifts: Sequence[Shift]) -> str:
    texts = [f"{shift.size} on {shift.title}" for shift in shifts]
    return (
        "At equal ImageNet accuracy and equal pretraining, twice the parameters go with a change of "
        f"{listed(texts)}. This is an association among released models, not an effect of training a larger one."
    )


def _of_extremes(shift: Shift) -> str:
    sides = []
    for side, places in zip(("Above", "Below"), shift.extremes(), strict=True):
        named = [f"{shift.pairs.models[at]} {difference(shift.residuals[at])}" for at in places]
        sides.append(f"{side}: {'; '.join(named)}.")
    return " ".join(sides)
