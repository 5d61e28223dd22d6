"""The measured power of designs from `shiftbench power`, on simulated data.

    python benchmarks/power.py [--sets 1000] [--draws 400]

The replicates of a pilot give the noise, and the noise gives a design. The script then draws new samples and training
seeds of that design, and counts the intervals beyond the margin. It prints the tables of docs/statistics.md in two
minutes on one core. `tests/statistics/test_power.py` is its short form. With 1,000 sets a power of 80% is known to 2.5
points.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from shiftbench.statistics import bootstrap
from shiftbench.statistics.claims import power
from shiftbench.statistics.claims.estimates import Estimate
from shiftbench.statistics.claims.power import Noise, Rule

Floats = NDArray[np.float64]
N, ACCURACY, COMMON = 500, 0.7, 0.5
"""Of a pilot: samples, accuracy, and the share of a sample's difficulty that seeds have in common."""
PLACES = ((5, 0.0, 0.03), (5, 1.0, 0.03), (5, 1.0, 0.06), (10, 1.0, 0.03), (10, 3.0, 0.06), (3, 1.0, 0.06))
"""Training seeds, their spread in sampling errors of one seed, and the difference that is looked for."""


@dataclass(frozen=True)
class World:
    """Models whose accuracy differs between training seeds, on samples with a common difficulty.

    Attributes:
        spread: standard deviation between seeds, in sampling errors of one seed on N samples; None: one given model.
        draws: bootstrap resamples of a set.
        random: the random generator.
    """

    spread: float | None
    draws: int
    random: np.random.Generator

    def estimate(self, n: int, seeds: int) -> Estimate:
        """Draw new samples and seeds; return accuracy less ACCURACY, with replicates."""
        weights = bootstrap.weights(pa.array([f"power/{i}" for i in range(n)]), self.draws, 0)
        off = (self.spread or 0) * np.sqrt(ACCURACY * (1 - ACCURACY) / N)
        goals = ACCURACY + off * self.random.normal(size=(seeds, 1))
        common, own = self.random.normal(size=n), self.random.normal(size=(seeds, n))
        hard = np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own
        hits = (hard < ndtri(np.clip(goals, 1e-6, 1 - 1e-6))).astype(np.float64)
        values = hits @ weights.astype(np.float64) / weights.sum(axis=0) - ACCURACY
        return Estimate(values.mean(axis=0), None if self.spread is None else values)

    def noise(self, pilots: int = 40) -> Noise:
        """The mean noise of many pilots, close to the true noise."""
        found = [Noise.of(self.estimate(N, 1 if self.spread is None else 25)) for _ in range(pilots)]
        seed, own, shared = (
            float(np.mean([getattr(one, name) for one in found])) for name in ("seed", "own", "shared")
        )
        return Noise(None if self.spread is None else 25, seed, own, shared)

    def found(self, difference: float, rule: Rule, n: int, seeds: int, sets: int) -> float:
        """The measured power: the share of sets that detect a difference; the margin is that far below ACCURACY."""
        ends = (self.estimate(n, seeds).interval(rule.error) for _ in range(sets))
        return sum(one.low is not None and one.low > -difference for one in ends) / sets


def design(noise: Noise, seeds: int | None, difference: float, rule: Rule) -> int | None:
    """The number of samples that detect a difference with so many seeds."""
    times = power.samples(Noise(seeds, noise.seed, noise.own, noise.shared), difference, rule)
    return None if times is None else int(np.ceil(N * times))


def rows(sets: int, draws: int, random: np.random.Generator) -> Iterator[str]:
    """Yield the table of designs: planned and measured power."""
    rule = Rule(0.05)
    yield "| seeds | spread | difference | samples | planned power | measured power |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for difference in (0.03, 0.06):
        world = World(None, draws, random)
        n = design(world.noise(), None, difference, rule)
        seen = world.found(difference, rule, n or N, 1, sets)
        yield f"| one given model | | {difference} | {n:,} | 80.0% | {100 * seen:.1f}% |"
    for seeds, spread, difference in PLACES:
        world = World(spread, draws, random)
        noise = world.noise()
        n = design(noise, seeds, difference, rule) or 20 * N
        planned = power.power(noise, difference, rule, n / N, seeds)
        seen = world.found(difference, rule, n, seeds, sets)
        yield f"| {seeds} | {spread:g} | {difference} | {n:,} | {100 * planned:.1f}% | {100 * seen:.1f}% |"


def pilots(sets: int, draws: int, random: np.random.Generator) -> Iterator[str]:
    """Yield the table of pilots with few seeds: their detectable difference over the true one."""
    rule = Rule(0.05)
    yield "\n| pilot's seeds | detectable difference: median | 10% of pilots below | 10% above |"
    yield "| ---: | ---: | ---: | ---: |"
    for seeds in (3, 5, 10, 20):
        world = World(1.0, draws, random)
        noise = world.noise()
        true = power.detectable(Noise(seeds, noise.seed, noise.own, noise.shared), rule)
        found = [power.detectable(Noise.of(world.estimate(N, seeds)), rule) / true for _ in range(max(50, sets // 4))]
        low, middle, high = np.percentile(found, [10, 50, 90])
        yield f"| {seeds} | {middle:.2f} | {low:.2f} | {high:.2f} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=1000, help="simulated sets per design; default: 1000")
    parser.add_argument("--draws", type=int, default=400, help="bootstrap resamples per set; default: 400")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    for table in (rows, pilots):
        for line in table(options.sets, options.draws, random):
            print(line, flush=True)


if __name__ == "__main__":
    main()
