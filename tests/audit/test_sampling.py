"""A25: the seed of the draws, and what a draw is worth."""

import pytest

from shiftbench.audit.checks.auditor import chance


@pytest.mark.parametrize(("f", "k", "expected"), [(0.5, 1, 0.5), (0.5, 2, 0.75), (0.1, 2, 0.19), (0, 9, 0), (1, 1, 1)])
def test_the_chance_of_meeting_a_fault_as_counted_by_hand(f, k, expected):
    assert chance(f, k) == pytest.approx(expected)


def test_the_seed_is_entropy_that_follows_from_nothing(made):
    """Whoever knows the results and the date knows nothing of what will be drawn."""
    one, two = (made.audit("sampling", today="2099-01-01") for _ in range(2))
    assert one.about["seed"] != two.about["seed"]
    assert len(bytes.fromhex(one.about["seed"])) == 16
    (result,) = one.results
    assert result.verdict == "exact"
    assert any("auditor's own" in note for note in result.notes)
    assert any("81% where 10% of them are wrong" in note for note in result.notes)


def test_a_seed_given_by_hand_is_noted(made):
    assert any("that of `--seed`" in note for note in made.result("sampling", seed="7").notes)


def test_a_newer_audit_is_fine_and_results_from_the_future_are_not(made):
    assert made.result("sampling", today="2199-01-01").verdict == "exact"
    file = f"{made.one('tables').path}.run.json"
    made.edit(file, lambda content: content.update(finished="2100-01-01T00:00:00+00:00"))
    (finding,) = made.findings("sampling")
    assert (finding.verdict, finding.file) == ("failed", file)
