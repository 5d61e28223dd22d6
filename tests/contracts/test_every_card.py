"""Every card of a published system can be read; what a built one names exists."""

import itertools
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from typer.testing import CliRunner

from isolation import ROOT
from makers import null_rows
from shiftbench import cli
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.cli.documents import system_pages
from shiftbench.contracts.systems import *  # noqa: F403
from shiftbench.contracts.systems import leaves, selectors
from shiftbench.provenance import recipe
from shiftbench.report.measures import Measure
from shiftbench.statistics.claims import judgement, statements
from shiftbench.statistics.claims.statements import Claim
from shiftbench.workflow.plan import cards, configurations, resolved_plugin
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.stages import judge_claims

SLUGS = cards.slugs()
BUILT = configurations.built_slugs()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_card_says_what_it_is(slug):
    card = cards.load(slug)
    assert card.claims, "a system without a claim cannot be checked"
    assert card.reported or card.status == "planned"
    assert set(card.needs) >= {"embedded", "full"}
    assert card.not_exercised
    assert any(claim.value for claim in card.claims.values())


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with nothing but params.yaml."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("slug", BUILT)
def test_params_of_every_scale_are_right(slug, checkout):
    for scale in cards.load(slug).params:
        params = configurations.load(f"systems/{slug}/{scale}", checkout)
        assert params.system.scale == scale
        assert set(params.benchmarks).isdisjoint(configurations.load(None, checkout).benchmarks)
        assert [sorted(names) for names in arms(params).values() if len(names) > 1] == [], scale


def arms(params: Params) -> dict[tuple[str, ...], set[str]]:
    """Return the names of all arms, by what is the same under whatever name: files, options and data."""
    found: dict[tuple[str, ...], set[str]] = {}
    for name, benchmark in params.benchmarks.items():
        for own in benchmark.models:
            for model, trainer in itertools.product(own.architectures, own.trainers):
                parts = recipe_of(params, "models", model), recipe_of(params, "trainers", trainer)
                arm = (own.dataset or benchmark.dataset, *parts)
                found.setdefault(arm, set()).add(f"{model}-{trainer}")
        for family in ("methods", "detectors"):
            for one in getattr(benchmark, family):
                found.setdefault((name, recipe_of(params, family, one)), set()).add(one)
    return found


def recipe_of(params: Params, family: str, name: str) -> str:
    """Return what a recipe holds of a plugin, but for its name."""
    module = registry.find(family, params.use(family, name))
    entry = params.component(family, name).model_dump(mode="json", exclude={"use"})
    options = resolved_plugin.with_lists(params.options(family, name))
    return recipe.canonical([module.__file__, {**entry, **options}])


@pytest.mark.parametrize("slug", BUILT)
def test_what_a_full_scale_takes_is_estimated(slug):
    """Nobody here ran one, so that its hours and memory are numbers of their own, with what they were made from."""
    card = cards.load(slug)
    if "full" in card.params:
        takes = card.resources["full"]
        assert any(letter.isdigit() for letter in takes.estimated), "from no count, rate or time"
        assert takes.sentence() in system_pages.readme(ROOT, slug)
    assert not [what for what in card.needs["full"].others if "estimat" in what]


@pytest.mark.parametrize(
    ("takes", "why"),
    [
        ({"gpu_gb": 8, "cpu_hours": 1}, "gpu_gb and gpu_hours go together"),
        ({}, "hours are missing: gpu_hours, cpu_hours, or both"),
        ({"cpu_hours": 1, "memory_gb": 0}, "memory_gb"),
    ],
)
def test_an_estimate_that_is_none_is_refused(takes, why):
    with pytest.raises(ValidationError, match=why):
        cards.Resources.model_validate({"memory_gb": 1, "disk_gb": 1, "estimated": "2 runs"} | takes)


