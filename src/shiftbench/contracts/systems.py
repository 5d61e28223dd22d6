"""Every card of a system: it says what it is, its plugins exist, it can be planned, its claims are sentences."""

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shiftbench.base import registry
from shiftbench.contracts import names
from shiftbench.statistics.claims import sentences, statements
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.plan import Plan

SLUGS = names("systems")
BUILT = [slug for slug in SLUGS if cards.load(slug).status == "built"]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_system_has_claims_and_limits(slug: str) -> None:
    card = cards.load(slug)
    assert card.claims, "a system without a claim cannot be checked"
    assert any(claim.value for claim in card.claims.values())
    assert card.not_exercised
    assert "embedded" in card.needs
    assert (cards.file(slug).parent / "README.md").is_file()


@pytest.mark.parametrize("slug", BUILT)
def test_what_a_built_card_needs_exists(slug: str) -> None:
    needs = cards.load(slug).needs["embedded"]
    for plugin_type in registry.PLUGIN_TYPES:
        for name in getattr(needs, plugin_type, ()):
            assert registry.file(plugin_type, name).is_file()


@pytest.mark.parametrize("slug", BUILT)
def test_the_rehearsal_is_planned_up_to_its_claims(slug: str) -> None:
    params = configurations.load(f"systems/{slug}/smoke")
    assert [ref for ref in Plan.of(params).artifacts if ref.kind == "claims"]


@pytest.mark.parametrize("slug", BUILT)
def test_what_is_claimed_at_full_scale_can_be_run_there(slug: str) -> None:
    card = cards.load(slug)
    for scale in ("full", "released"):
        claimed = [name for name, claim in card.claims.items() if claim.scale == scale]
        assert not claimed or scale in card.params, f"no params.{scale}, but {', '.join(claimed)}"


@pytest.mark.parametrize("slug", [slug for slug in BUILT if "released" in cards.load(slug).params])
def test_released_numbers_are_planned_up_to_the_claims(slug: str) -> None:
    params = configurations.load(f"systems/{slug}/released")
    assert params.released, "the configuration `released` names no releases"
    assert not params.benchmarks, "the configuration `released` measures nothing; leave out its benchmarks"
    kinds = [ref.kind for ref in Plan.of(params).artifacts]
    assert kinds.count("released") == len(params.released)
    assert "claims" in kinds
    card = cards.load(slug)
    expressions = [claim.value for claim in card.claims.values() if claim.scale == "released" and claim.value]
    expressions += [one for number in card.reported for one in number.from_released if one]
    for one in itertools.chain.from_iterable(map(leaves, expressions)):
        named = one.get("benchmark", list(params.released))
        unknown = {*([named] if isinstance(named, str) else named)} - {*params.released}
        assert not unknown, f"benchmark {', '.join(sorted(unknown))} is no release of this configuration"


@pytest.mark.parametrize("slug", SLUGS)
def test_what_is_judged_is_said_from_the_expression(slug: str) -> None:
    for name, claim in cards.load(slug).claims.items():
        if claim.value is None:
            continue
        given = claim.model_dump(mode="json")
        said = sentences.sentence(given)
        sorted_ = json.loads(json.dumps(given, sort_keys=True))  # as a receipt has it
        assert sentences.sentence(sorted_) == said, name
        metrics = set(itertools.chain.from_iterable(selectors(claim.value)))
        assert all(metric in said for metric in metrics), name
        bound = {"superiority": "lies above ", "equivalence": "lies within "}
        if claim.kind != "report":
            assert f"{bound[claim.kind]}{claim.margin:g}" in said, name
        assert claim.over is None or f" {claim.over}: " in said, name


def selectors(value: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the metrics of each selector of an expression."""
    for leaf in leaves(value):
        yield leaf["metric"] if isinstance(leaf["metric"], list) else [leaf["metric"]]


def leaves(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the selectors of an expression."""
    if "metric" in value:
        yield value
        return
    _, operand, _ = statements.parts(value)
    for one in operand if isinstance(operand, list) else [operand]:
        yield from leaves(one)
