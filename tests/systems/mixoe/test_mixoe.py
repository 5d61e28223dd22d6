"""MixOE: its loss against the equations, presets, the splits of the four sets, the filter, confidence of mixtures."""

import csv
import random  # noqa: TID251 - the authors' own draws
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from makers import miniature_originals
from makers.repositories import HOME
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import schema, shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.datasets import webvision
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.losses.outliers import uniform
from shiftbench.plugins.trainers import mixoe
from shiftbench.statistics.thresholds import Sides
from shiftbench.systems.mixoe.datasets import fine_grained
from shiftbench.systems.mixoe.metrics import equal_sized
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages.train import train_weights

SHARES = registry.find("analyses", "mixing_decay").SHARES


def words(key: object) -> RandomStream:
    return RandomStream(0, "test", "d", str(key))


# --- the loss ----------------------------------------------------------------------------------


def test_the_loss_is_the_paper_s_image_by_image() -> None:
    known, mixed, labels = torch.randn(4, 3), torch.randn(4, 3), [0, 2, 1, 1]
    total = 0.0
    for f, m, y in zip(known.double().numpy(), mixed.double().numpy(), labels, strict=True):
        total += -np.log(np.exp(f[y]) / np.exp(f).sum()) / 4
        for c in range(3):
            t = 0.3 * (c == y) + 0.7 / 3
            total += 5.0 * -t * np.log(np.exp(m[c]) / np.exp(m).sum()) / 4
    found = mixoe.objective(known, mixed, torch.tensor(labels), 0.3, 5.0)
    assert found.item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("weight", [0.5, 5.0])
def test_the_ends_are_cross_entropy_and_outlier_exposure(weight: float) -> None:
    known, others, labels = torch.randn(6, 4), torch.randn(6, 4), torch.arange(6) % 4
    ce = cross_entropy(known, labels)
    whole = mixoe.objective(known, known, labels, 1.0, weight)
    assert whole.item() == pytest.approx((1 + weight) * ce.item(), rel=1e-6)
    none = mixoe.objective(known, others, labels, 0.0, weight)
    assert none.item() == pytest.approx((ce + weight * uniform(others)).item(), rel=1e-6)


def test_presets_are_the_paper_s_and_openood_s_and_options_go_over_them() -> None:
    def chosen(**options: Any) -> tuple[Any, ...]:
        found = mixoe.recipe({**defaults(mixoe), **options})
        return found.mix, found.a, found.b, found.weight

    assert chosen() == ("mixup", 1.0, 1.0, 5.0)
    assert chosen(mix="cutmix") == ("cutmix", 2.0, 2.0, 5.0)
    assert chosen(preset="openood") == ("cutmix", 0.1, 1.0, 1.0)
    assert chosen(weight=0.5, a=0.4) == ("mixup", 0.4, 1.0, 0.5)
    with pytest.raises(ParamsError, match=r"mix = 'cut'; did you mean cutmix\?"):
        chosen(mix="cut")
    with pytest.raises(ParamsError, match="preset = 'ours'"):
        chosen(preset="ours")


def test_a_mixed_image_holds_the_share_that_is_stated() -> None:
    ours, others = torch.full((2, 1, 28, 28), 200.0), torch.zeros(2, 1, 28, 28)
    means = {}
    for name, options in (("mixup", {}), ("cut", {"mix": "cutmix"}), ("port", {"preset": "openood"})):
        chosen = mixoe.recipe({**defaults(mixoe), **options})
        shares = []
        for key in range(200):
            mixed, share = mixoe.mix(ours, others, words(key), chosen)
            assert mixed.mean().item() / 200 == pytest.approx(share, abs=1e-5)
            shares.append(share)
        means[name] = np.mean(shares)
    assert means["mixup"] == pytest.approx(0.5, abs=0.05)
    # Boxes are cut off by the border: drawn lam have means 0.5 and 0.09, those that are left more.
    assert 0.55 < means["cut"] < 0.75
    assert 0.4 < means["port"] < 0.6


