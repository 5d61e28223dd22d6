"""How often intervals hold the truth, and verdicts are wrong, on made data whose truth is known.

    python benchmarks/interval_coverage.py [--sets 2000] [--draws 1000]

Every set is new samples (and new training seeds); replicates are those of the one resampler. Prints the tables of
docs/statistics.md: about three minutes on one core at the defaults. `tests/statistics/test_interval_coverage.py` is its
short form. With 2,000 sets a share of 95% is known to one point (two standard errors).
"""

import argparse
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from shiftbench.plugins.metrics.probabilities import ece
from shiftbench.statistics import bootstrap, intervals, thresholds
from shiftbench.statistics.claims import judgement, metric_rows
from shiftbench.statistics.claims.statements import Claim
from shiftbench.statistics.contributions import Contributions, weighted_sums

Floats = NDArray[np.float64]
PLACES = ((50, 0.9), (50, 0.98), (200, 0.5), (200, 0.98), (200, 0.99), (2000, 0.9), (2000, 0.998))
AREAS = ((25, 0.8), (25, 0.95), (100, 0.95), (100, 0.99))
SEEDS, SPREADS = (2, 3, 5, 10), (0, 1, 5)
CLUSTERED = (
    ("normal values", "draws", False),
    ("exponential values", "draws", True),
    ("shares around 0.6", "share", False),
    ("shares around 0.9", "share", True),
)
FAMILIES = ((20, 0.9), (50, 0.98), (500, 0.5), (500, 0.98))
SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "normal": lambda random, size: random.normal(size=size),
    "uniform": lambda random, size: random.uniform(-1, 1, size),
    "exponential": lambda random, size: random.exponential(size=size) - 1,
    "one training in five fails": lambda random, size: (
        np.where(random.random(size) < 0.2, -3, 0.75) + random.normal(0, 0.3, size)
    ),
}
"""How training seeds may lie about a mean of 0."""
N, ACCURACY, COMMON = 500, 0.8, 0.5
"""Of nets whose seeds differ: samples, accuracy, and the share of a sample's difficulty that seeds have in common."""


@dataclass(frozen=True)
class Simulation:
    """How many sets, how many draws, and the random numbers of the next set."""

    sets: int
    draws: int
    random: np.random.Generator

    def weights(self, name: str, n: int) -> Floats:
        """Return weights of n samples, float64 (n, 1 + draws), of the one resampler."""
        keys = pa.array([f"{name}/{i}" for i in range(n)])
        return bootstrap.weights(keys, self.draws, 0).astype(np.float64)


def covered(low: Floats, high: Floats, truth: float) -> float:
    """Return the share of intervals that hold the truth."""
    return float(np.mean((low <= truth) & (truth <= high)))


def accuracy(run: Simulation, n: int, truth: float) -> tuple[float, float]:
    """Return coverage of an accuracy: of percentiles, and of `intervals.share`."""
    weights = run.weights("accuracy", n)
    hits = (run.random.random((run.sets, n)) < truth).astype(np.float64)
    values = hits @ weights / weights.sum(axis=0)
    return _both(values, n, truth)


def auroc(run: Simulation, n: int, truth: float) -> tuple[float, float]:
    """Return the same of an AUROC of n ID and n OOD samples with normal scores."""
    id_weights, ood_weights = (
        bootstrap.weights(pa.array([f"{side}/{i}" for i in range(n)]), run.draws, 0) for side in ("id", "ood")
    )
    far = np.sqrt(2) * ndtri(truth)
    values = np.stack(
        [
            thresholds.roc_area(
                thresholds.Sides(run.random.normal(far, 1, n), run.random.normal(size=n), ood_weights, id_weights)
            )
            for _ in range(run.sets)
        ]
    )
    return _both(values, n, truth)


def _both(values: Floats, n: int, truth: float) -> tuple[float, float]:
    units = np.full(len(values), n)
    return (
        covered(*bootstrap.interval(values[:, 1:]), truth),
        covered(*intervals.share(values[:, 0], values[:, 1:], units), truth),
    )


def _many(sets: int, units: int, *, clustered: bool = False) -> tuple[Any, Any]:
    return np.full(sets, units), np.full(sets, clustered)


