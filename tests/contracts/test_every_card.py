"""Every card of a published system can be read; what a built one names exists."""

from __future__ import annotations

import shutil

import pytest
from markupsafe import escape
from typer.testing import CliRunner

from isolation import ROOT
from shiftbench import cli, plugins
from shiftbench.data import claim_formats, schema
from shiftbench.errors import ParamsError
from shiftbench.plan import cards, scales
from shiftbench.plan import plan as plans
from shiftbench.refs import Ref
from shiftbench.stages import judge_claims
from shiftbench.tools import run_local

SLUGS = cards.slugs()
BUILT = scales.built()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_card_says_what_it_is(slug):
    card = cards.load(slug)
    assert card.claims, "a system without a claim cannot be checked"
    assert card.reported or card.status == "planned"
    assert set(card.needs) >= {"embedded", "full"}
    assert card.not_exercised
    assert any(claim.value for claim in card.claims.values())


@pytest.mark.parametrize("slug", SLUGS)
def test_what_a_built_card_needs_exists(slug):
    card = cards.load(slug)
    if card.status == "planned":
        return
    for family in plugins.FAMILIES:
        for name in getattr(card.needs["embedded"], family, ()):
            assert plugins.file(family, name).is_file()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with nothing but params.yaml."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("slug", BUILT)
def test_params_of_every_scale_are_right(slug, checkout):
    for scale in cards.load(slug).params:
        params = scales.load(f"systems/{slug}/{scale}", checkout)
        assert params.system.scale == scale
        assert set(params.campaigns).isdisjoint(scales.load(None, checkout).campaigns)


@pytest.mark.network
@pytest.mark.parametrize("slug", BUILT)
def test_a_rehearsal_judges_every_embedded_claim(slug, checkout):
    """At smoke scale, all in this process: every selector finds its rows, every figure its points."""
    planned, root = plans.load(f"systems/{slug}/smoke")
    run_local.make(planned, root)
    rows = judge_claims.claims_of(root, slug).to_pylist()
    card = cards.load(slug)
    embedded = {name for name, claim in card.claims.items() if claim.scale == "embedded"}
    open_ = {row["claim"]: row["reason"] for row in rows if row["verdict"] == "not evaluable"}
    assert {name: why for name, why in open_.items() if not why.startswith("the gate is")} == {}
    assert embedded == {row["claim"] for row in rows if row["verdict"] != "not run at this scale"}
    folder = (root / Ref("claims", slug).path).parent
    measured = schema.read(folder / "measured.parquet", form=claim_formats.MEASURED).to_pylist()
    assert [row["reason"] for row in measured if row["reason"]] == []
    points = schema.read(folder / "figures.parquet", form=claim_formats.FIGURES).column("figure")
    assert set(points.to_pylist()) == set(range(len(card.figures)))
    page = (root / "results/report/index.html").read_text()
    assert all(escape(figure.title) in page for figure in card.figures)
    assert all(state == "fresh" for job in planned.status(root).values() for state in job.values())


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

    content = yaml.safe_load(cards.file(SLUGS[0]).read_text())
    content |= {"status": "planned", "params": {}}  # whatever the first card is
    (tmp_path / "card.yaml").write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(ParamsError, match="card.yaml") as refused:
        cards.read(tmp_path / "card.yaml")
    assert why in str(refused.value)


def test_cards_are_listed_and_described(in_pristine):
    run = CliRunner(env={"COLUMNS": "250"}).invoke
    listed = run(cli.app, ["list", "systems"]).output
    assert f"{len(SLUGS)} systems" in listed
    assert all(slug in listed for slug in SLUGS)
    claim = next(iter(cards.load(SLUGS[0]).claims))
    assert f"claim {claim}" in run(cli.app, ["describe", "system", SLUGS[0]]).output
    wrong = run(cli.app, ["describe", "system", f"{SLUGS[0]}x"]).exception
    assert f"did you mean {SLUGS[0]}" in str(wrong)
