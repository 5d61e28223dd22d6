"""CompNet, UGT and their comparators as methods around a net; occluders, overlaps, loaders."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers import compnet_miniature, tiny_targets
from makers.tiny_targets import HELD, NET, NOISE, TRAIN, WEIGHTS, WRONG, net, seen
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.methods import _targets
from shiftbench.systems.ugt_compnets.analyses import occlusion_overlap
from shiftbench.systems.ugt_compnets.datasets import oodcv, pascal3d
from shiftbench.systems.ugt_compnets.methods import compnet
from shiftbench.systems.ugt_compnets.shifts import occlusion_texture

SMALL = {
    **defaults(compnet), "kernels": 8, "positions": 6, "border": 1, "mixtures": 2, "grouping": "kmeans",
    "noise_images": 8, "epochs": 2, "confidence": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    return tiny_targets.places(tmp_path_factory.mktemp("ugt"))


def answers(places: dict[Ref, Path], at: Ref, *more: Ref, **options: Any) -> Any:
    found = compnet.wrap(net(places), {**SMALL, **options}, {})
    found.at(seen(places, TRAIN, at, *more))
    return found(list(shards.read(places[at].parent)))["logits"]


# --- compnet and ugt ---------------------------------------------------------------------------


def test_defaults_are_the_released_constants() -> None:
    names = ("kernels", "kappa", "positions", "border", "mixtures", "share", "factor", "confidence")
    assert [defaults(compnet)[name] for name in names] == [512, 30.0, 20, 3, 4, 0.6, 2.0, 0.5]
    names = ("q", "part_weight", "score_weight", "lr", "decay", "epochs", "batch_size", "weight")
    assert [defaults(compnet)[name] for name in names] == [0.8, 3.0, 3.0, 0.01, 0.98, 60, 64, 0.3]


def test_arms_differ_and_tell_classes_apart(places: dict[Ref, Path]) -> None:
    arms: dict[str, dict[str, Any]] = {
        **{name: {"dictionary": name} for name in compnet.DICTIONARIES},
        "no outliers": {"outliers": False},
        "refined": {"dictionary": "target", "refine": True},
        "refined source": {"refine": True},
        "released": {"update": "released"},
    }
    labels = [one.fields["label"] for one in shards.read(places[NOISE].parent)]
    found = {name: answers(places, NOISE, **options) for name, options in arms.items()}
    for one, other in itertools.combinations(found.values(), 2):
        assert np.abs(one - other).max() > 1e-4
    assert (found["source"].argmax(1) == labels).mean() > 0.6
    assert (found["target"].argmax(1) == labels).mean() > 0.6
    np.testing.assert_array_equal(found["target"], answers(places, NOISE, dictionary="target"))


def test_no_label_of_the_target_is_read(places: dict[Ref, Path]) -> None:
    for options in ({"dictionary": "target", "refine": True}, {"dictionary": "map"}):
        np.testing.assert_array_equal(answers(places, NOISE, **options), answers(places, WRONG, **options))
    for batch in _targets.images(places[NOISE].parent):
        assert all(set(one.fields) == {"image"} for one in batch)


def test_what_is_held_out_is_answered_by_the_head_of_the_other_target(places: dict[Ref, Path]) -> None:
    options = {**SMALL, "dictionary": "target", "target": "tiny"}
    found = compnet.wrap(net(places), options, {})
    found.at(seen(places, TRAIN, NOISE))
    first = found.head
    found.at(seen(places, TRAIN, NOISE, HELD))
    assert found.head is first
    with pytest.raises(DataError, match=r"40 images of wrong/test/noise/3.* are also in the target"):
        found.at(seen(places, TRAIN, NOISE, WRONG))
    asked = compnet.needs({**options, "dataset": "tiny", "stream": "held/test/noise", "step": "3"})
    assert asked == [TRAIN, NOISE]
    plain = {**options, "dictionary": "source", "dataset": "tiny", "stream": "s", "step": "3"}
    assert compnet.needs(plain) == [TRAIN]
    with pytest.raises(ParamsError, match="list shifts instead"):
        compnet.needs({**plain, "dictionary": "target"})


def test_wrong_options_are_refused(places: dict[Ref, Path]) -> None:
    with pytest.raises(ParamsError, match="dictionary is 'targt'; did you mean target"):
        compnet.wrap(net(places), {**SMALL, "dictionary": "targt"}, {})
    with pytest.raises(ParamsError, match=r"no layer 'body.90'"):
        compnet.wrap(net(places), {**SMALL, "layer": "body.90"}, {})
    with pytest.raises(ModelError, match="black box"):
        compnet.wrap(lambda _: {}, SMALL, {})
    for layer in ("neck.0", "head"):
        flat = compnet.wrap(net(places), {**SMALL, "layer": layer}, {})
        with pytest.raises(ParamsError, match=r"expected a map \(n, D, H, W\)"):
            flat.at(seen(places, TRAIN))


# --- occluders and overlaps --------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28), (30, 40, 3)])
def test_squares_hide_their_share_and_stay(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 7, dtype=np.uint8)
    for key in range(5):
        before = np.zeros(shape[:2], dtype=bool)
        for severity, share in ((0, 0.0), (2, 0.2), (4, 0.4), (5, 0.5)):
            words = RandomStream(0, "occlusion_texture", "d", str(key))
            found = occlusion_texture.apply(image, severity, words)
            hidden = (found != 7) if found.ndim == 2 else (found != 7).any(2)
            assert hidden.mean() == pytest.approx(share, abs=0.035)
            assert (hidden | ~before).mean() > 0.97  # a grey level may be the image's own
            before = hidden


def test_overlap_is_intersection_over_union() -> None:
    true = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]], dtype=bool)
    found = np.array([[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]], dtype=bool)
    assert occlusion_overlap.overlap(found, true).tolist() == [1 / 3, 1.0, 0.0]
    mixed = occlusion_overlap.shuffled(found, RandomStream(0, "a", "b", "c"))
    assert mixed.sum((1, 2)).tolist() == [2, 0, 0]
    clean, hidden = np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 4), dtype=np.uint8)
    hidden[:2, 1:] = 9
    samples = [Sample("a", {"image": image}) for image in (clean, hidden)]
    made = occlusion_overlap.hidden(samples[:1], samples[1:], (2, 2))
    assert made.tolist() == [[[True, True], [False, False]]]


def test_occlusion_maps_overlap_occluders_more_than_random_masks(places: dict[Ref, Path]) -> None:
    options = {name: SMALL[name] for name in ("kernels", "positions", "border", "mixtures", "grouping")}
    params = {
        **defaults(occlusion_overlap), "shift": "hidden", "severities": [4.0], "options": options,
        "dataset": "tiny", "split": "test", "checkpoints": [WEIGHTS.name], "methods": [], "benchmark": "c",
    }  # fmt: skip
    asked = occlusion_overlap.needs(params)
    model = {"use": "convnet", "options": NET}
    job = Measurement(params, {ref: places[ref] for ref in asked}, 0, {WEIGHTS.name: model})
    rows = list(occlusion_overlap.measure(job))
    means = {
        name: np.mean([row.value for row in rows if row.detector == name])
        for name in ("occlusion_map", "random_mask", "all_hidden")
    }
    assert len(rows) == 3 * 40
    assert means["occlusion_map"] > means["random_mask"]
    assert 0 < means["random_mask"] < means["all_hidden"] < 1


# --- loaders -----------------------------------------------------------------------------------


def test_oodcv_has_its_nuisances_levels_and_the_classes_of_both_folders(tmp_path: Path) -> None:
    _, given = compnet_miniature.oodcv(tmp_path)
    params = {**defaults(oodcv), **given}
    assert oodcv.classes(params, {}) == compnet_miniature.CLASSES
    train = list(oodcv.samples("train", {}, params))
    assert len(train) == 200
    assert {one.fields["image"].shape for one in train} == {(32, 32, 3)}
    tested = {
        level: list(oodcv.samples("test", {}, {**params, "level": level})) for level in ("ZERO", "ONE", "FIVE", "NINE")
    }
    assert {len(found) for found in tested.values()} == {50}
    assert {one.fields["meta"]["group"] for one in tested["ONE"]} == set(oodcv.NUISANCES)
    keys = [[one.key for one in found] for found in tested.values()]
    assert all(one == keys[0] for one in keys)
    assert len({found[0].fields["image"].tobytes() for found in tested.values()}) == 4
    fewer = list(oodcv.samples("test", {}, {**params, "nuisances": ["pose"]}))
    assert {one.fields["meta"]["group"] for one in fewer} == {"pose"}
    with pytest.raises(ParamsError, match="level is 'TWO'"):
        oodcv.classes({**params, "level": "TWO"}, {})
    with pytest.raises(ParamsError, match="option path is missing"):
        oodcv.classes(defaults(oodcv), {})


def test_pascal3d_reads_lists_levels_and_occluders(tmp_path: Path) -> None:
    _, given = compnet_miniature.pascal3d(tmp_path)
    params = {**defaults(pascal3d), **given}
    assert pascal3d.classes(params, {}) == ("aeroplane", "bottle", "car")
    assert len(list(pascal3d.samples("train", {}, params))) == 60
    kinds = [("ZERO", ""), ("ONE", ""), ("FIVE", ""), ("FIVE", "_noise"), ("NINE", "")]
    found = [
        list(pascal3d.samples("test", {}, {**params, "level": level, "occluder": occluder}))
        for level, occluder in kinds
    ]
    assert [len(one) for one in found] == [6] * 5
    assert len({one[0].fields["image"].tobytes() for one in found}) == 5
    assert {one[0].key for one in found} == {"pascal3d/test/aeroplane/n10_0_0"}
    lost = list(pascal3d.samples("test", {}, {**params, "level": "ONE", "occluder": "_white"}))
    assert all(isinstance(one, DataError) for one in lost)


def test_a_dry_run_on_twenty_images_a_class(tmp_path: Path, places: dict[Ref, Path]) -> None:
    _, given = compnet_miniature.oodcv(tmp_path)
    params = {**defaults(oodcv), **given}
    made = {}
    for split in ("train", "test"):
        read = oodcv.samples(split, {}, params)
        samples = [Sample(s.key, {k: s.fields[k] for k in ("image", "label")}) for s in read]
        made[refs.shards("oodcv", split)] = tiny_targets.write(
            samples, tmp_path / "shards" / split, compnet_miniature.CLASSES
        )
    model = registry.find("models", "torchvision")
    options = {**defaults(model), "name": "resnet18", "size": 32, "crop": 1.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        predictor = nets.TorchPredictor(model.build(options, 10), model, options, "cpu")
    chosen = {**SMALL, "layer": "body.layer2", "dictionary": "target", "refine": True, "confidence": 0.0}
    found = compnet.wrap(predictor, chosen, {})
    found.at({refs.checkpoint("oodcv", "resnet18", "finetune"): places[WEIGHTS], **made})
    samples = list(shards.read(tmp_path / "shards/test"))
    assert found(samples)["logits"].shape == (50, 10)
    assert found.head.coefficients.shape == (10, 2, 8, 4, 4)