@pytest.mark.parametrize("slug", BUILT)
def test_numbers_of_a_paper_have_the_unit_of_those_measured(slug):
    """A share next to 93.82 reads as another result: if a paper prints percent, its card says so."""
    wrong = []
    for number, one in enumerate(cards.load(slug).reported):
        first = re.match(r"\d+\.?\d*", str(one.value))
        metrics = itertools.chain.from_iterable(selectors(one.measured)) if one.measured else ()
        shares = any(Measure.of(name, {}).percent for name in metrics)
        if shares and first and float(first[0]) > 1.5 and one.unit != "percent":
            wrong.append((number, one.metric, one.value))
    assert wrong == []


@pytest.mark.parametrize("slug", BUILT)
def test_every_claim_can_fail(slug, checkout):
    """Where values know nothing of the arms, each claim fails in some draws at least."""
    card, ranges = cards.load(slug), {}
    for scale in card.params:
        params = configurations.load(f"systems/{slug}/{scale}", checkout)
        ranges |= {n: registry.find("metrics", params.use("metrics", n)).RANGE for n in params.metrics}
    judged = {name: claim for name, claim in card.claims.items() if claim.kind != "report"}
    found = {name: null_rows.under_the_null(claim, ranges, 200) for name, claim in judged.items()}
    shaped = {name: values for name, values in found.items() if values is not None}
    assert len(shaped) >= len(found) - 1, "selectors that no rows were found for"
    assert [name for name, values in shaped.items() if not fails(judged[name], values)] == []


@pytest.mark.parametrize("slug", BUILT)
def test_draws_are_enough_for_every_verdict(slug, checkout):
    """An interval of error e takes 2 / e draws: 5% by looks, the card's judged claims, and the values that one has."""
    card = cards.load(slug)
    for scale in {"embedded", "full"} & set(card.params):
        params = configurations.load(f"systems/{slug}/{scale}", checkout)
        here = [claim for claim in card.claims.values() if claim.scale == scale]
        judged = [claim for claim in here if claim.kind != "report"]
        for claim in judged:
            error = judgement.share_of_error(len(judged), judge_claims.looks(card.looks, scale))
            needed = 2 * looked_at(claim, params) / error
            assert params.bootstrap.resamples >= needed - 1e-6, f"{scale}: {claim.says}"


def looked_at(claim: Claim, params: Params) -> int:
    """Return by how many values of a claim its error is divided, at most; with seeds as units draws decide no tail."""
    if claim.over == "seed":
        assert claim.value is not None
        asks = [leaf.get("benchmark") for leaf in leaves(claim.value)]
        named = {name for one in asks for name in (one if isinstance(one, list) else [one])}
        asked = [one for name, one in params.benchmarks.items() if None in named or name in named]
        n = max(len(own.seeds) for one in asked for own in one.models)
    elif claim.unit == "seed":
        return 0
    elif claim.over is None:
        return 1
    else:
        values = null_rows.under_the_null(claim, {}, 3)
        n = 1 if values is None else len(values)
    k = {"all": n, "exists": 1}.get(str(claim.quantifier), claim.quantifier)
    return max(k, n - k + 1)


def fails(claim: Claim, values: NDArray[np.float64]) -> bool:
    """Tell whether a claim does not hold in 1% at least of the draws in which its value is defined."""
    values = values[np.isfinite(values)]
    wrong = ~(np.abs(values) < claim.margin) if claim.kind == "equivalence" else ~(values > claim.margin)
    return bool(wrong.mean() >= 0.01)


