"""OOD detection on OpenOOD's boards: ranks, noise over trainings, agreement, and cells that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit, logit

from shiftbench.base.errors import DataError
from shiftbench.report.field_text import Ends, interval, percent, points
from shiftbench.report.titles import spell
from shiftbench.statistics import bootstrap, odd_cells, rank_agreement, released_rows, seed_noise
from shiftbench.statistics.effective_robustness import ends
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.seed_noise import SeedNoise

SETS = ("near", "far")
FULL = "full_spectrum"
_RESAMPLES = 1000
_FEWEST = 10  # methods of a benchmark


@dataclass(frozen=True, slots=True)
class Cell:
    """A method's AUROC on one group of OOD sets.

    Attributes:
        value: share.
        ends: of its 95% interval over trainings; None: no spread was printed.
        rank: 1 for the best, and its ends; equal values share a rank.
        file, row, column, printed: where it was copied from.
    """

    value: float
    ends: tuple[float, float] | None
    rank: Ends
    file: str
    row: int
    column: str
    printed: str

    @property
    def ranks(self) -> str:
        """The rank with its interval, if its spread is known."""
        rank, low, high = (f"{end:g}" for end in self.rank)
        return f"rank {rank} [{low}, {high}]" if self.ends else f"rank {rank}"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One ID set with the near or the far OOD sets.

    Attributes:
        reference: ID set, as METRICS names it.
        group: `near` or `far`.
        main: architecture of most methods.
        cells: by method and architecture.
        noise: differences between its methods.
        names: methods, in the order that `noise.order` counts.
    """

    reference: str
    group: str
    main: str
    cells: dict[tuple[str, str], Cell]
    noise: SeedNoise
    names: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        """Title of the ID set."""
        dataset, _, rest = self.reference.partition("/")
        title = {"imagenet200": "ImageNet-200", "imagenet": "ImageNet-1K"}.get(dataset) or spell(dataset)
        return f"{title}, full spectrum" if FULL in rest else title

    @property
    def title(self) -> str:
        """Title of the column."""
        return f"{self.id}, {self.group}"


@dataclass(frozen=True, slots=True)
class Odd:
    """A cell that does not fit its method and its benchmark.

    Attributes:
        method, benchmark: its place.
        cell: what is printed.
        expected: share by the effects of the method and the benchmark.
        deviations: robust standard deviations, on logits.
        near_above_far: methods of this ID set and architecture with both numbers, and how many have the near one above.
    """

    method: str
    benchmark: Benchmark
    cell: Cell
    expected: float
    deviations: float
    near_above_far: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Detection:
    """All boards of a release.

    Attributes:
        release: its name.
        benchmarks: ID sets with near and far.
        methods: method and architecture; most numbers first.
        agreement: group -> mean Kendall's tau over pairs of ID sets with ends, and the number of pairs.
        near_far: mean tau between near and far over the ID sets, and their number; None: too few methods.
        odd: cells that do not fit.
        limit: deviations that a clean table passes in 5% of cases.
        compared: cells that were compared.
        on_shares: number of cells that do not fit by the same rule on AUROC instead of its logits.
    """

    release: str
    benchmarks: tuple[Benchmark, ...]
    methods: tuple[tuple[str, str], ...]
    agreement: dict[str, tuple[Ends, int]]
    near_far: tuple[Ends, int] | None
    odd: tuple[Odd, ...]
    limit: float | None
    compared: int
    on_shares: int

    @property
    def detectors(self) -> int:
        """Number of methods, whatever the architecture."""
        return len({method for method, _ in self.methods})