# --- training ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    tmp = tmp_path_factory.mktemp("mixoe")
    board = (np.indices((28, 28)).sum(0) % 2 * 255).astype(np.uint8)
    boards = [Sample(f"boards/{n}", {"image": np.roll(board, n, 0), "label": 0}) for n in range(8)]
    places = {}
    for name, samples in (("boards", boards), ("tiny", training_jobs.pictures(8, seed=3))):
        (tmp / name).mkdir()
        shards.write(samples, tmp / name, {"image": "png", "label": "cls"}, {}, 10**6)
        places[name] = tmp / name / "manifest.json"
    body, _ = train_weights(training_jobs.job("convnet", "erm", epochs=3, batch_size=16))
    return {
        refs.checkpoint("tiny", "convnet", "erm"): training_jobs.write(tmp / "erm.safetensors", body),
        refs.shards("boards", "train"): places["boards"],
        refs.shards("boards", "val"): places["boards"],
        refs.shards("tiny", "test"): places["tiny"],
    }


def trained(inputs: dict[Any, Path], trainer: str, **more: Any) -> tuple[nets.State, Any]:
    start = {ref: path for ref, path in inputs.items() if ref.kind == "checkpoints"}
    options = {"outliers": "boards", "epochs": 6, "batch_size": 16, "shift": 0} | more
    learnt = start | {refs.shards("boards", "train"): inputs[refs.shards("boards", "train")]}
    return train_weights(training_jobs.job("convnet", trainer, inputs=learnt, **options))


def test_mixing_makes_the_decay_linear_and_logs_its_shares(inputs: dict[Any, Path], tmp_path: Path) -> None:
    after, log = trained(inputs, "mixoe")
    shares = [value for _, name, value in log if name == "lam"]
    assert len(shares) == 6 * 4
    assert 0.2 < np.mean(shares) < 0.8
    assert nets.state_bytes(trained(inputs, "mixoe")[0]) == nets.state_bytes(after)
    exposed, _ = trained(inputs, "outlier_exposure")
    job = measurement(inputs, tmp_path, {"mixoe": (after, log), "oe": (exposed, [])})
    found = decay(job)
    gaps = {name: np.abs(c - line).mean() for name, (c, line) in found.items()}
    slopes = {name: np.polyfit(SHARES, c, 1)[0] for name, (c, _) in found.items()}
    assert slopes["mixoe"] > 0.1
    assert gaps["mixoe"] < gaps["oe"]
    histogram = list(registry.find("analyses", "mixing_shares").measure(job))
    assert {row.model for row in histogram} == {"tiny/convnet-mixoe-s0"}
    counts = [sum(r.value for r in histogram if r.severity == (at + 0.5) / 10) for at in range(10)]
    assert counts == np.histogram(shares, 10, (0, 1))[0].tolist()


def measurement(inputs: dict[Any, Path], tmp_path: Path, made: dict[str, Any]) -> Any:
    """Return the job of an analysis over trained states."""
    places, options = dict(inputs), defaults(registry.find("models", "convnet"))
    for name, (state, log) in made.items():
        ref = refs.checkpoint("tiny", "convnet", name)
        places[ref] = training_jobs.write(tmp_path / f"{name}.safetensors", state)
        beside = tmp_path / f"{name}.safetensors.log.parquet"
        schema.write(schema.training_log(log), beside, "f")
    names = [refs.checkpoint("tiny", "convnet", name).name for name in made]
    context = {"benchmark": "c", "dataset": "tiny", "split": "test", "checkpoints": names}
    params = defaults(registry.find("analyses", "mixing_decay")) | {"outliers": "boards", "bins": 10}
    models = {name: {"use": "convnet", "options": options} for name in names}
    return Measurement(params | context, places, 0, models)


def decay(job: Any) -> dict[str, tuple[Any, Any]]:
    """Return the mean curve and the line of each trainer."""
    module = registry.find("analyses", "mixing_decay")
    assert set(module.needs(job.params)) <= set(job.inputs)
    rows = list(module.measure(job))
    assert len(rows) == 2 * 2 * 11 * 8
    return {
        name.split("-")[1]: tuple(
            np.array(
                [
                    np.mean([r.value for r in rows if (r.model, r.metric, r.severity) == (name, metric, share)])
                    for share in SHARES
                ]
            )
            for metric in ("mixed_confidence", "mixed_confidence_line")
        )
        for name in job.params["checkpoints"]
    }


# --- as many OOD as ID samples ------------------------------------------------------------------