def test_a_claim_that_cannot_fail_is_found():
    same = {"metric": "accuracy", "model": "net-erm"}
    highest = {"max": {"metric": "accuracy", "model": ["net-erm", "net-augmix"]}}
    with pytest.raises(ValidationError, match="both operands are the same"):
        Claim.model_validate({"says": "-", "value": {"difference": [same, same]}, "margin": -0.01})
    claim = Claim.model_validate({"says": "-", "value": {"difference": [highest, same]}, "margin": -0.01})
    assert not fails(claim, null_rows.under_the_null(claim, {"accuracy": (0, 1)}, 200))
    other = {"difference": [same, {**same, "model": "net-augmix"}]}
    claim = Claim.model_validate({"says": "-", "value": other, "margin": -0.01})
    assert fails(claim, null_rows.under_the_null(claim, {"accuracy": (0, 1)}, 200))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "done"}, 'status = "done": expected planned or built'),
        ({"status": "built"}, "a built card has params for 'embedded'"),
        ({"claims": {"a": {"says": "s", "value": {"differnce": []}}}}, "did you mean difference"),
        ({"claims": {"a": {"says": "s", "value": {"difference": [{"metric": "a"}]}}}}, "a list of two operands"),
        ({"claims": {"a": {"says": "s", "kind": "equivalence"}}}, "equivalence needs a margin above 0"),
        ({"colour": "red"}, "colour: unknown key; known: "),
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
    described = run(cli.app, ["describe", "system", SLUGS[0]]).output
    assert f"claim {claim}" in described
    assert f"full needs {cards.load(SLUGS[0]).resources['full'].sentence()[:40]}" in described
    wrong = run(cli.app, ["describe", "system", f"{SLUGS[0]}x"]).exception
    assert f"did you mean {SLUGS[0]}" in str(wrong)


# --- mistakes that reviews found in cards --------------------------------------------------------


def canonical(value: Mapping[str, Any]) -> tuple[str, int]:
    """Spell an expression, the sides of a difference in one order; 1, or -1 where they were exchanged."""
    if "metric" in value:
        return json.dumps(value, sort_keys=True), 1
    name, operand, over = statements.parts(value)
    sides = [canonical(one)[0] for one in (operand if name in statements.TWO else [operand])]
    turned = name == "difference" and sides != sorted(sides)
    return json.dumps([name, over, sides[::-1] if turned else sides]), -1 if turned else 1


@pytest.mark.parametrize("slug", BUILT)
def test_no_two_judged_claims_of_a_kind_are_one_number(slug):
    """Repeated and mirrored claims count twice among those that share the error, and among what is supported."""
    judged: dict[tuple[str, ...], list[tuple[str, int, float]]] = {}
    for name, claim in cards.load(slug).claims.items():
        if claim.kind == "report" or claim.value is None:
            continue
        said, sign = canonical(claim.value)
        others = judged.setdefault((claim.scale, claim.kind, claim.unit, str(claim.over), said), [])
        for other, turned, margin in others:
            mirrored = turned != sign and margin == -claim.margin
            assert turned != sign, f"{name} and {other} judge one number"
            assert not mirrored, f"{name} is {other} with the other sign"
        others.append((name, sign, claim.margin))


@pytest.mark.parametrize("slug", BUILT)
def test_a_judged_claim_can_have_units(slug):
    """A claim of new training runs names weights of several seeds; one seed has no interval."""
    card = cards.load(slug)
    for name, claim in card.claims.items():
        if claim.kind == "report" or claim.unit != "seed" or claim.scale != "embedded":
            continue
        assert claim.over != "seed", f"{name}: seeds are its units, and it is asked of each of them"


@pytest.mark.parametrize("slug", BUILT)
def test_who_claims_equal_training_has_it(slug):
    """`as many steps`: the arms that the claim compares have the same steps or epochs in params."""
    card = cards.load(slug)
    trainers = card.params["embedded"].get("trainers") or {}
    for name, claim in card.claims.items():
        if claim.scale != "embedded" or claim.value is None or not _says_equal(claim.says):
            continue
        lengths = {
            (key, options[key])
            for trainer in _trainers(claim.value)
            if (options := trainers.get(trainer))
            for key in ("steps", "epochs")
            if key in options
        }
        keys = [key for key, _ in lengths]
        assert len(keys) == len(set(keys)), f"{name} says that training is equal: {sorted(lengths)}"


def _says_equal(says: str) -> bool:
    return any(f"{word} steps" in says or f"{word} epochs" in says for word in ("as many", "same", "equal"))


def _trainers(value: Any) -> Iterator[str]:
    """Yield the trainers that an expression's weights name."""
    if isinstance(value, Mapping):
        named = value.get("model") or []
        for weights in [named] if isinstance(named, str) else named:
            parts = weights.rpartition("/")[2].split("-")
            yield from parts[1:2]
        for each in value.values():
            yield from _trainers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _trainers(each)
