"""Printed numbers come out of released rows by our statistics; verdicts on claims that files cover."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isolation import ROOT
from shiftbench.base.errors import DataError
from shiftbench.cli.documents import released_results
from shiftbench.data import releases, source_files
from shiftbench.data.release_cards import Card
from shiftbench.statistics import rebuilt
from shiftbench.statistics.claims.statements import Reported
from shiftbench.statistics.rebuilt import AGREE, DISAGREE, NO_FILE
from shiftbench.workflow.plan import cards

TRANSCRIBED = sorted(file.stem for file in (ROOT / "src/shiftbench/systems").glob("*/released/*.yaml"))
SLUGS = [slug for slug in cards.slugs() if "released" in cards.load(slug).params]
AVERAGES = {
    "ascood": 144, "llm_tta": 18, "m_hood": 18, "openood_vlm": 112, "palm": 32, "regmean_docs": 6,
    "regmean_plus_plus": 6, "spatial_vlm": 17, "xtrust_logs": 113,
}  # fmt: skip
SCALES = (1, 100)


def cells(slug: str) -> list[rebuilt.Cell]:
    results = released_results.of(slug)
    assert results is not None
    return [cell for found in results.cells.values() for cell in found]


def claims_of(slug: str) -> tuple[Mapping[str, Any], ...]:
    results = released_results.of(slug)
    assert results is not None
    return results.claims


# ------------------------------------------------------------------ single numbers


@pytest.mark.parametrize("name", TRANSCRIBED)
def test_each_number_is_the_cell_that_it_names(name: str) -> None:
    """All rows, read again without the importer; and each can be looked up in the repository that printed it."""
    card, kept = releases.card(name), releases.kept(name)
    lines = {file: list(csv.reader(io.StringIO(text.decode()))) for file, text in kept.items()}
    for row in releases.rows(name).iter_rows(named=True):
        header, cell = lines[row["file"]][0], lines[row["file"]][row["row"] - 1]
        assert cell[header.index(row["column"])] == row["printed"]
        number = float(row["printed"])
        assert any(row["value"] == pytest.approx(number / scale, abs=1e-12) for scale in (*SCALES, row["n"] or 1))
        address = card.address(row["file"], row["row"])
        assert address.startswith(f"https://github.com/{card.repository}/blob/{card.commit}/")
        assert not address.endswith((row["file"], f"L{row['row']}"))  # the file there is another one
    assert card.commit in source_files.load_source(name).homepage


def test_repositories_are_named_in_the_notice() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    for name in TRANSCRIBED:
        assert releases.card(name).repository in notice


@pytest.mark.parametrize("name", TRANSCRIBED)
def test_shares_are_multiples_of_their_samples(name: str) -> None:
    """So n, which no file states, is right: what is printed rounds a share of it, all but known cells."""
    rows = releases.rows(name).filter(pl.col("n").is_not_null(), pl.col("value").is_between(0, 1))
    wrong = []
    for row in rows.iter_rows(named=True):
        nearest = round(row["value"] * row["n"]) / row["n"]
        scales = [scale for scale in (1, 100, row["n"]) if row["value"] == pytest.approx(float(row["printed"]) / scale)]
        if abs(row["value"] - nearest) > 1.001 * rebuilt.half_unit(row["printed"]) / scales[0] + 1e-7:
            wrong.append((row["dataset"], row["printed"]))
    assert wrong == NO_SHARES.get(name, [])


NO_SHARES = {
    "spatial_vlm": [
        ("counting", "64.00"), ("relation", "78.41"), ("counting", "65.07"), ("counting", "73.07"),
        ("counting", "54.35"), ("counting", "68.45"), ("relation", "76.42"), ("depth", "91.02"), ("distance", "47.47"),
    ]
}  # fmt: skip
"""No share of CV-Bench's 788, 650, 600 and 600 items rounds to these cells."""


# ------------------------------------------------------------------ averages and differences


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_of_a_release_come_out_of_their_terms(name: str) -> None:
    found = released_results.of_release(name)
    differ = [(cell.printed, round(cell.value or 0, 3)) for cell in found if cell.outcome == DISAGREE]
    assert len(found) == AVERAGES[name]
    assert all(cell.terms >= 1 for cell in found)
    assert differ == ([] if name != "spatial_vlm" else SPATIAL)


SPATIAL = [
    ("52.16", 51.935), ("54.77", 54.585), ("84.22", 84.043), ("53.76", 53.69), ("75.66", 76.307), ("77.69", 77.765),
    ("-9.00", 9.0),
]  # fmt: skip


def test_no_release_with_rules_is_left_out() -> None:
    assert {name for name in releases.names() if releases.card(name).rebuilt} == set(AVERAGES)


@pytest.mark.parametrize("name", ["palm", "ascood"])
def test_a_changed_average_is_found(name: str) -> None:
    """Each printed average, moved by five units of its last digit, no longer agrees."""
    card, rows = releases.card(name), releases.rows(name)
    moved = list(rebuilt.of_release(name, card, rows))
    for cell in moved:
        shifted = f"{float(cell.printed) + 10 * rebuilt.half_unit(cell.printed):.2f}"
        assert rebuilt.Cell(cell.what, shifted, cell.value, cell.slack).outcome == DISAGREE