def of(release: str, rows: pl.DataFrame, seed: int = 0) -> Detection | None:
    """The boards of a release; None where it has no AUROC by near and far.

    Args:
        release: its name.
        rows: its numbers, in the columns of RELEASED.
        seed: of the bootstrap and the drawn tables.
    """
    own = rows.filter(pl.col("dataset").is_in(SETS), pl.col("reference").is_not_null(), metric="auroc")
    own = own.with_columns(who=pl.concat_str("method", "detector", separator=" + "))
    benchmarks = tuple(
        _benchmark(reference, group, part, seed)
        for reference in sorted(own["reference"].unique(), key=_order)
        for group in SETS
        if len(part := own.filter(reference=reference, dataset=group)) >= _FEWEST
    )
    if not benchmarks:
        return None
    counts: dict[tuple[str, str], int] = {}
    for benchmark in benchmarks:
        for who in benchmark.cells:
            counts[who] = counts.get(who, 0) + 1
    names, table = _table(benchmarks)
    odd, limit, on_shares = _odd(benchmarks, names, table, seed)
    agreement = {}
    for group in SETS:
        columns = [at for at, one in enumerate(benchmarks) if one.group == group and FULL not in one.reference]
        if found := _agreement(table[:, columns], names, seed):
            agreement[group] = found
    return Detection(
        release,
        benchmarks,
        tuple(sorted(counts, key=lambda who: (-counts[who], who))),
        agreement,
        _near_far(benchmarks, table, names, seed),
        odd,
        limit,
        int((np.isfinite(table) & (np.isfinite(table).sum(axis=1) > 1)[:, None]).sum()),
        on_shares,
    )


def _order(reference: str) -> tuple[bool, int, str]:
    sizes = ["cifar10/", "cifar100/", "imagenet200/", "imagenet/"]
    return FULL in reference, next((at for at, name in enumerate(sizes) if reference.startswith(name)), 9), reference