def test_equal_sizes_are_the_authors_ten_draws() -> None:
    """Their `get_and_print_results`, written out: confidences, ID positive, TNR at the rate nearest to 95%."""
    scores = np.random.default_rng(0)
    known, unknown = np.sort(scores.normal(0, 1, 90)), np.sort(scores.normal(1, 1, 40))
    draws = random.Random(0)  # others draw from the shared one
    areas, rejected = [], []
    for _ in range(10):
        inside = -np.array(draws.sample(list(known), 40))
        outside = -np.array(draws.sample(list(unknown), 40))
        areas.append(roc_auc_score([1] * 40 + [0] * 40, np.concatenate([inside, outside])))
        steps = np.sort(np.concatenate([inside, outside]))
        kept = [(inside > t).sum() / 40 for t in (-np.inf, *steps)]
        at = (-np.inf, *steps)[int(np.abs(np.array(kept) - 0.95).argmin())]
        rejected.append(1 - (outside > at).sum() / 40)
    ones = np.ones((90, 1), np.uint8), np.ones((40, 1), np.uint8)
    mixed = scores.permutation(known), scores.permutation(unknown)
    for sides in ((known, unknown), mixed):
        area = equal_sized.compute(Sides.of_ood(*sides, *ones))[0]
        assert area == pytest.approx(np.mean(areas), abs=1e-12)
    tnr = equal_sized.compute(Sides.of_ood(known, unknown, *ones), of="tnr95")[0]
    assert tnr == pytest.approx(np.mean(rejected), abs=1e-12)
    with pytest.raises(ParamsError, match="of = 'auc'; did you mean auroc"):
        equal_sized.compute(Sides.of_ood(known, unknown, *ones), of="auc")


# --- the four sets, and the outliers -----------------------------------------------------------


FIRST_HELD_OUT = {
    "bird": ([9, 21, 25, 29, 31], [1, 7, 8, 20, 22], [4, 7, 15, 22, 31]),
    "butterfly": ([9, 17, 21, 25, 28], [1, 3, 7, 8, 20], [4, 7, 15, 22, 31]),
    "car": ([9, 21, 25, 28, 29], [1, 3, 7, 8, 20], [4, 7, 15, 22, 31]),
    "aircraft": ([9, 21, 36, 44, 47], [1, 5, 9, 12, 16], [7, 15, 22, 34, 40]),
}
"""By `RandomState(split).choice` of NumPy 1 and 2, whose legacy generator is frozen."""


@pytest.mark.parametrize("name", fine_grained.SETS)
@pytest.mark.parametrize("split", [0, 1, 2])
def test_held_out_classes_are_the_authors_choice(name: str, split: int) -> None:
    own = {**defaults(fine_grained), "set": name, "split": split}
    inside, outside = (fine_grained.class_ids({**own, "part": part}) for part in ("in", "out"))
    held = fine_grained.SETS[name]
    assert (len(inside), len(outside)) == (held.known, held.unknown)
    assert sorted(inside + outside) == list(range(held.known + held.unknown))
    assert outside[:5] == FIRST_HELD_OUT[name][split]


