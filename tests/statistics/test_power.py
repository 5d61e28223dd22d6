"""Sizes that a difference takes: by hand, for drawn noises, in simulations; and the command `shiftbench power`."""

import importlib.util
import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from isolation import ROOT
from makers import synthetic_tables
from shiftbench import cli
from shiftbench.statistics import intervals
from shiftbench.statistics.claims import power
from shiftbench.statistics.claims.estimates import Estimate
from shiftbench.statistics.claims.power import Noise, Rule

FILE = ROOT / "benchmarks/power.py"
spec = importlib.util.spec_from_file_location(f"benchmark_{FILE.stem}", FILE)
assert spec is not None
assert spec.loader is not None
benchmark = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


def test_sizes_by_hand():
    """Accuracy 0.5 of a given net: p (1 - p) / n, and the textbook's n = 34 of a t test for an effect of 0.5."""
    fixed = Noise(None, 0.0, 0.0, 0.25 / 100)
    assert power.samples(fixed, 0.1, Rule(0.05)) == pytest.approx((1.95996 + 0.84162) ** 2 * 0.25, rel=1e-5)
    assert power.detectable(fixed, Rule(0.05)) == pytest.approx((1.95996 + 0.84162) * 0.05, rel=1e-5)
    assert power.resamples(Rule(0.05), seeded=False) == 744  # 0.025 0.975 / (0.05845 0.05 1.96)^2
    trained = Noise(5, 1.0, 0.0, 0.0)
    assert power.seeds(trained, 0.5, Rule(0.05)) == 34
    assert power.power(trained, 0.5, Rule(0.05), 1, 34) == pytest.approx(0.808, abs=5e-4)
    assert power.samples(trained, 0.5, Rule(0.05)) is None
    assert power.seeds(Noise(5, 1.0, 0.0, 1.0), 0.5, Rule(0.05)) is None
    assert power.power(trained, 0.5, Rule(0.05), 1, 1) == 0


def test_drawn_sizes_have_the_power_that_was_asked_for():
    random = np.random.default_rng(0)
    for _ in range(100):
        count = None if random.random() < 0.3 else int(random.integers(2, 12))
        parts = random.gamma(1, 1, 3) * (random.random(3) < 0.8) + 1e-3
        noise = Noise(count, *((0, 0, parts[2]) if count is None else parts))
        rule = Rule(float(random.uniform(0.002, 0.1)), float(random.uniform(0.6, 0.95)), int(random.integers(1, 3)))
        least = power.detectable(noise, rule)
        assert power.power(noise, least, rule, 1, count) == pytest.approx(rule.power, abs=1e-6)
        difference = least * random.uniform(0.3, 3)
        times = power.samples(noise, difference, rule)
        if times is not None:
            assert power.power(noise, difference, rule, times, count) == pytest.approx(rule.power, abs=1e-4)
        if count is not None:
            seeds = power.seeds(noise, difference, rule)
            if seeds is not None:
                found = [power.power(noise, difference, rule, 1, one) for one in (seeds - 1, seeds)]
                assert found[0] < rule.power <= found[1]


def test_parts_of_noise_are_those_of_the_interval():
    """The half of `of_seeds` is the quantile times the root of both parts."""
    random = np.random.default_rng(1)
    for seeds in (2, 3, 8):
        common, own = random.normal(0, 2, 501), random.normal(0, 1, (seeds, 501))
        values = random.normal(0, 4, (seeds, 1)) + common + own
        noise = Noise.of(Estimate(values.mean(axis=0), values))
        shared = intervals._shared_variance(values[:, 1:])
        assert noise.shared == pytest.approx(shared)
        assert noise.parts(1, seeds)[0] >= values[:, 0].var(ddof=1) / seeds - 1e-12
        assert noise.own == pytest.approx(1, rel=0.5)
    with pytest.raises(ValueError, match="one training seed"):
        Noise.of(Estimate(values[0], values[:1]))
    with pytest.raises(ValueError, match="0 of 3 resamples are defined"):
        Noise.of(Estimate(np.array([1.0, np.nan, np.nan, np.nan])))


def test_what_is_said_is_found():
    """A short form of benchmarks/power.py: 300 sets of designs from a pilot's noise."""
    random = np.random.default_rng(0)
    for seeds, spread, difference in ((None, None, 0.06), (5, 0.0, 0.06), (10, 1.0, 0.06)):
        world = benchmark.World(spread, 200, random)
        noise = world.noise(10)
        n = benchmark.design(noise, seeds, difference, Rule(0.05))
        found = world.found(difference, Rule(0.05), n, seeds or 1, 300)
        assert 0.70 <= found <= 0.90  # four standard errors


PARAMS = """
benchmarks:
  clothes:
    dataset: fashion_mnist
    shifts: []
    models: [{architectures: [convnet], trainers: [erm, augmix], seeds: [0, 1, 2]}]
"""
OF = "{difference: [{metric: accuracy, model: convnet-augmix}, {metric: accuracy, model: convnet-erm}]}"


def test_the_command_tells_what_a_difference_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)

    def run(*words):
        done = CliRunner().invoke(cli.app, ["power", *words])
        return done.exit_code, done.stdout + str(done.exception or "")

    assert "make run" in run("--of", OF)[1]
    maker = synthetic_tables.Maker("clothes", "fashion_mnist")
    for seed, (erm, augmix) in enumerate(((0.80, 0.83), (0.81, 0.82), (0.79, 0.84))):
        maker.add(f"fashion_mnist/convnet-erm-s{seed}", "accuracy", erm)
        maker.add(f"fashion_mnist/convnet-augmix-s{seed}", "accuracy", augmix)
    maker.write(tmp_path)
    seen = {}
    for words in ((), ("--over-seeds",), ("--over-seeds", "--difference", "0.05")):
        code, said = run("--of", OF, *words, "--json")
        assert code == 0, said
        (seen[words],) = json.loads(said)
    fixed, trained, more = seen.values()
    assert (fixed["samples"], fixed["seeds"], fixed["seeds_needed"]) == (2000, None, None)
    assert (trained["samples"], trained["seeds"]) == (2000, 3)
    assert fixed["detectable"] < trained["detectable"] == more["detectable"]
    assert more["seeds_needed"] < trained["seeds_needed"]
    assert "2,000" in run("--of", OF, "--over-seeds")[1]
    for words, error in (
        ((), "expected a system, for its claims, or --of EXPRESSION"),
        (("--of", OF, "--difference", "0"), "no number of samples detects a difference of 0"),
        (("--of", "{differenc: []}"), "is not an expression over metric rows"),
        (("palm", "fra"), "systems/palm judges no claim 'fra'; did you mean far"),
        (("palm",), "`shiftbench systems palm` runs it"),
        (("--of", OF.replace("erm", "mre")), None),
    ):
        code, said = run(*words)
        assert error in said if error else (code, "no row has metric=accuracy" in said) == (0, True), said
