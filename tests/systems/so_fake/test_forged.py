"""Forged garments: one class for each source, exact masks, no picture in two splits, headers that tell nothing."""

import collections
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sklearn import metrics as peer

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import codecs, shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.statistics.thresholds import Sides, roc_area
from shiftbench.systems.so_fake.analyses import header_baseline
from shiftbench.systems.so_fake.datasets import _forging, _generators, forged_fashion_mnist
from shiftbench.systems.so_fake.models import variational_autoencoder
from shiftbench.systems.so_fake.trainers import variational
from shiftbench.workflow.stages.train import train_weights

SPLITS = {"train": 150, "val": 60, "test": 120}
NETS = ["ae_0", "ae_1", "vae_0"]
PCA = ["pca_4", "pca_8"]
CLASSES = ("a", "b", "c", "d")


def pictures(split: str, count: int) -> list[Sample]:
    """Return smooth pictures of four classes: a bright quadrant, brighter in its middle, no two alike."""
    made = []
    for number, sample in enumerate(training_jobs.pictures(count, seed=len(split))):
        blurred = cv2.GaussianBlur(sample.fields["image"], (5, 5), 0)
        made.append(Sample(f"items/{split}/{number:06d}", {**sample.fields, "image": blurred}))
    return made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    """Return shards of pictures, and weights of three nets that learnt from others."""
    root, found = tmp_path_factory.mktemp("forged"), {}
    fields = registry.find("tasks", "classification").FIELDS
    for split, count in SPLITS.items():
        for name in ("items", "learnt"):
            folder = root / name / split
            folder.mkdir(parents=True)
            own = pictures(f"{split}{name}", count) if name == "learnt" else pictures(split, count)
            shards.write(own, folder, fields, {"classes": list(CLASSES)}, 10**9)
            found[refs.shards(name, split)] = folder / "manifest.json"
    for model, trainer, seed in (
        ("autoencoder", "autoencoding", 0),
        ("autoencoder", "autoencoding", 1),
        ("variational_autoencoder", "variational", 0),
    ):
        job = training_jobs.job(model, trainer, seed=seed, epochs=1)
        file = root / f"{model}{seed}.safetensors"
        file.write_bytes(nets.state_bytes(train_weights(job)[0]))
        found[refs.checkpoint("learnt", model, trainer, seed)] = file
    return found


def forged(inputs: dict[Ref, Path], split: str = "test", name: str = "forged", **options: Any) -> list[Sample]:
    params = {**defaults(forged_fashion_mnist), "of": "items", "learnt_from": "learnt", **options}
    return list(forged_fashion_mnist.samples(split, {}, {**params, "name": name}, inputs))


@pytest.mark.parametrize("generators", [NETS, PCA, ["quilt_left", "quilt_rest"]])
def test_a_third_of_each_class_generators_in_turn(inputs: dict[Ref, Path], generators: list[str]) -> None:
    samples = forged(inputs, generators=generators)
    counts = collections.Counter(one.fields["label"] for one in samples)
    assert counts == {0: 40, 1: 40, 2: 40}
    task = registry.find("tasks", "forgery")
    used = collections.Counter()
    for one in samples:
        task.check(one, list(_forging.CLASSES))
        meta = one.fields["meta"]
        if one.fields["label"] == 0:
            assert (meta["generator"], meta["cluster"]) == ("real", meta["source"])
        else:
            used[meta["generator"]] += 1
            assert meta["group"] == meta["cluster"] == meta["generator"]
            assert meta["family"] == meta["generator"].partition("_")[0]
    assert set(used) == set(generators)
    assert max(used.values()) - min(used.values()) <= 2


def test_no_source_and_no_donor_is_in_two_splits(inputs: dict[Ref, Path]) -> None:
    seen: dict[str, set[str]] = {}
    sources = []
    for split in SPLITS:
        for one in forged(inputs, split):
            meta = one.fields["meta"]
            sources.append(meta["source"])
            for key in (meta["source"], *meta["donors"]):
                seen.setdefault(key, set()).add(split)
    assert len(sources) == len(set(sources)) == sum(SPLITS.values())
    assert all(len(splits) == 1 for splits in seen.values())
    assert {key.split("/")[1] for key in seen} == set(SPLITS)