def test_rounding_of_terms_is_allowed_for() -> None:
    """Means of drawn numbers, rounded after averaging: all agree, by the terms' rounding and not by the mean's."""
    draw = np.random.default_rng(2)
    exact = draw.uniform(0.5, 0.9, (200, 4))
    rows: list[dict[str, object]] = []
    alone = 0
    for at, terms in enumerate(exact):
        texts = [f"{100 * one:.1f}" for one in terms]
        printed = f"{100 * terms.mean():.2f}"
        alone += int(
            abs(np.mean([float(text) for text in texts]) - float(printed)) <= rebuilt.half_unit(printed) + 1e-9
        )
        rows += [released_row(f"m{at}", f"d{n}", text) for n, text in enumerate(texts)]
        rows.append(released_row(f"m{at}", "mean", printed))
    rule = {
        "cells": {"dataset": "mean"},
        "by": {"mean": {"metric": "{metric}", "dataset": [f"d{n}" for n in range(4)]}},
    }
    card = Card.model_validate(
        {"repository": "a/b", "commit": "0" * 40, "files": {"a": {"columns": {}}}, "rebuilt": [rule]}
    )
    found = list(rebuilt.of_release("drawn", card, frame(rows)))
    assert {cell.outcome for cell in found} == {AGREE}
    assert alone < len(exact)


def released_row(model: str, dataset: str, printed: str, **more: object) -> dict[str, object]:
    place = {"release": "drawn", "model": model, "method": "plain", "dataset": dataset, "split": "test"}
    place |= {"shift": "identity", "severity": 0.0, "metric": "accuracy", "value": float(printed) / 100}
    return {**place, "file": "a.csv", "row": 2, "column": dataset, "printed": printed, **more}


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=releases.rows("palm").schema)


# ------------------------------------------------------------------ numbers of cards


def test_numbers_of_a_text() -> None:
    assert rebuilt.numbers("47.94±5.38; 3.5 +- 0.1 / 17,693 (table 2: 9)") == ["47.94", "3.5", "17,693"]
    assert rebuilt.numbers("90.7% (1367 to 127)") == ["90.7"]
    assert rebuilt.numbers("not found") == []


def test_tally_of_the_cards() -> None:
    """Fourteen systems have numbers that files give again; the ones that differ are known."""
    found = {slug: Counter(cell.outcome for cell in cells(slug)) for slug in SLUGS}
    assert len([slug for slug, counts in found.items() if counts[AGREE] >= 2]) == 14
    assert {slug: counts[DISAGREE] for slug, counts in found.items() if counts[DISAGREE]} == {
        "regmean-plus-plus": 1,
        "spatial-vlm-cot-grpo": 6,
    }
    assert sum(counts[AGREE] for counts in found.values()) == 355
    assert not [cell for slug in SLUGS for cell in cells(slug) if cell.reason]  # each expression finds its rows
    assert all(counts[NO_FILE] for counts in found.values())


def test_a_number_of_a_card_that_is_another_is_found() -> None:
    one: dict[str, object] = {"what": "w", "metric": "m", "unit": "percent", "where": "t"}
    measured = {"metric": "auroc", "method": "PALM", "dataset": "svhn"}
    values: tuple[tuple[str | float, str], ...] = (
        ("99.23", AGREE),
        ("99.24", DISAGREE),
        (99.23, AGREE),
        ("99.2", AGREE),
        ("99.3", DISAGREE),
    )
    reported = [Reported.model_validate({**one, "value": value, "released": measured}) for value, _ in values]
    found = [cell.outcome for _, cell in rebuilt.of_reported(reported, releases.rows("palm"))]
    assert found == [outcome for _, outcome in values]


# ------------------------------------------------------------------ verdicts


def test_verdicts_from_released_numbers() -> None:
    verdicts = {
        f"{slug} {row['claim']}": row["verdict"] for slug in SLUGS for row in claims_of(slug) if row["part"] is None
    }
    assert len({name.split()[0] for name in verdicts}) == 13
    assert {name for name, verdict in verdicts.items() if verdict == "refuted"} == {
        f"mixoe {claim}_released" for claim in ("near", "oe", "acc")
    }
    assert {name for name, verdict in verdicts.items() if verdict == "inconclusive"} == {
        "lapt four_released", "mixoe far_released", "palm far_cider_released", "rfc-bonsai camelyon_released",
        "xtrust demonstrations_released",
    }  # fmt: skip
    assert {name for name, verdict in verdicts.items() if verdict == "not evaluable"} == {
        "lapt vs_neglabel_released", "palm near_released", "pose-examiner finetuning_standard_released",
    }  # fmt: skip
    assert Counter(verdicts.values())["supported"] == len(verdicts) - 11


def test_where_a_verdict_holds_is_said() -> None:
    for slug in SLUGS:
        for row in claims_of(slug):
            if row["part"] is None:
                assert str(row["reason"]).startswith(("these released numbers", "no interval can be had"))


# ------------------------------------------------------------------ cards of releases


@pytest.mark.parametrize(
    ("meaning", "text", "said"),
    [
        ({"spread": "sd"}, "model,auroc,sd\nm,90.1,x\n", "is '90.1 ± x'; expected a percent"),
        ({"spread": "deviation"}, "model,auroc,sd\nm,90.1,1\n", "its spread is in no column 'deviation'; known: .*sd"),
        ({"unit": "count"}, "model,auroc,sd\nm,90,1\n", "count of samples, but its card does not say the n"),
        ({"unit": "count", "n": 80}, "model,auroc,sd\nm,90,1\n", "'90'; expected a count from 0 to 80"),
    ],
)
def test_a_wrong_cell_is_told(
    meaning: dict[str, object], text: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    about = {"dataset": "d", "split": "test", "metric": "auroc", "unit": "percent", "seeds": 3}
    content = {"repository": "a/b", "commit": "0" * 40, "is": about, "each": {"model": "{model}"}}
    card = Card.model_validate({**content, "files": {"a.csv": {"columns": {"auroc": meaning}}}})
    monkeypatch.setattr(releases, "card", lambda _: card)
    with pytest.raises(DataError, match=said):
        releases.numbers("a", {"a.csv": text.encode()})
