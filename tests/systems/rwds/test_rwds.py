"""RWDS's card: leave one domain out, as many tiles as one source has, and nothing of a target in training."""

from __future__ import annotations

from typing import Any

from shiftbench import plugins
from shiftbench.plan import cards
from shiftbench.systems.rwds.datasets import _tiles

CARD = cards.load("rwds")
PARAMS: dict[str, Any] = CARD.params["embedded"]
ZONES = ("zone_a", "zone_b", "zone_c")


def options(name: str) -> dict[str, Any]:
    entry = PARAMS["datasets"][name]
    return {**plugins.find("datasets", entry["use"]).PARAMS, **entry}


def tiles(name: str) -> int:
    """Return how many training tiles a dataset has."""
    own = options(name)
    if own["use"] == "pooled":
        return sum(own["each"] or tiles(part) for part in own["of"])
    return int(
        own["train"] * len(_tiles.starts(own["side"], own["tile"], own["tile_overlap"])) ** 2
    )


def test_all_but_one_and_as_many_tiles_as_one_source() -> None:
    for zone in "abc":
        others = [name for name in ZONES if name != f"zone_{zone}"]
        for name in (f"not_{zone}", f"not_{zone}_equal"):
            assert options(name)["of"] == others
        assert tiles(f"not_{zone}") == 2 * tiles(f"zone_{zone}")
        assert tiles(f"not_{zone}_equal") == tiles(f"zone_{zone}") == 360


def test_every_pair_is_evaluated_and_no_target_is_learnt_from() -> None:
    pairs = set()
    for name, campaign in PARAMS["campaigns"].items():
        if name in ("a", "b", "c") or name.startswith("not_"):
            learnt = {campaign["dataset"]} | {w.get("dataset") for w in campaign["weights"]}
            for shift in campaign["shifts"]:
                target = PARAMS["shifts"][shift]["dataset"]
                pairs.add((campaign["dataset"], target))
                for source in filter(None, learnt):
                    assert target not in (source, *options(source).get("of", ()))
    single = {(one, two) for one in ZONES for two in ZONES if one != two}
    assert pairs == single | {(f"not_{zone}", f"zone_{zone}") for zone in "abc"}