COUNTS = Path(__file__).with_name("class_counts.csv")
"""How many lines of each label the authors' lists have: facts of `info/` in zjysteven/MixOE."""


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with lists of the published lengths, and no pictures."""
    root = tmp_path_factory.mktemp("lists")
    lines: dict[tuple[str, str], list[str]] = {}
    for row in csv.DictReader(COUNTS.read_text().splitlines()):
        for split in ("train", "val", "test"):
            found = lines.setdefault((row["set"], split), [])
            found += [f"{row['label']}/{n}.jpg {row['label']}\n" for n in range(int(row[split]))]
    for (name, split), found in lines.items():
        (root / "info" / name).mkdir(parents=True, exist_ok=True)
        (root / "info" / name / f"{split}.txt").write_text("".join(found))
    return root


def test_the_twelve_published_rows_come_out_of_the_lists(lists: Path) -> None:
    """Counted by hand; and read, where a list of another length is refused before its first picture is missed."""
    counts = list(csv.DictReader(COUNTS.read_text().splitlines()))
    for name, held in fine_grained.SETS.items():
        own = {**defaults(fine_grained), "root": str(lists), "set": name}
        for split, published in enumerate(held.counts):
            inside, out = (set(fine_grained.class_ids({**own, "split": split, "part": part})) for part in ("in", "out"))
            parts = (("train", inside), ("val", inside), ("test", inside), ("test", out))
            assert published == tuple(
                sum(int(row[of]) for row in counts if row["set"] == name and int(row["label"]) in some)
                for of, some in parts
            )
        for of, part in (("val", "in"), ("test", "out")):
            missing = next(fine_grained.samples(of, {}, {**own, "part": part}))
            assert "cannot be read" in str(missing)
    coarse = {**own, "part": "coarse"}  # of aircraft: as many of the other three sets as its 3,000
    assert "cannot be read" in str(next(fine_grained.samples("test", {}, coarse)))


def read(tmp_path: Path, **options: Any) -> list[Any]:
    _, made = miniature_originals.fine_grained(tmp_path) if not (tmp_path / "fine").exists() else ({}, {})
    own = made or {"root": str(tmp_path / "fine"), "counts": False, "side": 24}
    return list(fine_grained.samples("test", {}, {**defaults(fine_grained), **own, **options}))


def test_parts_divide_a_list_and_coarse_is_drawn_from_the_others(tmp_path: Path) -> None:
    inside, outside = read(tmp_path), read(tmp_path, part="out")
    assert [sample.key[-2:] for sample in outside] == ["09"]  # of 0 to 9, id 9 is held out
    assert outside[0].fields["label"] == 0
    assert [sample.fields["label"] for sample in inside] == list(range(9))
    assert inside[0].fields["image"].shape == (24, 24, 3)
    coarse = read(tmp_path, part="coarse")
    assert len(coarse) == len(inside)
    assert {sample.key.split("/")[1] for sample in coarse} <= {"bird", "butterfly", "aircraft"}
    assert [s.key for s in coarse] == [s.key for s in read(tmp_path, part="coarse")]
    with pytest.raises(DataError, match="gives 9 images of part in in split 0, expected 6210"):
        read(tmp_path, counts=True)
    with pytest.raises(ParamsError, match=r"set is 'cars'; did you mean car\?"):
        read(tmp_path, set="cars")


def test_butterflies_have_a_class_without_pictures_unless_labels_are_fixed(tmp_path: Path) -> None:
    found = read(tmp_path, set="butterfly")
    assert "butterfly_000" in fine_grained.classes({**defaults(fine_grained), "set": "butterfly"}, {})
    fixed = read(tmp_path, set="butterfly", fixed_labels=True)
    shifted = {s.key: s.fields["label"] for s in fixed}
    assert all(shifted[s.key] == s.fields["label"] - 1 for s in found if s.fields["label"])


def test_concepts_of_the_id_sets_are_filtered_out(tmp_path: Path) -> None:
    sizes = {group: len(webvision.removed([group])) for group in webvision.GROUPS}
    assert sizes == {"dog": 120, "bird": 52, "car": 42, "butterfly": 6, "aircraft": 3}
    assert len(webvision.removed(list(sizes))) == sum(sizes.values())
    _, made = miniature_originals.webvision(tmp_path)
    keys = [s.key for s in webvision.samples("all", {}, {**defaults(webvision), **made})]
    assert len(keys) == 80
    assert not [key for key in keys if "q0002" in key]
    unfiltered = webvision.queries(Path(made["root"]) / "info", ["dog"])
    assert unfiltered == ["q0001", "q0002", "q0003"]
    with pytest.raises(ParamsError, match=r"names 'birds'; did you mean bird\?"):
        webvision.removed(["birds"])


@pytest.mark.usefixtures("in_pristine")
@pytest.mark.parametrize("scale", ["embedded", "smoke", "full"])
def test_no_benchmark_tests_on_what_was_learnt_as_outliers(scale: str) -> None:
    params = configurations.load(f"systems/mixoe/{scale}", HOME)
    plan = Plan.of(params)
    for benchmark in plan.benchmarks.values():
        weights = [ref for ref in plan.artifacts if ref.kind == "checkpoints"]
        learnt = {need.parts[0] for ref in weights for need in plan.artifacts[ref].inputs if need.kind == "shards"}
        assert learnt.isdisjoint(benchmark.ood_groups)
        assert benchmark.dataset in learnt
