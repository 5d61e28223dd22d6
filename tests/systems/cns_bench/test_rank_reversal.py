"""Reversed ranks: the rule against a literal one, and how often it sees a reversal where there is none."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from shiftbench.base.errors import ParamsError
from shiftbench.statistics.rows import Row
from shiftbench.systems.cns_bench.metrics import rank_reversal

Matrix = np.ndarray


def rows(mild: Matrix, strong: Matrix, shift: str = "fog") -> list[Row]:
    """Return accuracy rows of models, whose replicates are (models, 1 + draws) at each severity."""
    found = []
    for severity, values in ((0.5, mild), (1.5, (mild + strong) / 2), (2.5, strong)):
        for at, of in enumerate(values):
            who = ("c", "classification", f"toy/m{at:02d}-erm", "plain", None, "toy", "test")
            place = ("toy/test/identity/0", shift, severity, None, None)
            found.append(Row(*who, *place, "accuracy", of[0], of[1:], 9, None, "key"))
    return found


def drawn(accuracies: Matrix, count: int, draws: int, random: np.random.Generator) -> list[Matrix]:
    """Return replicates at two severities: images of a shared difficulty, resampled together for all models."""
    hard = random.random((2, count))
    weights = random.multinomial(count, np.full(count, 1 / count), draws)
    weights = np.concatenate([np.ones((1, count), int), weights]).T
    found = []
    for severity, own in enumerate(accuracies):
        luck = np.where(random.random((len(own), count)) < 0.5, hard[severity], random.random((len(own), count)))
        found.append((luck < own[:, None]) @ weights / count)
    return found


def reversal(made: list[Row]) -> Row:
    (whole,) = [row for row in made if row.group is None]
    return whole


def compute(mild: Matrix, strong: Matrix) -> list[Row]:
    return rank_reversal.compute(rows(mild, strong), "accuracy", 0.5, 2.5, 0.05)


def test_the_rule_is_the_literal_one() -> None:
    random = np.random.default_rng(0)
    mild, strong = drawn(np.array([[0.9, 0.8, 0.85], [0.4, 0.7, 0.55]]), 400, 300, random)
    made = compute(mild, strong)
    chance = norm.isf(0.025 / 6) - norm.isf(0.025)  # three nets have six ordered pairs
    clear, groups = [], {}
    for f, g in itertools.permutations(range(3), 2):
        leads = mild[f] - mild[g], strong[g] - strong[f]
        clearness = min(lead[0] / lead[1:].std() for lead in leads)
        leads = tuple(lead - chance * lead[1:].std() for lead in leads)
        clear.append((clearness, np.minimum(*leads)))
        if all(np.sort(lead[1:])[6] > 0 for lead in leads):  # the 7th of 300: 2.5%
            groups[f"m{f:02d}-erm then m{g:02d}-erm"] = np.minimum(*leads)
    assert np.allclose(reversal(made).all, max(clear, key=lambda one: one[0])[1], atol=1e-12)
    found = {row.group: row.all for row in made if row.group}
    assert found.keys() == groups.keys()
    assert all(np.allclose(found[name], groups[name], atol=1e-12) for name in groups)
    assert "m00-erm then m01-erm" in groups
    assert np.sort(reversal(made).resamples)[6] > 0


def test_near_ties_in_one_true_order_are_rarely_called_a_reversal() -> None:
    """Kendall's tau below 1 would be seen in most of these sets: ten models a third of a point apart."""
    random = np.random.default_rng(1)
    order = 0.8 + 0.003 * np.arange(10)
    wrong = tau = 0
    for _ in range(100):
        mild, strong = drawn(np.stack([order, order - 0.3]), 500, 200, random)
        low = np.sort(reversal(compute(mild, strong)).resamples)[4]  # 95%, both sides
        wrong += low > 0
        ranks = [values[:, 0].argsort().argsort() for values in (mild, strong)]
        tau += bool((ranks[0] != ranks[1]).any())
    assert wrong <= 5
    assert tau >= 90


def test_the_clearest_of_many_pairs_is_corrected_for_chance() -> None:
    """Twenty models of one true accuracy where they are mild, in one order where they are strong: 132 ordered pairs."""
    random = np.random.default_rng(3)
    wrong = plain = 0
    for _ in range(100):
        even = np.full(12, 0.8)
        mild, strong = drawn(np.stack([even, np.linspace(0.3, 0.7, 12)]), 300, 200, random)
        made = compute(mild, strong)
        wrong += np.sort(reversal(made).resamples)[4] > 0
        pairs = itertools.permutations(range(12), 2)
        plain += any(
            np.sort(mild[f, 1:] - mild[g, 1:])[4] > 0 and np.sort(strong[g, 1:] - strong[f, 1:])[4] > 0
            for f, g in pairs
        )
    assert wrong <= 5
    assert plain >= 30


def test_a_true_reversal_is_seen() -> None:
    random = np.random.default_rng(2)
    seen = 0
    for _ in range(20):
        mild, strong = drawn(np.array([[0.85, 0.77, 0.8], [0.6, 0.75, 0.68]]), 1000, 200, random)
        seen += np.sort(reversal(compute(mild, strong)).resamples)[4] > 0
    assert seen >= 18


def test_what_cannot_be_compared_is_told() -> None:
    values = np.full((2, 5), 0.5)
    assert compute(values[:1], values[:1]) == []
    with pytest.raises(ParamsError, match="mild is 2.5, strong 0.5; it must be below"):
        rank_reversal.compute([], "accuracy", 2.5, 0.5, 0.05)
    lacking = [row for row in rows(values, values) if (row.model, row.severity) != ("toy/m01-erm", 2.5)]
    with pytest.raises(ParamsError, match="toy/m01-erm has no rows at both 0.5 and 2.5"):
        rank_reversal.compute(lacking, "accuracy", 0.5, 2.5, 0.05)
