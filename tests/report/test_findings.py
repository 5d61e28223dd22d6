"""Findings: sentences say what tables say, and no more than their intervals allow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from makers import report_chapters
from shiftbench.report import findings
from shiftbench.report.chapters import Chapter
from shiftbench.report.findings import Effect, Pair

PAIR = Pair(("fashion_mnist/convnet-erm", "plain"), ("fashion_mnist/convnet-augmix", "plain"), "AugMix", "ConvNet")


@pytest.fixture
def chapter() -> Chapter:
    return report_chapters.clothes()


def random_effect(rng: np.random.Generator) -> Effect:
    value = float(rng.normal(scale=0.05))
    width = float(rng.random() * 0.1)
    seeds = tuple(float(value + rng.normal(scale=0.02)) for _ in range(rng.integers(0, 4)))
    ends = (value - width, value + width) if rng.random() < 0.7 else (None, None)
    return Effect(value, *ends, seeds, value)


@pytest.mark.parametrize("seed", range(40))
def test_a_sentence_claims_only_what_is_significant(chapter: Chapter, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shifted, clean = random_effect(rng), random_effect(rng)
    sentence = findings._sentence(chapter, PAIR, shifted, clean)
    claims = any(word in sentence for word in ("more accurate", "less accurate"))
    assert claims == shifted.significant
    assert ("more accurate" in sentence) == (shifted.significant and shifted.value > 0)
    assert ("costs" in sentence) == (clean.significant and clean.value < 0)
    assert ("gains" in sentence) == (clean.significant and clean.value > 0)
    short = findings._sentence(chapter, PAIR, shifted, clean, sure=False)
    assert "(" not in short
    assert (sentence[-1], short[-1]) == (".", ".")


@pytest.mark.parametrize("seed", range(20))
def test_without_an_interval_all_seeds_have_to_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = tuple(float(one) for one in rng.normal(loc=0.5, size=rng.integers(0, 5)))
    one = Effect(float(np.mean(values)) if values else 0.1, None, None, values, 0.0)
    assert one.significant == (len(values) > 1 and len({value > 0 for value in values}) == 1)


def test_the_finding_of_a_benchmark_is_that_of_its_tables(chapter: Chapter) -> None:
    finding = findings.finding(chapter)
    assert finding is not None
    assert [pair.what for pair in findings.pairs(chapter)] == ["AugMix", "AugMix"]
    assert finding.lead.startswith("AugMix ")
    pair = findings.pairs(chapter)[0]
    column = chapter.shifted
    assert column is not None
    one = findings.effect(column, pair)
    assert one is not None
    expected = (column.entries[pair.treated].value or 0) - (column.entries[pair.base].value or 0)
    assert one.value == pytest.approx(expected)
    assert one.seeds
    assert np.mean(one.seeds) == pytest.approx(one.value)
    assert f"{abs(100 * expected):.1f}" in finding.cards[0].value


def test_a_metric_that_is_better_when_lower_turns_the_sign(chapter: Chapter) -> None:
    column = next(one for one in chapter.columns if one.measure.higher_is_better is False and one.differences)
    for pair in findings.pairs(chapter):
        one = findings.effect(column, pair)
        if one is not None:
            assert one.value == pytest.approx(-one.raw)


def test_every_link_of_a_card_is_a_row_of_the_page(chapter: Chapter, tmp_path: Path) -> None:
    finding = findings.finding(chapter)
    assert finding is not None
    anchors = {chapter.anchor(row.who) for row in chapter.rows} | {f"#detection-{chapter.name}"}
    assert {card.link for card in finding.cards if card.link} <= anchors


@pytest.mark.parametrize("tied", [0, 1, 2])
def test_detectors_that_tie_with_the_best_are_said(chapter: Chapter, tied: int) -> None:
    columns = [one for one in chapter.columns if one.detector and one.measure.name == "auroc"]
    column = max(columns, key=lambda one: max(one.entries[who].value or 0 for who in chapter.places.who))
    first, *others = sorted(chapter.places.who, key=lambda who: -(column.entries[who].value or 0))
    told = replace(column, best=frozenset({first}), tied=frozenset(others[:tied]))
    chapter.columns[:] = [told if one is column else one for one in chapter.columns]
    finding = findings.finding(chapter)
    assert finding is not None
    assert f", by Energy on {chapter.models[first]}." in finding.rest
    assert ("is not significantly worse" in finding.rest) == (tied > 0)
    card = next(one for one in finding.cards if one.title.startswith("Best OOD detection"))
    assert ("no significant difference" in card.spread) == (tied > 0)
