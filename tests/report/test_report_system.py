"""The report's chapter of a published system: its first sentence, its intervals and its figures' captions."""

import re
from typing import Any

import polars as pl
import pytest

from shiftbench.data import claim_formats, formats
from shiftbench.report.system import System
from shiftbench.workflow.plan import cards

ABOUT = {
    "auroc": {"unit": "probability", "range": [0, 1]},
    "drop": {"unit": "share", "range": [-1, 1]},
    "loss": {"unit": "nat", "range": [0, None]},
}
EMPTY = pl.DataFrame()
AUROC, DROP, LOSS = ({"metric": name} for name in ABOUT)


def claims(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of format CLAIMS; columns that a row does not name are null."""
    names = claim_formats.CLAIMS.names
    schema = pl.from_arrow(claim_formats.CLAIMS.arrow.empty_table()).schema  # type: ignore[union-attr]
    return pl.DataFrame([{name: row.get(name) for name in names} for row in rows], schema=schema)


def system(verdicts: list[str], scale: str = "embedded") -> System:
    """A system with one claim of each verdict, named a, b, c, ..."""
    names = [chr(ord("a") + at) for at in range(len(verdicts))]
    rule = {"kind": "superiority", "margin": 0, "over": None, "quantifier": "all", "unit": "key"}
    card = {
        "scale": scale,
        "order": names,
        "claims": {name: {"says": name, "against": False, "value": AUROC, **rule} for name in names},
    }
    rows = [{"claim": name, "verdict": verdict} for name, verdict in zip(names, verdicts, strict=True)]
    return System(card, claims(*rows), EMPTY, EMPTY, ABOUT)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["supported"] * 3 + ["refuted", "reported"], "3 of 4 claims hold here; refuted: “d”."),
        (["supported", "inconclusive"], "1 of 2 claims holds here; inconclusive: “b”."),
        (["supported"] * 2, "All 2 claims hold here."),
        (["supported"], "The only claim holds here."),
        (["refuted", "inconclusive"], "None of the 2 claims holds here; refuted: “a”; inconclusive: “b”."),
        (["inconclusive"] * 4, "All 4 claims are inconclusive here."),
        (["refuted"] + ["inconclusive"] * 4, "None of the 5 claims holds here; refuted: “a”; inconclusive: 4 claims."),
        (["reported", "not evaluable"], "No claim is judged in this configuration."),
    ],
)
def test_the_first_sentence_states_the_verdicts(verdicts: list[str], said: str) -> None:
    assert system(verdicts).finding == said


def test_a_rehearsal_finds_nothing() -> None:
    assert system(["supported"], "smoke").finding == ""


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        (AUROC, "[0, 1]"),
        ({"mean": AUROC, "over": "dataset"}, "[0, 1]"),
        ({"difference": [AUROC, AUROC]}, "[-1, 1]"),
        ({"difference": [DROP, DROP]}, "[-2, 2]"),
        ({"difference": [{"max": AUROC}, {"mean": AUROC}]}, "[-1, 1]"),
        ({"spearman": [AUROC, LOSS]}, "[-1, 1]"),
        (LOSS, "[0, 11.41]"),
        ({"ratio": [AUROC, AUROC]}, "[-11.27, 11.41]"),
    ],
)
def test_intervals_end_where_values_do(expression: dict[str, Any], shown: str) -> None:
    row = {"claim": "a", "verdict": "reported", "value": 0.07, "ci_low": -11.27, "ci_high": 11.41, "seeds": 3}
    one = system(["reported"])
    one.card["claims"]["a"]["value"] = expression
    (verdict,) = System(one.card, claims(row), EMPTY, EMPTY, ABOUT).verdicts
    assert verdict.value.replace("\N{MINUS SIGN}", "-") == f"0.07 {shown}"


def test_two_seeds_have_no_interval() -> None:
    row = {"claim": "a", "verdict": "reported", "value": 0.07, "ci_low": -11.27, "ci_high": 11.41, "seeds": 2}
    (verdict,) = System(system(["reported"]).card, claims(row), EMPTY, EMPTY, ABOUT).verdicts
    assert verdict.value == "0.07 (2 seeds: no usable interval)"


def sweep(seeds: dict[str, int]) -> System:
    """A figure of AUROC over a sweep of models, each with as many training seeds as stated; 0: it has none."""
    names = (*formats.METRICS.key, "seed")
    places = [(model, None) for model in seeds]
    places += [(f"{model}-s{seed}", seed) for model, count in seeds.items() for seed in range(count)]
    rows = pl.DataFrame(
        [{**dict.fromkeys(names), "benchmark": "b", "metric": "auroc", "model": m, "seed": seed} for m, seed in places],
        schema=dict.fromkeys(formats.METRICS.key, pl.String) | {"seed": pl.Int64},
    )
    colours = ("digits", "far", "mnist")
    points = [
        {"figure": 0, "colour": colour, "x": model, "value": 0.5, "ci_low": None, "ci_high": None}
        for model in seeds
        for colour in colours
    ]
    labels = [["mnist", "MNIST"], ["digits", "digits"], ["far", "mean of both"], ["model", "prototypes per class"]]
    figure = {
        "title": "Sweep", "note": "One network.", "kind": "lines", "rows": {"metric": "auroc"}, "x": "model",
        "colour": "dataset", "labels": labels + [[model, at] for at, model in enumerate(seeds)],
    }  # fmt: skip
    return System({"figures": [figure]}, EMPTY, EMPTY, pl.DataFrame(points), ABOUT, rows)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ({"a-x": 2, "a-y": 2}, "One network. Means of 2 training seeds, which have no interval."),
        ({"a-x": 2, "a-y": 5}, "One network. Each value is a mean of 2 to 5 training seeds."),
        ({"a-x": 1}, "One network. One training seed."),
        ({"a-x": 3, "a-y": 0}, "One network. Means of 3 training seeds."),
        ({"a-x": 0}, "One network."),
    ],
)
def test_a_caption_has_the_number_of_seeds_of_the_run(seeds: dict[str, int], said: str) -> None:
    (panel,) = sweep(seeds).panels
    assert panel.note == said


def test_a_sweep_has_the_cards_order_and_axis() -> None:
    (panel,) = sweep({"a-x": 2, "a-y": 2}).panels
    assert [style.title for style in panel.legend] == ["MNIST", "digits", "mean of both"]
    (figure,) = (shot for shots in panel.figures.values() for shot in shots.values())
    assert figure["x"]["title"] == "prototypes per class"


@pytest.mark.parametrize("slug", cards.slugs())
def test_no_card_states_the_seeds_of_a_run(slug: str) -> None:
    stated = re.compile(r"\b(one|two|three|four|five|eight|ten|\d+)\b( training)? seeds?\b(?! must)", re.IGNORECASE)
    assert [figure.note for figure in cards.load(slug).figures if stated.search(figure.note)] == []


@pytest.mark.parametrize("slug", cards.slugs())
def test_no_axis_has_the_name_of_a_column(slug: str) -> None:
    """An axis of numbers has a title that a reader knows; a severity is called so everywhere."""
    lines = [figure for figure in cards.load(slug).figures if figure.kind == "lines"]
    assert [one.title for one in lines if one.x != "severity" and one.x not in one.labels] == []