def _benchmark(reference: str, group: str, rows: pl.DataFrame, seed: int) -> Benchmark:
    rows = rows.sort("who", "model", "row").unique(["who", "model"], keep="first", maintain_order=True)
    seeds = rows["seeds"].fill_null(0).cast(pl.Float64).to_numpy()
    deviations = rows["spread"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    values = rows["value"].to_numpy()
    ranks = rank_agreement.ranks(released_rows.draws(rows.with_columns(n=pl.lit(None, pl.Int64)), _RESAMPLES, seed))
    low = np.quantile(ranks[:, 1:], bootstrap.ERROR / 2, axis=1, method="lower")
    high = np.quantile(ranks[:, 1:], 1 - bootstrap.ERROR / 2, axis=1, method="higher")
    cells, names = {}, []
    for at, row in enumerate(rows.iter_rows(named=True)):
        names.append((row["who"], row["model"]))
        found = None if row["ci_low"] is None else (row["ci_low"], row["ci_high"])
        rank = float(ranks[at, 0]), float(low[at]), float(high[at])
        cells[names[-1]] = Cell(
            row["value"], found, rank, *(row[name] for name in ("file", "row", "column", "printed"))
        )
    main = rows["model"].value_counts().sort("count", "model", descending=[True, False])["model"][0]
    return Benchmark(reference, group, main, cells, seed_noise.compare(values, deviations, seeds), tuple(names))


def _table(benchmarks: tuple[Benchmark, ...]) -> tuple[list[str], Floats]:
    """Methods on the main architecture of each benchmark, and their AUROC by benchmark; NaN: not there."""
    names = sorted({who for one in benchmarks for who, model in one.cells if model == one.main})
    table = np.full((len(names), len(benchmarks)), np.nan)
    for column, one in enumerate(benchmarks):
        for (who, model), cell in one.cells.items():
            if model == one.main:
                table[names.index(who), column] = cell.value
    return names, table


def _agreement(table: Floats, names: list[str], seed: int) -> tuple[Ends, int] | None:
    try:
        tau, pairs = rank_agreement.mean_kendall(table, names, seed, _RESAMPLES)
    except DataError:  # too few methods in common
        return None
    return ends(tau), pairs


def _near_far(benchmarks: tuple[Benchmark, ...], table: Floats, names: list[str], seed: int) -> tuple[Ends, int] | None:
    """The mean of Kendall's tau between near and far over ID sets."""
    taus = []
    for reference in dict.fromkeys(one.reference for one in benchmarks):
        columns = [at for at, one in enumerate(benchmarks) if one.reference == reference]
        if len(columns) == len(SETS):
            try:
                taus.append(rank_agreement.mean_kendall(table[:, columns], names, seed, _RESAMPLES)[0])
            except DataError:  # too few methods with both
                continue
    return (ends(np.mean(taus, axis=0)), len(taus)) if taus else None


def _odd(
    benchmarks: tuple[Benchmark, ...], names: list[str], table: Floats, seed: int
) -> tuple[tuple[Odd, ...], float | None, int]:
    try:
        with np.errstate(divide="ignore"):
            found = odd_cells.find(np.where((table > 0) & (table < 1), logit(table), np.nan), seed)
    except DataError:  # a column of too few
        return (), None, 0
    odd = []
    for row, column in np.argwhere(found.odd):
        benchmark = benchmarks[column]
        expected = float(expit(logit(table[row, column]) - found.residuals[row, column]))
        both = _near_above_far(benchmarks, table, benchmark.reference)
        cell = benchmark.cells[names[row], benchmark.main]
        odd.append(Odd(names[row], benchmark, cell, expected, float(found.deviations[row, column]), both))
    shares = int(odd_cells.find(table, seed).odd.sum())
    return tuple(sorted(odd, key=lambda one: -abs(one.deviations))), found.limit, shares


def _near_above_far(benchmarks: tuple[Benchmark, ...], table: Floats, reference: str) -> tuple[int, int]:
    near, far = (
        next(
            (table[:, at] for at, one in enumerate(benchmarks) if (one.reference, one.group) == (reference, group)),
            None,
        )
        for group in SETS
    )
    if near is None or far is None:
        return 0, 0
    both = np.isfinite(near) & np.isfinite(far)
    return int(both.sum()), int((near[both] > far[both]).sum())


# ---------------------------------------------------------------------------------------- findings


def findings(detection: Detection) -> Iterator[tuple[str, str]]:
    """Subject and sentences of each finding."""
    tested = [one for one in detection.benchmarks if one.noise.pairs]
    if tested:
        yield "Noise over trainings", _of_noise(tested)
    for group, (tau, pairs) in detection.agreement.items():
        words = f"The ranks of methods on two ID sets agree with a mean Kendall's tau of {interval(tau)}"
        yield f"Agreement of ID sets, {group} OOD", f"{words} ({pairs} pairs of ID sets)."
    if detection.near_far:
        tau, count = detection.near_far
        words = "Within an ID set, the ranks on near and on far OOD agree with a mean Kendall's tau of"
        yield "Near and far OOD", f"{words} {interval(tau)} ({count} ID sets)."
    if detection.limit is not None:
        yield "Cells that do not fit", _of_odd(detection, detection.limit)


def _of_noise(tested: list[Benchmark]) -> str:
    noise = [one.noise for one in tested]
    pairs, steps = sum(one.pairs for one in noise), sum(len(one.order) - 1 for one in noise)
    apart, loose = sum(one.apart for one in noise), sum(one.uncorrected for one in noise)
    return (
        f"Of {pairs:,} pairs of methods on one benchmark, {apart:,} ({percent(apart / pairs)}%) differ in AUROC by "
        f"more than the noise over trainings. Before Holm's correction {loose:,} ({percent(loose / pairs)}%) do. "
        f"Of {steps:,} neighbours in rank, {sum(one.neighbours for one in noise)} differ. "
        f"{sum(one.like_the_best for one in noise)} of {steps:,} do not differ from the best of their benchmark."
    )


def _of_odd(detection: Detection, limit: float) -> str:
    count = len(detection.odd)
    text = (
        f"{count} of {detection.compared} cells {'is' if count == 1 else 'are'} more than {limit:.1f} robust standard "
        "deviations from the effects of method and benchmark. "
        "One clean table in 20 with normal residuals has such a cell."
    )
    named = [
        f"{one.method} on {one.benchmark.title}: {percent(one.cell.value, 2)}%, "
        f"{points(one.cell.value - one.expected)} pp from {percent(one.expected)}% ({abs(one.deviations):.1f} SD)"
        for one in detection.odd[:3]
    ]
    return f"{text} {'; '.join(named)}." if named else text
