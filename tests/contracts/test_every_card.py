"""Every card of a published system can be read; what a built one names exists."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shiftbench import cards, cli, plugins
from shiftbench.errors import ParamsError

FOLDER = Path(__file__).resolve().parents[2] / "systems"
SLUGS = cards.slugs(FOLDER)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_card_says_what_it_is(slug):
    card = cards.load(slug, FOLDER)
    assert card.claims, "a system without a claim cannot be checked"
    assert card.reported or card.status == "planned"
    assert set(card.needs) >= {"embedded", "full"}
    assert card.not_exercised
    assert any(claim.value for claim in card.claims.values())


@pytest.mark.parametrize("slug", SLUGS)
def test_what_a_built_card_needs_exists(slug):
    card = cards.load(slug, FOLDER)
    if card.status == "planned":
        return
    for family in ("datasets", "shifts", "models", "trainers", "methods", "detectors", "metrics"):
        for name in getattr(card.needs["embedded"], family):
            assert plugins.file(family, name).is_file()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "done"}, "status: Input should be 'planned' or 'built'"),
        ({"status": "built"}, "a built card has params for 'embedded'"),
        ({"claims": {"a": {"says": "s", "value": {"differnce": []}}}}, "did you mean difference"),
        (
            {"claims": {"a": {"says": "s", "value": {"difference": [{"metric": "a"}]}}}},
            "a list of two operands",
        ),
        (
            {"claims": {"a": {"says": "s", "kind": "equivalence"}}},
            "equivalence needs a margin above 0",
        ),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path, change, why):
    import yaml

    content = yaml.safe_load((FOLDER / f"{SLUGS[0]}.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(ParamsError, match="mine.yaml") as refused:
        cards.load("mine", tmp_path)
    assert why in str(refused.value)


def test_cards_are_listed_and_described(monkeypatch):
    monkeypatch.chdir(FOLDER.parent)
    run = CliRunner(env={"COLUMNS": "250"}).invoke
    listed = run(cli.app, ["list", "systems"]).output
    assert f"{len(SLUGS)} systems" in listed
    assert all(slug in listed for slug in SLUGS)
    claim = next(iter(cards.load(SLUGS[0]).claims))
    assert f"claim {claim}" in run(cli.app, ["describe", "system", SLUGS[0]]).output
    wrong = run(cli.app, ["describe", "system", f"{SLUGS[0]}x"]).exception
    assert f"did you mean {SLUGS[0]}" in str(wrong)
