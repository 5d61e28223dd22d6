"""Scenes in zones, tiles that overlap, pooled domains, H and PD: what RWDS needs of the core."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import miniature_scenes
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.data import boxes, shards, splits
from shiftbench.plugins.datasets import pooled
from shiftbench.plugins.metrics.severity import accuracy_drop_relative
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.statistics.rows import Row
from shiftbench.systems.rwds.datasets import _tiles, _zones, rwds, zone_scenes
from shiftbench.systems.rwds.metrics import harmonic_mean

DRAWS = np.array([0.01, -0.02])


@functools.cache
def originals() -> dict[str, Path]:
    """Return photos of ours, and items in the layout of Fashion-MNIST: rounded boxes, ten of each class."""
    found = shift_digests.originals()
    folder = found[_scikit_photos.SOURCE].parent / "fashion_mnist"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("train", "t10k"):
        images = np.zeros((100, 28, 28), np.uint8)
        for image in images:
            tall, wide = random.integers(12, 24, 2)
            image[4 : 4 + tall, 2 : 2 + wide] = random.integers(60, 256, (tall, wide))
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(100) % 10)):
            head = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
            raw = head + array.astype(np.uint8).tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(raw)
    return {**found, "fashion_mnist": folder}


def scenes(split: str = "test", **options: Any) -> list[Sample]:
    small = {"train": 2, "test": 2, "side": 200, "objects": [12, 16], "name": "z"}
    return list(zone_scenes.samples(split, originals(), {**defaults(zone_scenes), **small, **options}))


# --- tiles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "side", "overlap"), [(320, 128, 0.2), (129, 128, 0.5), (97, 32, 0.0)])
def test_tiles_cover_the_image(length: int, side: int, overlap: float) -> None:
    image = np.arange(length * length, dtype=np.uint32).astype(np.uint8).reshape(length, length)
    again, covered = np.zeros_like(image), np.zeros(image.shape, bool)
    for tile in _tiles.tiles(image, [], side, overlap, 0.5):
        assert tile.pixels.shape == (side, side)
        place = slice(tile.top, tile.top + side), slice(tile.left, tile.left + side)
        again[place], covered[place] = tile.pixels, True
    assert covered.all()
    assert np.array_equal(again, image)


def test_boxes_survive_the_round_trip() -> None:
    random = np.random.default_rng(0)
    corners, sizes = random.integers(0, 290, (40, 2)), random.integers(5, 30, (40, 2))
    whole = [
        {"box": [*map(float, (*corner, *size))], "label": at, "area": float(size.prod())}
        for at, (corner, size) in enumerate(zip(corners, sizes, strict=True))
    ]
    image = np.zeros((320, 320, 3), np.uint8)
    found: dict[int, list[list[float]]] = {}
    for tile in _tiles.tiles(image, whole, 128, 0.2, 0.4):
        boxes.check("k", tile.boxes, tile.pixels.shape, 40)
        for box in tile.boxes:
            x, y, w, h = box["box"]
            share = w * h / (whole[box["label"]]["box"][2] * whole[box["label"]]["box"][3])
            assert share >= 0.4
            assert box["area"] == pytest.approx(share * whole[box["label"]]["area"])
            found.setdefault(box["label"], []).append([x + tile.left, y + tile.top, w, h])
    # Tiles share 25 pixels: each box is whole in one tile, or cut in at least one.
    assert set(found) == set(range(40))
    for label, places in found.items():
        x, y, w, h = whole[label]["box"]
        assert min(place[0] for place in places) >= x
        assert max(place[1] + place[3] for place in places) <= y + h
    whole_ones = [at for at, places in found.items() if whole[at]["box"] in places]
    assert len(whole_ones) > 30


def test_an_image_smaller_than_a_tile_is_one_tile() -> None:
    (tile,) = _tiles.tiles(np.zeros((20, 30), np.uint8), [], 64, 0.2, 0.1)
    assert tile.pixels.shape == (20, 30)


@pytest.mark.parametrize(("side", "overlap", "visible"), [(0, 0.2, 0.5), (32, 1.0, 0.5), (32, 0.2, 0.0)])
def test_tiles_that_cannot_be_cut_are_refused(side: int, overlap: float, visible: float) -> None:
    with pytest.raises(ParamsError, match="cannot be cut|expected a share"):
        list(_tiles.tiles(np.zeros((64, 64), np.uint8), [], side, overlap, visible))


# --- zones ---------------------------------------------------------------------------------------


def test_between_zones_everything_moves_and_ends_at_the_target() -> None:
    whole = {"target": "b", "look": 1.0, "sizes": 1.0, "classes": 1.0}
    start, end = scenes(zone="a"), scenes(zone="b")
    moved = scenes(zone="a", **whole)
    for one, other in zip(moved, end, strict=True):
        assert np.array_equal(one.fields["image"], other.fields["image"])
        assert one.fields["boxes"] == other.fields["boxes"]
        assert one.fields["meta"] == other.fields["meta"]  # one cluster: zones are paired
    distances = []
    for share in (0.25, 0.5, 0.75):
        between = scenes(zone="a", **{**whole, "look": share, "sizes": share, "classes": share})
        distances.append(apart(start, between))
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert distances[-1] < apart(start, end)


def apart(one: list[Sample], other: list[Sample]) -> float:
    pairs = zip(one, other, strict=True)
    return float(np.mean([np.abs(a.fields["image"].astype(int) - b.fields["image"]).mean() for a, b in pairs]))


def test_look_sizes_and_classes_shift_by_themselves() -> None:
    def labels(found: list[Sample]) -> list[int]:
        return [box["label"] for sample in found for box in sample.fields["boxes"]]

    start = scenes(zone="a")
    look = scenes(zone="a", target="c", look=1.0)
    assert [s.fields["boxes"] for s in look] == [s.fields["boxes"] for s in start]
    assert apart(start, look) > 5
    smaller = scenes(zone="a", target="c", sizes=1.0)
    area = [np.mean([b["area"] for s in found for b in s.fields["boxes"]]) for found in (start, smaller)]
    assert area[1] < 0.8 * area[0]
    prior = scenes(zone="a", target="c", classes=1.0, test=6)
    counts = [np.bincount(labels(found), minlength=4) for found in (scenes(zone="a", test=6), prior)]
    assert counts[0][0] > counts[1][0]
    assert counts[0][3] < counts[1][3]


def test_no_scene_item_or_ground_is_in_training_and_test() -> None:
    parts = {split: scenes(split, val=2) for split in splits.SPLITS}
    groups = [{zone_scenes.group(sample) for sample in part} for part in parts.values()]
    assert list(map(len, groups)) == [2, 2, 2]
    assert len(set.union(*groups)) == 6
    for names in (zone_scenes.FILES, zone_scenes.HALVES):
        assert names["test"] not in (names["train"], names["val"])
    other = {zone_scenes.group(sample) for sample in scenes("train", zone="b")}
    assert not other & groups[0]  # sources are other places


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"zone": "d"}, "no zone is called 'd'"),
        ({"target": "b", "look": 1.5}, "look is 1.5; expected a share"),
        ({"objects": [5, 2]}, r"objects is \[5, 2\]"),
        ({"tile": 400}, "tile is 400 and side 200"),
    ],
)
def test_scenes_that_cannot_be_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        scenes(**options)


def test_zones_differ_in_all_that_shifts() -> None:
    for field in ("photo", "tint", "shadow", "sizes", "classes"):
        assert len({getattr(zone, field) for zone in _zones.ZONES.values()}) == 3
    assert all(len(zone.classes) == len(zone_scenes.CLASSES) for zone in _zones.ZONES.values())


# --- pooled --------------------------------------------------------------------------------------


def stored(tmp_path: Path, name: str, classes: list[str], count: int) -> tuple[refs.Ref, Path]:
    folder = tmp_path / name
    folder.mkdir()
    image = np.zeros((8, 8, 3), np.uint8)
    found = [
        Sample(f"{name}/{at:03d}", {"image": image + at, "boxes": [], "meta": {"cluster": f"c{at // 2}"}})
        for at in range(count)
    ]
    fields = registry.find("tasks", "detection").FIELDS
    shards.write(found, folder, fields, {"classes": classes}, 1_000_000)
    return refs.shards(name, "train"), folder / "manifest.json"


def test_pooled_domains_keep_clusters_and_can_be_as_many_as_one(tmp_path: Path) -> None:
    inputs = dict(stored(tmp_path, name, ["x", "y"], 6) for name in ("one", "two"))
    params = {**defaults(pooled), "of": ["one", "two"], "name": "both"}
    assert pooled.classes(params, {}, inputs) == ("x", "y")
    whole = list(pooled.samples("train", {}, params, inputs))
    assert [s.key for s in whole[:2]] == ["both/one/000", "both/one/001"]
    assert whole[3].fields["meta"] == {"cluster": "c1", "domain": "one"}
    half = list(pooled.samples("train", {}, {**params, "each": 3}, inputs))
    assert len(half) == 6 == len(whole) / 2
    assert {s.key for s in half} < {s.key for s in whole}
    assert len(list(pooled.samples("test", {}, {**params, "each": 3}, inputs))) == 12
    inputs |= [stored(tmp_path, "three", ["x", "z"], 2)]
    with pytest.raises(ParamsError, match="three has other classes than one"):
        pooled.classes({**params, "of": ["one", "two", "three"]}, {}, inputs)


def test_sources_of_any_size_give_as_many_as_the_smallest(tmp_path: Path) -> None:
    sizes = {"one": 9, "two": 7, "three": 20}
    inputs = dict(stored(tmp_path, name, ["x", "y"], count) for name, count in sizes.items())

    def counted(*of: str) -> dict[str, int]:
        params = {**defaults(pooled), "of": list(of), "as_many_as": list(sizes), "name": "p"}
        assert {ref.parts[0] for ref in pooled.needs(params)} == set(sizes)
        assert {ref.parts[0] for ref in pooled.needs({**params, "split": "test"})} == set(of)
        found = [sample.fields["meta"]["domain"] for sample in pooled.samples("train", {}, params, inputs)]
        return {name: found.count(name) for name in of}

    assert [counted(name) for name in sizes] == [{name: 7} for name in sizes]
    assert counted("one", "three") == {"one": 3, "three": 3}  # 7 // 2 of each
    with pytest.raises(ParamsError, match="each and as_many_as say the same"):
        pooled.needs({**defaults(pooled), "each": 1, "as_many_as": ["one"]})
    few = {**defaults(pooled), "of": list(sizes), "as_many_as": ["four"], "name": "p"}
    with pytest.raises(ParamsError, match="has 2 training samples, which 3 parts cannot share"):
        list(pooled.samples("train", {}, few, inputs | dict([stored(tmp_path, "four", ["x", "y"], 2)])))


# --- PD and H ------------------------------------------------------------------------------------


def row(value: float, shift: str = "identity", severity: float | None = 0.0) -> Row:
    reference = None if shift == "identity" else "zone_a/test/identity/0"
    who = ("c", "detection", "zone_a/net-boxes", "plain", None, "zone_a", "test", reference, shift, severity)
    return Row(*who, None, None, "map", value, value + DRAWS, 10, None, "cluster")


def measured(metric: Any, *rows: Row) -> dict[str | None, Row]:
    return {one.shift: one for one in metric.compute(list(rows), of="map")}


def test_pd_and_h_average_targets_first() -> None:
    rows = row(0.4), row(0.1, "to_b", None), row(0.3, "to_c", None)
    drops, means = measured(accuracy_drop_relative, *rows), measured(harmonic_mean, *rows)
    assert drops["to_b"].value == pytest.approx((0.4 - 0.1) / 0.4)
    assert means["to_b"].value == pytest.approx(2 * 0.4 * 0.1 / 0.5)
    assert drops[None].value == pytest.approx((0.4 - 0.2) / 0.4)  # mAP_OOD averaged over targets
    assert means[None].value == pytest.approx(2 * 0.4 * 0.2 / 0.6)
    moved = 0.4 + DRAWS, 0.1 + DRAWS
    assert means["to_b"].resamples == pytest.approx(2 * moved[0] * moved[1] / (moved[0] + moved[1]))


def test_pd_and_h_of_nothing_are_null() -> None:
    both = row(0.0), row(0.0, "to_b", None)
    assert np.isnan(measured(accuracy_drop_relative, *both)["to_b"].value)
    assert np.isnan(measured(harmonic_mean, *both)["to_b"].value)
    only = row(0.0), row(0.2, "to_b", None)
    assert np.isnan(measured(accuracy_drop_relative, *only)["to_b"].value)  # null, not infinite
    assert measured(harmonic_mean, *only)["to_b"].value == 0


# --- the released layout --------------------------------------------------------------------------


def released(tmp_path: Path, split: str = "test", **options: Any) -> list[Sample]:
    params = {**defaults(rwds), "root": str(tmp_path), "part": "CZ", "domain": "A", "name": "r"}
    found = list(rwds.samples(split, {}, {**params, **options}))
    assert all(isinstance(sample, Sample) for sample in found)
    return found  # type: ignore[return-value]


def test_the_released_names_of_files_are_read(tmp_path: Path) -> None:
    _, options = miniature_scenes.rwds(tmp_path)
    found = released(tmp_path, **options)
    assert [sample.key for sample in found] == [f"r/test/{n:012d}" for n in range(3)]
    assert [rwds.group(sample) for sample in found] == ["rwds/CZ/20", "rwds/CZ/20", "rwds/CZ/21"]
    assert [len(sample.fields["boxes"]) for sample in found] == [1, 1, 1]
    params = {**defaults(rwds), **options}
    assert rwds.classes(params, {}) == ("Small Car", "Truck Tractor w/ Box Trailer")
    assert len(rwds.wants("train", params)) == 2


OFFICIAL = {
    "CZ": [
        *("Group_A", "Group_B", "Group_C", "Group_combined"),
        *("Group_ms_unseen_group_A", "Group_ms_unseen_group_B", "Group_ms_unseen_group_C"),
    ],
    "FR": ["Flooding_Group_India", "Flooding_Group_US", "Flooding_Group_combined"],
    "HE": [
        *("Hurricane_Group_florence", "Hurricane_Group_harvey", "Hurricane_Group_matthew"),
        *("Hurricane_Group_michael", "Hurricane_Group_combined"),
        *("Hurricane_Group_ms_unseen_florence", "Hurricane_Group_ms_unseen_harvey"),
        *("Hurricane_Group_ms_unseen_matthew", "Hurricane_Group_ms_unseen_michael"),
    ],
}
"""All names in the configurations of RWGAI/RWDS at 720c411, before `_{split}_512_02.json`; each in six of them."""


def test_files_have_the_names_of_the_official_configurations(tmp_path: Path) -> None:
    for part, stems in OFFICIAL.items():
        asked = [("combined", ""), *((s, d) for s in ("single", "unseen") for d in rwds.DOMAINS[part])]
        found = set()
        for setting, domain in asked:
            options = {"root": str(tmp_path), "part": part, "setting": setting, "domain": domain}
            if (part, setting) == ("FR", "unseen"):
                with pytest.raises(ParamsError, match="FR has two domains"):
                    rwds.wants("test", {**defaults(rwds), **options})
                continue
            for split in rwds.NATIVE:
                found |= set(rwds.wants(split, {**defaults(rwds), **options}))
        assert found == {
            f"{tmp_path}/RWDS_{part}/{split}/{stem}_{split}_{end}"
            for stem in stems
            for split in ("train", "val", "test")
            for end in ("512_02.json", "images_512_02")
        }


def test_the_folder_may_be_spelt_as_in_the_readme(tmp_path: Path) -> None:
    for at, split in enumerate(("train", "val", "test")):
        stem = f"Hurricane_Group_ms_unseen_harvey_{split}"
        miniature_scenes.rwds_split(tmp_path / "RWDS-HE" / split, stem, 10 * at)
    assert len(released(tmp_path, part="HE", domain="harvey", setting="unseen")) == 3


def test_an_image_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        first = {"train": 0, "val": 10, "test": 1}[split]  # image 1 is in train, too
        miniature_scenes.rwds_split(tmp_path / "RWDS_CZ" / split, f"Group_A_{split}", first)
    with pytest.raises(DataError, match="tiles of the image 1 are in train and in test"):
        released(tmp_path)
    assert len(released(tmp_path, leaks="allow")) == 3


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"part": "XX"}, "part is 'XX'"),
        ({"setting": "multi"}, "setting is 'multi'"),
        ({"domain": "D"}, "domain is 'D'; CZ has A, B, C"),
        ({"root": ""}, "root is missing"),
        ({"leaks": "maybe"}, "leaks is 'maybe'"),
    ],
)
def test_what_rwds_does_not_have_is_told(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        released(tmp_path, **options)
    with pytest.raises(DataError, match="Group_A_train_512_02.json is missing"):
        released(tmp_path)
