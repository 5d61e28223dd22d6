"""No two splits of a card are one split: what "3 of 3 splits" counts is three different sets of held-out classes."""

from collections import defaultdict

import pytest

from makers.repositories import HOME
from shiftbench.base import registry
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.params import Params

PARTS = ("in", "out")
"""What the option `part` of a dataset that is cut into known and held-out classes may be."""


def class_sets(params: Params) -> dict[tuple[object, ...], dict[int, frozenset[str]]]:
    """Return the classes of each split, by everything else that decides them: file and options."""
    found: dict[tuple[object, ...], dict[int, frozenset[str]]] = defaultdict(dict)
    for name in params.datasets:
        file, options = params.use("datasets", name), params.options("datasets", name)
        module = registry.find("datasets", file)
        if "split" in options and options.get("part") in PARTS:
            others = sorted((k, str(v)) for k, v in options.items() if k != "split")
            of = frozenset(module.classes(options, {}))
            found[file, *others][options["split"]] = of
    return found


def twins(params: Params) -> list[str]:
    """Return which splits of what hold out the same classes."""
    return [
        f"{of}: splits {first} and {second} both have {', '.join(sorted(splits[first]))}"
        for of, splits in class_sets(params).items()
        for first in splits
        for second in splits
        if first < second and splits[first] == splits[second]
    ]


@pytest.mark.parametrize("slug", configurations.built_slugs())
def test_no_two_splits_of_a_card_hold_out_the_same_classes(slug: str) -> None:
    for scale in cards.load(slug).params:
        assert twins(configurations.load(f"systems/{slug}/{scale}", HOME)) == []


def test_two_splits_that_draw_the_same_classes_are_found() -> None:
    params = configurations.load("systems/pt-ood", HOME)
    entry = params.datasets["known_3"]
    same = entry.model_copy(update={"split": 3})  # draws the classes of split 1
    again = params.model_copy(update={"datasets": {**params.datasets, "known_3": same}})
    assert twins(params) == []
    assert len(twins(again)) == 1