def test_variants_forge_the_same_pictures_in_the_same_way(inputs: dict[Ref, Path]) -> None:
    one, other = forged(inputs, generators=NETS), forged(inputs, name="quilts")
    for a, b in zip(one, other, strict=True):
        assert a.fields["meta"]["source"] == b.fields["meta"]["source"]
        assert a.fields["label"] == b.fields["label"]
        if a.fields["label"] == 0:
            assert np.array_equal(a.fields["image"], b.fields["image"])
            assert a.fields["meta"]["cluster"] == b.fields["meta"]["cluster"]


def test_a_mask_is_what_was_replaced(inputs: dict[Ref, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is coded all that differs from the source lies in the mask, a square of 8 to 14 pixels."""
    monkeypatch.setattr(_forging, "encoded", lambda image, *_: image)
    known = {one.key: one.fields["image"] for one in pictures("test", SPLITS["test"])}
    changed = []
    for one in forged(inputs, generators=NETS):
        source = known[one.fields["meta"]["source"]]
        differs = one.fields["image"] != source
        if one.fields["label"] == 0:
            assert not differs.any()
        if one.fields["label"] == 2:
            mask = one.fields["mask"] > 0
            assert not (differs & ~mask).any()
            rows, columns = np.nonzero(mask)
            side = np.ptp(rows) + 1
            assert 8 <= side == np.ptp(columns) + 1 <= 14
            assert mask.sum() == side**2
            changed.append((differs & mask).sum() / side**2)
    assert min(changed) >= 0.25


def test_a_quilt_by_hand() -> None:
    items = [_generators.Item("a", np.full((4, 4), 1, np.uint8), 0)]
    partners = [_generators.Item("b", np.full((4, 4), 9, np.uint8), 0)]
    made = {
        pattern: _generators.make(f"quilt_{pattern}", "", {})(items, partners, [])[0]
        for pattern in _generators.PATTERNS
    }
    assert made["left"].tolist() == [[9, 9, 1, 1]] * 4
    assert made["diagonal"].tolist() == [[9, 9, 1, 1]] * 2 + [[1, 1, 9, 9]] * 2
    assert made["rest"].tolist() == [[1, 1, 9, 9]] * 2 + [[9, 9, 9, 9]] * 2
    assert len({image.tobytes() for image in made.values()}) == len(made)
    assert items[0].image.max() == 1  # what was given is left alone


def test_components_have_mean_and_spread_of_their_class(inputs: dict[Ref, Path]) -> None:
    """Many draws of a class: their mean is the class's, their variance what its components hold."""
    learnt = [one for one in pictures("trainlearnt", 150) if one.fields["label"] == 1]
    known = np.stack([one.fields["image"] for one in learnt]).astype(float)
    generate = _generators.make("pca_64", "learnt", inputs)
    item = _generators.Item("a", learnt[0].fields["image"], 1)
    words = [_forging.RandomStream(0, "test", "pca", str(at)) for at in range(600)]
    drawn = generate([item] * 600, [item] * 600, words).astype(float)
    assert np.abs(drawn.mean(0) - known.mean(0)).mean() < 2
    assert drawn.var(0).sum() == pytest.approx(known.var(0).sum(), rel=0.15)


def test_generators_that_are_none(inputs: dict[Ref, Path]) -> None:
    for name, message in (
        ("gan_0", "of no family"),
        ("quilt_middle", "quilt_middle"),
        ("ae_x", "expected a number behind ae_"),
    ):
        with pytest.raises(ParamsError, match=message):
            forged_fashion_mnist.needs({**defaults(forged_fashion_mnist), "generators": [name], "split": "test"})
    with pytest.raises(ParamsError, match="expected one generator at least"):
        forged(inputs, generators=[])
    with pytest.raises(DataError, match="checkpoints learnt/autoencoder-autoencoding-s7 are needed"):
        forged(inputs, generators=["ae_7"])


def test_needs_are_named_once() -> None:
    options = {**defaults(forged_fashion_mnist), "of": "items", "learnt_from": "learnt", "split": "val"}
    found = forged_fashion_mnist.needs({**options, "generators": [*NETS, *PCA, "quilt_top"]})
    assert [ref.name for ref in found] == [
        "items/val/identity/0",
        "learnt/autoencoder-autoencoding-s0",
        "learnt/autoencoder-autoencoding-s1",
        "learnt/variational_autoencoder-variational-s0",
        "learnt/train/identity/0",
    ]


def test_the_divergence_is_that_of_torch() -> None:
    random = np.random.default_rng(0)
    mean, log_variance = (torch.from_numpy(random.normal(size=(5, 3))) for _ in range(2))
    one = torch.distributions.Normal(mean, (log_variance / 2).exp())
    wanted = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(variational.divergence(mean, log_variance), wanted)


def test_a_state_says_how_wide_its_net_is() -> None:
    net = variational_autoencoder.build({"width": 8, "size": 28, "code": 3}, 4)
    same = variational_autoencoder.of(dict(net.state_dict()), "here")
    images = torch.zeros((2, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(same.features(images), net.features(images))
    assert same.decode(same.features(images)).shape == (2, 1, 28, 28)


# ------------------------------------------------------------------ headers


def area(known: list[tuple[bytes, bool]], tested: list[tuple[bytes, bool]]) -> float:
    scores = np.array(
        header_baseline.header_scores(
            [data for data, _ in known], [fake for _, fake in known], [data for data, _ in tested]
        )
    )
    fake = np.array([fake for _, fake in tested])
    ones = (np.ones((side.sum(), 1), np.uint8) for side in (fake, ~fake))
    return float(roc_area(Sides(scores[fake], scores[~fake], *ones))[0])


def files(samples: list[Sample]) -> list[tuple[bytes, bool]]:
    return [(codecs.encode("png", one.fields["image"]), one.fields["label"] > 0) for one in samples]


def test_headers_tell_nothing_of_forged_pictures(inputs: dict[Ref, Path]) -> None:
    for generators in (NETS, ["quilt_left", "quilt_foot"]):
        known, tested = (files(forged(inputs, split, generators=generators)) for split in ("train", "test"))
        assert 0.45 <= area(known, tested) <= 0.55


def test_headers_tell_all_where_classes_were_coded_apart(inputs: dict[Ref, Path]) -> None:
    """The trap: reals as JPEG of one quality, fakes as PNG, or as JPEG of another quality."""

    def leaking(split: str, fake_kind: dict[str, Any]) -> list[tuple[bytes, bool]]:
        found = []
        for one in forged(inputs, split, generators=NETS):
            fake = one.fields["label"] > 0
            kind = fake_kind if fake else {"kind": ".jpg", "quality": 80}
            options = (cv2.IMWRITE_JPEG_QUALITY, kind["quality"]) if "quality" in kind else ()
            found.append((cv2.imencode(kind["kind"], one.fields["image"], options)[1].tobytes(), fake))
        return found

    for kind in ({"kind": ".png"}, {"kind": ".jpg", "quality": 90}):
        assert area(leaking("train", kind), leaking("test", kind)) > 0.99
    with pytest.raises(DataError, match="are no picture"):
        header_baseline.header(b"no picture")


def test_every_picture_went_through_the_one_path(inputs: dict[Ref, Path]) -> None:
    """Coding with the same quality again changes hardly a pixel of any class: all were coded so before."""
    moved = collections.defaultdict(list)
    for one in forged(inputs, generators=NETS):
        again = _forging.encoded(one.fields["image"], 95)
        moved[one.fields["label"]].append(np.abs(again.astype(int) - one.fields["image"]).mean())
    means = [np.mean(values) for values in moved.values()]
    assert max(means) < 0.6
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[..., 0] = 200
    red = _forging.encoded(colour, 95)
    assert red[..., 0].min() > 190 > 20 > red[..., 2].max()


def test_the_baseline_is_measured_on_the_files_as_stored(inputs: dict[Ref, Path], tmp_path: Path) -> None:
    fields, found = registry.find("tasks", "forgery").FIELDS, {}
    for split in ("train", "test"):
        folder = tmp_path / split
        folder.mkdir()
        own = forged(inputs, split, generators=NETS)
        shards.write(own, folder, fields, {"classes": list(_forging.CLASSES)}, 10**9)
        found[refs.shards("forged", split)] = folder / "manifest.json"
    params = {**defaults(header_baseline), "dataset": "forged", "split": "test"}
    assert set(header_baseline.needs(params)) == set(found)
    rows = list(header_baseline.measure(Measurement(params, found, 0, {})))
    values = {name: [row.value for row in rows if row.metric == name] for name in ("header_auroc", "size_auroc")}
    assert len(values["header_auroc"]) == len(values["size_auroc"]) == 80
    assert 0.45 <= np.mean(values["header_auroc"]) <= 0.55
    stored = header_baseline.stored(tmp_path / "test")
    wanted = peer.roc_auc_score(stored.fakes, header_baseline.sizes(stored.files))
    assert np.mean(values["size_auroc"]) == pytest.approx(wanted)
    tested = forged(inputs, "test", generators=NETS)
    assert stored.keys == [one.key for one in tested]
    assert stored.files == [data for data, _ in files(tested)]