def clusters(run: Simulation, count: int, kind: str, skewed: bool) -> tuple[float, float]:  # noqa: FBT001
    """Return coverage of a mean over clusters of 20 samples: of percentiles, and as shown.

    Args:
        run: sets and draws.
        count: clusters of a set.
        kind: `draws`, clusters differ as much as samples within them; `share`, samples are right with a
            probability that each cluster draws.
        skewed: of `draws`, clusters lie exponentially around the truth; of `share` it is 0.9, else 0.6.
    """
    size, random = 20, run.random
    weights = run.weights("clusters", count)
    if kind == "share":
        truth = 0.9 if skewed else 0.6
        each = random.beta(4 * truth, 4 * (1 - truth), size=(run.sets, count))
        means = random.binomial(size, each) / size
    else:
        truth = 1.0 if skewed else 0.0
        each = random.exponential(size=(run.sets, count)) if skewed else random.normal(size=(run.sets, count))
        means = each + random.normal(size=(run.sets, count)) / np.sqrt(size)
    values = means @ weights / weights.sum(axis=0)
    shown = intervals.of_rows([kind] * run.sets, values[:, 0], values[:, 1:], *_many(run.sets, count, clustered=True))
    return covered(*bootstrap.interval(values[:, 1:]), truth), covered(*shown, truth)


def families(run: Simulation, count: int, spread: float, n: int, truth: float) -> tuple[float, float]:
    """Return coverage of a mean accuracy over seeds: of t over seeds alone, and of `intervals.of_seed_mean`."""
    weights = run.weights("families", n)
    off = spread * np.sqrt(truth * (1 - truth) / n)
    held = np.zeros(2)
    for _ in range(run.sets):
        own = np.clip(truth + off * run.random.normal(size=(count, 1)), 1e-6, 1 - 1e-6)
        common, alone = run.random.normal(size=n), run.random.normal(size=(count, n))
        hits = np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * alone < ndtri(own)
        values = hits @ weights / weights.sum(axis=0)
        low, high = intervals.of_seed_mean(values, "share", intervals.Units(n))
        half = stdtrit(count - 1, 0.975) * values[:, 0].std(ddof=1) / np.sqrt(count)
        held += abs(values[:, 0].mean() - truth) <= half, low <= truth <= high
    return float(held[0] / run.sets), float(held[1] / run.sets)


