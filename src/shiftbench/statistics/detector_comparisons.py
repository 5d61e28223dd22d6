"""Paired comparisons between detectors: each against the best and against the baseline, corrected for their number.

A place is one (weights or mean over seeds, method, set or group, reference, metric). In each place the detectors are
compared on the same samples: intervals and p-values come from the difference of their replicates, and of a mean over
training seeds from that of each seed (`intervals.of_gap`). For the AUROC of single weights on a single set there is
DeLong's test, too.

Holm's step-down correction (Holm 1979) is over the comparisons of one place with one opponent: all with the best, or
all with the baseline. The best is the best on these samples, so that p-values against it are a little too small; what
is not significantly worse (corrected p >= 0.05) is not told apart from the best, not proved equal. With b draws no
p-value is below 2 / (b + 1), and none of m corrected ones below m times that: 1,000 draws serve 25 detectors at 0.05.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shiftbench.statistics import delong, scored_cells, seed_means
from shiftbench.statistics.benchmark_rows import BenchmarkRows, Metric
from shiftbench.statistics.delong import Components
from shiftbench.statistics.rows import Floats, Row
from shiftbench.statistics.scored_cells import Family, Who
from shiftbench.statistics.seed_means import IDENTITY, identity

_PLACE = tuple(name for name in IDENTITY if name != "detector")
Place = tuple[str | int | None, ...]


@dataclass(slots=True)
class _Scores:
    """DeLong's components of single weights on single sets; those of the last place are kept."""

    benchmark: BenchmarkRows
    families: dict[Who, Family]
    place: Place = ()
    kept: dict[str | None, Components | None] = field(default_factory=dict)

    def p_value(self, one: Row, two: Row) -> float:
        """Return DeLong's p-value; NaN where rows are means, of a pooled ID side, or of clusters."""
        if one.basis != two.basis:
            return math.nan
        sides = [self._components(row) for row in (one, two)]
        return math.nan if None in sides else delong.p_value(*sides)  # type: ignore[arg-type]

    def _components(self, row: Row) -> Components | None:
        place = row.model, row.method, row.dataset, row.split, row.reference, row.shift, row.step
        if place != self.place:
            self.place, self.kept = place, {}
        if row.detector not in self.kept:
            self.kept[row.detector] = self._read(row)
        return self.kept[row.detector]

    def _read(self, row: Row) -> Components | None:
        family = self.families.get((row.model, row.method, row.detector, row.split, row.step))
        if family is None or row.reference != family.clean.position:
            return None
        cells = [cell for cell in family.ood if (cell.dataset, cell.shift) == (row.dataset, row.shift)]
        if len(cells) != 1:
            return None
        id, ood = (scored_cells.read(self.benchmark, cell) for cell in (family.clean, cells[0]))
        independent = id.samples.unit == ood.samples.unit == "key"
        return delong.components(id.scores, ood.scores) if independent else None


def comparisons(benchmark: BenchmarkRows, rows: Sequence[Row], detectors: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield rows of COMPARISONS.

    Args:
        benchmark: its metrics of scores are compared.
        rows: all metric rows.
        detectors: in the benchmark's order, the baseline first; default: alphabetical.
    """
    metrics = {metric.name: metric for metric in (*benchmark.detection, *benchmark.failure)}
    order = {name: number for number, name in enumerate(detectors)}
    places: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.metric in metrics and row.detector is not None:
            places.setdefault(identity(row, _PLACE), []).append(row)
    scores = _Scores(benchmark, _families(benchmark))
    of_seeds = seed_means.families(rows)
    for members in places.values():
        members.sort(key=lambda row: (order.get(str(row.detector), len(order)), str(row.detector)))
        if len(members) > 1:
            metric = metrics[members[0].metric]
            for against, other in (("best", _best(members, metric)), ("baseline", members[0])):
                yield from _compared(scores, metric, members, other, against, of_seeds)


def _families(benchmark: BenchmarkRows) -> dict[Who, Family]:
    found = scored_cells.families(benchmark.cells)
    return {scored_cells.who(family.clean): family for family in found}


def _best(members: list[Row], metric: Metric) -> Row:
    """Return the row with the best value, the first of equals; the first where none is defined."""
    sign = 1 if metric.module.HIGHER_IS_BETTER else -1
    return max(members, key=lambda row: -math.inf if math.isnan(row.value) else sign * row.value)


def _compared(
    scores: _Scores,
    metric: Metric,
    members: list[Row],
    other: Row,
    against: str,
    of_seeds: Mapping[tuple[object, ...], list[Row]],
) -> Iterator[dict[str, object]]:
    rows = [row for row in members if row is not other]
    gaps = np.stack([row.all - other.all for row in rows])
    pairs = [(row, other) for row in rows]
    lows, highs, p_values = seed_means.compared(pairs, gaps, of_seeds)
    undefined = np.isnan(gaps[:, 0])
    p_values[undefined] = np.nan
    corrected = holm(p_values)
    tested = getattr(metric.module, "PAIRED_TEST", None) == "delong"
    for at, row in enumerate(rows):
        numbers = {
            "difference": gaps[at, 0],
            "ci_low": lows[at],
            "ci_high": highs[at],
            "p_value": p_values[at],
            "p_holm": corrected[at],
            "p_delong": scores.p_value(row, other) if tested else math.nan,
        }
        yield {
            **{name: getattr(row, name) for name in IDENTITY},
            "against": against,
            "other": other.detector,
            **{name: None if np.isnan(value) else float(value) for name, value in numbers.items()},
            "n": min(row.n, other.n),
        }


def holm(p_values: Floats) -> Floats:
    """Return p-values corrected by Holm's step-down method, float64 (m,); NaN stays, and is not counted.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure": the i-th smallest of m times
    m - i + 1, at least the one before it and 1 at most.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    corrected = p_values.copy()
    defined = np.flatnonzero(~np.isnan(p_values))
    order = defined[np.argsort(p_values[defined], kind="stable")]
    scaled = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return corrected
