"""RWDS's card: leave one domain out, as many tiles as one source has, and nothing of a target in training."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from isolation import ROOT
from makers import miniature_scenes
from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.data import pins, schema
from shiftbench.systems.rwds.datasets import _tiles
from shiftbench.workflow.plan import cards, plan
from shiftbench.workflow.tools import run_local

CARD = cards.load("rwds")
PARAMS: dict[str, Any] = CARD.params["embedded"]
ZONES = ("zone_a", "zone_b", "zone_c")


def options(name: str) -> dict[str, Any]:
    entry = PARAMS["datasets"][name]
    return {**defaults(registry.find("datasets", entry["use"])), **entry}


def tiles(name: str) -> int:
    """Return how many training tiles a dataset has."""
    own = options(name)
    if own["as_many_as"] if own["use"] == "pooled" else ():
        return min(map(tiles, own["as_many_as"])) // len(own["of"]) * len(own["of"])
    if own["use"] == "pooled":
        return sum(map(tiles, own["of"]))
    return int(own["train"] * len(_tiles.starts(own["side"], own["tile"], own["tile_overlap"])) ** 2)


def test_all_but_one_and_as_many_tiles_as_one_source() -> None:
    for zone in "abc":
        others = [name for name in ZONES if name != f"zone_{zone}"]
        for name in (f"not_{zone}", f"not_{zone}_equal"):
            assert options(name)["of"] == others
        assert tiles(f"not_{zone}") == 2 * tiles(f"zone_{zone}")
        assert tiles(f"not_{zone}_equal") == tiles(f"zone_{zone}") == 360


def test_at_full_scale_one_zone_and_two_have_as_many_tiles_as_the_smallest() -> None:
    sets = CARD.params["full"]["datasets"]
    zones = ["cz_a", "cz_b", "cz_c"]
    for zone in zones:
        letter = zone[-1]
        assert sets[f"{zone}_equal"]["of"] == [zone]
        assert sets[f"cz_not_{letter}_equal"]["of"] == [other for other in zones if other != zone]
    equal = [own for name, own in sets.items() if name.endswith("_equal")]
    assert [own["as_many_as"] for own in equal] == [zones] * 6


def test_every_pair_is_evaluated_and_no_target_is_learnt_from() -> None:
    pairs = set()
    for name, benchmark in PARAMS["benchmarks"].items():
        if name in ("a", "b", "c") or name.startswith("not_"):
            learnt = {benchmark["dataset"]} | {w.get("dataset") for w in benchmark["models"]}
            for shift in benchmark["shifts"]:
                target = PARAMS["shifts"][shift]["dataset"]
                pairs.add((benchmark["dataset"], target))
                for source in filter(None, learnt):
                    assert target not in (source, *options(source).get("of", ()))
    single = {(one, two) for one in ZONES for two in ZONES if one != two}
    assert pairs == single | {(f"not_{zone}", f"zone_{zone}") for zone in "abc"}


def results(file: Path, images: range) -> None:
    """Write what a detector would that finds the objects of some images of the miniature exactly."""
    file.parent.mkdir(parents=True)
    found = [{"image_id": n, "category_id": n % 2, "bbox": [1.0, 2, 20, 10], "score": 0.9} for n in images]
    file.write_text(json.dumps(found))


def test_the_results_of_a_detector_are_scored_on_the_released_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At home all is found (mAP 1), elsewhere one object of two of one class and none of the other (51 / 101 / 2)."""
    monkeypatch.chdir(tmp_path)
    root = miniature_scenes.rwds(tmp_path)[1]["root"]
    for at, split in enumerate(("train", "val", "test")):
        miniature_scenes.rwds_split(Path(root) / "RWDS_CZ" / split, f"Group_B_{split}", 100 + 10 * at)
    results(tmp_path / "theirs/cz_a/cz_a/test.bbox.json", range(3))
    results(tmp_path / "theirs/cz_a/cz_b/test.bbox.json", range(1))
    pins.pin([Path("theirs")])
    overlay = {
        "datasets": {f"cz_{zone.lower()}": {"use": "rwds", "root": root, "domain": zone} for zone in "AB"},
        "shifts": {"to_cz_b": {"use": "domain", "dataset": "cz_b", "clean": "*"}},
        "models": {"theirs": {"use": "box_predictions", "path": "{model}/{dataset}", "categories": [0, 1]}},
        "metrics": {
            "map": {},
            "pd": {"use": "accuracy_drop_relative", "of": "map"},
            "h": {"use": "harmonic_mean", "of": "map"},
        },
        "bootstrap": {"resamples": 20},
        "benchmarks": {
            "cz_a": {
                "dataset": "cz_a",
                "models": [{"architectures": ["theirs"], "trainers": ["given"]}],
                "shifts": ["to_cz_b"],
                "metrics": ["map", "pd", "h"],
            }
        },
    }
    own = yaml.safe_load((ROOT / "params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**own, "benchmarks": {}}))
    Path("params").mkdir()
    Path("params/mine.yaml").write_text(yaml.safe_dump(overlay))
    planned, made = plan.load("mine")
    run_local.make(planned, made)
    table = pl.DataFrame(schema.read(made / Ref("tables", "cz_a").path)).filter(pl.col("seed") == 0)
    rows = table.filter(pl.col("group").is_null(), pl.col("shift").is_not_null())
    found = {(r["metric"], r["shift"]): r["value"] for r in rows.iter_rows(named=True)}
    elsewhere = 51 / 101 / 2
    assert found["map", "identity"] == pytest.approx(1)
    assert found["map", "to_cz_b"] == pytest.approx(elsewhere)
    assert found["pd", "to_cz_b"] == pytest.approx(1 - elsewhere)
    assert found["h", "to_cz_b"] == pytest.approx(2 * elsewhere / (1 + elsewhere))