def calibration_error(run: Simulation, n: int, gap: float) -> dict[str, tuple[float, float]]:
    """Return, of ECE: how often an interval holds its estimate, and ECE of so many samples on average.

    Args:
        run: sets and draws.
        n: samples of a set.
        gap: what every confidence is above the share of right predictions.
    """
    weights = bootstrap.weights(pa.array([f"ece/{i}" for i in range(n)]), run.draws, 0)
    found = []
    for _ in range(run.sets):
        confidence = run.random.uniform(0.3, 1, n)
        correct = run.random.random(n) < confidence - gap
        billionths = np.rint(confidence * 1e9).astype(np.int64)
        bins = np.maximum((billionths * 15 - 1) // 10**9, 0)
        each = correct * 10**9 - billionths
        parts = Contributions(np.ones(n, np.int64), binned=each, bins=bins, width=15)
        found.append(ece.finish(weighted_sums([parts], weights)[0], 15))
    values = np.stack(found)
    ends = {
        "percentile": bootstrap.interval(values[:, 1:]),
        "biased": intervals.of_rows(["biased"] * run.sets, values[:, 0], values[:, 1:], *_many(run.sets, n)),
    }
    own, mean = values[:, 0], float(values[:, 0].mean())
    return {
        name: (float(np.mean((low <= own) & (own <= high))), covered(low, high, mean))
        for name, (low, high) in ends.items()
    }


def seeds(run: Simulation, count: int, spread: float) -> tuple[float, float]:
    """Return coverage of a mean accuracy over seeds: of samples alone, and of `intervals.of_seeds`.

    Args:
        run: sets and draws.
        count: training seeds.
        spread: standard deviation between seeds, in sampling errors of one seed.
    """
    weights = run.weights("seeds", N)
    off = spread * np.sqrt(ACCURACY * (1 - ACCURACY) / N)
    held = np.zeros(2)
    for _ in range(run.sets):
        goals = ndtri(np.clip(ACCURACY + off * run.random.normal(size=(count, 1)), 1e-6, 1 - 1e-6))
        common, own = run.random.normal(size=N), run.random.normal(size=(count, N))
        hits = np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own < goals
        values = hits @ weights / weights.sum(axis=0)
        for at, found in enumerate(
            (intervals.of_resamples(values.mean(axis=0), 0.05), intervals.of_seeds(values, 0.05))
        ):
            held[at] += float(found.low or 0) <= ACCURACY <= float(found.high or 0)
    return float(held[0] / run.sets), float(held[1] / run.sets)


def verdicts(run: Simulation, values: int, quantifier: str | int) -> tuple[float, float]:
    """Return how often a claim of which every value lies at the margin is called supported, and refuted."""
    claim = Claim.model_validate({"says": "-", "value": {"metric": "m"}, "over": "shift", "quantifier": quantifier})
    names = {name: [None] * values for name in (*metric_rows.KEY, "seed")}
    places = pl.DataFrame({**names, "metric": ["m"] * values, "shift": [f"{i:02}" for i in range(values)]})
    found = []
    for _ in range(run.sets):
        estimates = run.random.normal(size=(values, 1))
        draws = estimates + run.random.normal(size=(values, run.draws))
        rows = metric_rows.MetricRows(places, np.concatenate([estimates, draws], axis=1))
        found.append(judgement.judge({"one": claim}, rows)[0].verdict)
    return found.count("supported") / run.sets, found.count("refuted") / run.sets


def shaped(run: Simulation, count: int, kind: str) -> tuple[float, float]:
    """Return how often a claim of new training runs is wrongly supported, and refuted, by seeds that are not normal.

    Args:
        run: sets and draws.
        count: training seeds of a set; their samples are many, so that seeds alone differ.
        kind: of SHAPES.
    """
    values = SHAPES[kind](run.random, (run.sets, count))
    found = [intervals.of_seeds(np.repeat(one[:, None], 3, axis=1), bootstrap.ERROR) for one in values]
    above = np.mean([one.low is not None and one.low > 0 for one in found])
    below = np.mean([one.high is not None and one.high < 0 for one in found])
    return float(above), float(below)


def shares(run: Simulation) -> Iterator[str]:
    """Yield the table of shares."""
    yield "| share | n | truth | percentiles | as shown |\n| --- | ---: | ---: | ---: | ---: |"
    for n, truth in PLACES:
        yield _row("accuracy", f"{n:,}", truth, *accuracy(run, n, truth))
    for n, truth in AREAS:
        yield _row("AUROC", f"{n} + {n}", truth, *auroc(run, n, truth))


def shapes(run: Simulation) -> Iterator[str]:
    """Yield the table of seeds that are not normal."""
    yield "\n| seeds | of | wrongly supported | wrongly refuted |\n| ---: | --- | ---: | ---: |"
    for count, kind in itertools.product(SEEDS[1:], SHAPES):
        yield _row(str(count), kind, *shaped(run, count, kind))


def lines(run: Simulation) -> Iterator[str]:
    """Yield the tables of docs/statistics.md."""
    yield from shares(run)
    yield "\n| seeds | spread | samples alone | over seeds |\n| ---: | ---: | ---: | ---: |"
    for count, spread in itertools.product(SEEDS, SPREADS):
        yield _row(str(count), spread, *seeds(run, count, spread))
    yield "\n| clusters | of | percentiles | as shown |\n| ---: | --- | ---: | ---: |"
    for count, (name, kind, skewed) in itertools.product((5, 7, 10, 20, 50), CLUSTERED):
        yield _row(str(count), name, *clusters(run, count, kind, skewed))
    yield "\n| seeds | spread | n | truth | t over seeds | as shown |\n| ---: | ---: | ---: | ---: | ---: | ---: |"
    for count, spread, (n, truth) in itertools.product(SEEDS[1:], SPREADS, FAMILIES):
        yield _row(str(count), spread, f"{n:,}", truth, *families(run, count, spread, n, truth))
    yield from shapes(run)
    yield "\n| ECE, n | gap | interval | holds its estimate | holds the mean |"
    yield "| ---: | ---: | --- | ---: | ---: |"
    for n, gap in itertools.product((200, 1000), (0.0, 0.1)):
        for name, found in calibration_error(run, n, gap).items():
            yield _row(f"{n:,}", gap, name, *found)
    yield "\n| values at the margin | claim | supported | refuted |\n| ---: | --- | ---: | ---: |"
    for values in (3, 5, 10, 20):
        for quantifier in ("all", "exists", values - 1):
            yield _row(str(values), str(quantifier), *verdicts(run, values, quantifier))


def _row(*given: str | float) -> str:
    *first, one, two = given
    return f"| {' | '.join(map(str, first))} | {100 * float(one):.1f}% | {100 * float(two):.1f}% |"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    for line in lines(Simulation(given.sets, given.draws, np.random.default_rng(0))):
        print(line, flush=True)


if __name__ == "__main__":
    main()
