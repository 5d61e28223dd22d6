"""Paths on tiny nets: ends as stored, pictures that judge and that find, straggler layers, variants, classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _interpolation
from shiftbench.systems.successful_interpolation.analyses import _paths, _stragglers, _test_sets, interpolation_path
from shiftbench.systems.successful_interpolation.analyses._paths import Path as ModelPath
from shiftbench.systems.successful_interpolation.analyses._test_sets import Sets
from shiftbench.workflow.stages.train import train_weights

START = "tiny/strided_convnet-generalist-s0"
MEMBERS = ("tiny/strided_convnet-slow-s0", "tiny/strided_convnet-fast-s0")
WIDTHS = {"widths": [4, 4, 8, 8]}
SETS = ("contrast/3", "fog/3")
COUNT = 12


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    """Return a start, two nets that were tuned from it, and shards of all sets."""
    home, found = tmp_path_factory.mktemp("paths"), dict[Ref, Path]()
    for name, options in zip(
        (START, *MEMBERS), ({"mixture": 0.5}, {"lr": 0.003}, {"lr": 0.03, "shift": 2}), strict=True
    ):
        begun = {ref: path for ref, path in found.items() if ref.name == START}
        job = training_jobs.job(
            "strided_convnet", "stepped", inputs=begun, model_params=WIDTHS, steps=12, batch_size=16, **options
        )
        found[Ref("checkpoints", name)] = training_jobs.write(home / f"{name[5:]}.safetensors", train_weights(job)[0])
    fields = registry.find("tasks", "classification").FIELDS
    for number, (split, shift, severity) in enumerate(
        [("test", "identity", 0), ("val", "identity", 0), ("train", "identity", 0)]
        + [("test", one.partition("/")[0], 3) for one in SETS]
    ):
        folder = home / f"shards{number}"
        folder.mkdir()
        samples = training_jobs.pictures(COUNT, seed=0 if split == "test" else number)
        if shift != "identity":
            samples = [dimmed(sample, number) for sample in samples]
        shards.write(samples, folder, fields, {"classes": list(training_jobs.CLASSES)}, 10**9)
        found[refs.shards("tiny", split, shift, severity)] = folder / "manifest.json"
    return found


def dimmed(sample: Sample, by: int) -> Sample:
    return sample.with_field("image", np.asarray(sample.fields["image"] // by, np.uint8))


def analysis(inputs: dict[Ref, Path], **options: Any) -> Measurement:
    params = {
        **defaults(interpolation_path),
        "start": "generalist",
        "sets": list(SETS),
        "alphas": [0.0, 0.5, 1.0],
        "samples": COUNT,
        "block": 3,
        "chunk": 7,
        "dataset": "tiny",
        "split": "test",
        "checkpoints": list(MEMBERS),
        **options,
    }
    own = {**defaults(registry.find("models", "strided_convnet")), **WIDTHS}
    models = {name: {"use": "strided_convnet", "options": own} for name in (START, *MEMBERS)}
    assert set(interpolation_path.needs(params)) <= set(inputs)
    return Measurement(params, inputs, 0, models, "cpu")


def observed(inputs: dict[Ref, Path], **options: Any) -> list[Observation]:
    return list(interpolation_path.measure(analysis(inputs, **options)))


def pool(inputs: dict[Ref, Path], **options: Any) -> _paths.Pool:
    return _paths.Pool.load(analysis(inputs, **options), START, MEMBERS)


def all_sets(inputs: dict[Ref, Path], **options: Any) -> Sets:
    own = pool(inputs, **options)
    return Sets(own.job, own.predictor, own.classes)


def values(rows: list[Observation], **wanted: Any) -> dict[str, float]:
    return {r.key: r.value for r in rows if all(getattr(r, k) == v for k, v in wanted.items())}


def test_ends_are_the_stored_nets_and_halves_share_no_picture(inputs: dict[Ref, Path]) -> None:
    rows = observed(inputs)
    for step, name in ((0, START), (100, MEMBERS[1])):
        predictor = analysis(inputs).predictor(Ref("checkpoints", name))
        for shift, group in (("identity", "id"), ("fog", "ood"), ("fog", "ood_finding")):
            read = list(shards.read(inputs[refs.shards("tiny", "test", shift, 3 * (shift == "fog"))].parent))
            logits = predictor(read)["logits"]
            right = logits.argmax(1) == np.array([s.fields["label"] for s in read])
            found = values(rows, metric="path_accuracy", method="fast", step=step, group=group)
            if shift == "identity":
                assert list(found.values()) == pytest.approx(right.reshape(4, 3).mean(1))
            else:
                both = observed(inputs, sets=["fog/3"])
                found = values(both, metric="path_accuracy", method="fast", step=step, group=group)
                half = right.reshape(4, 3)[0 if group == "ood" else 1 :: 2]
                assert list(found.values()) == pytest.approx(half.mean(1))
    blocks = [set(values(rows, metric="path_loss", method="slow", group=g, step=50)) for g in ("ood", "ood_finding")]
    assert blocks == [{"00000", "00002"}, {"00001", "00003"}]
    assert {r.split for r in rows if r.group == "val"} == {"val"}
    middle = values(rows, metric="path_accuracy", method="slow", step=50, group="id")
    own = pool(inputs)
    state = _interpolation.mixed(own.first, own.tuned("slow"), 0.5)
    samples, net = training_jobs.pictures(COUNT), own.predictor.net
    net.load_state_dict(state)
    right = own.predictor(samples)["logits"].argmax(1) == np.arange(COUNT) % 4
    assert list(middle.values()) == pytest.approx(right.reshape(4, 3).mean(1))


def test_each_picture_is_seen_under_some_of_the_sets(inputs: dict[Ref, Path]) -> None:
    own = all_sets(inputs, sets_per_sample=1)
    kinds = [kind for chunk in own.chunks() for kind in chunk.sets.tolist()]
    assert [kinds.count(number) for number in range(4)] == [COUNT, COUNT, COUNT // 2, COUNT // 2]
    several = list(own.chunks(("ood",)))
    assert sum(len(chunk.labels) for chunk in several) == COUNT // 2
    with pytest.raises(ParamsError, match="divisor"):
        list(all_sets(inputs, sets=[*SETS, *SETS[:1]], sets_per_sample=2).chunks())


def test_layers_are_scored_by_the_path_on_which_they_alone_are_mixed(inputs: dict[Ref, Path]) -> None:
    own = pool(inputs)
    second, net = own.tuned("fast"), own.predictor.net
    read = list(shards.read(inputs[refs.shards("tiny", "val")].parent))
    labels = torch.tensor([sample.fields["label"] for sample in read])

    def loss(state: nets.State) -> float:
        net.load_state_dict(state)
        logits = torch.from_numpy(own.predictor(read)["logits"])
        return float(torch.nn.functional.cross_entropy(logits, labels))

    scores = _stragglers.scores(own, second)
    assert list(scores) == ["body.0", "body.1", "body.2", "body.3", "head"]
    names = {name for name in second if name.startswith("body.0.")}
    line = []
    for a in (0, 0.25, 0.5, 0.75, 1):
        mix = {n: (1 - a) * own.first[n] + a * t if n in names else t for n, t in second.items()}
        line.append(loss(mix))
    assert scores["body.0"] == pytest.approx(max(line) - (line[0] + line[-1]) / 2, abs=1e-5)
    mirrored, kept = (_stragglers.scores(pool(inputs, score=one), second) for one in ("mirror", "kept"))
    assert len({tuple(one.values()) for one in (scores, mirrored, kept)}) == 3
    assert _stragglers.highest({"a": 1.0, "b": 3.0, "c": 2.0}, 2) == ["b", "c"]
    assert _stragglers.highest({"a": 1.0, "b": 9.0, "c": 2.0}, 0) == ["b"]


def test_variants_differ_in_their_layers_and_lose_as_much(inputs: dict[Ref, Path]) -> None:
    variants = ["delta_0.5_stragglers", "delta_0.5_others", "weights_0.5_stragglers"]
    own = pool(inputs, variants=variants)
    second, stragglers = own.tuned("fast"), ["body.1", "head"]
    moved = {}
    for variant in variants:
        end = _paths.end(own, ModelPath("fast", [], variant, stragglers), second)
        moved[variant] = {
            layer
            for layer, names in own.layers.items()
            if any(not torch.equal(end[name], second[name]) for name in names)
        }
    others = _paths.other_layers(own, ModelPath("fast", [], variants[1], stragglers))
    assert moved == {variants[0]: set(stragglers), variants[1]: set(others), variants[2]: set(stragglers)}
    assert len(others) == len(stragglers)
    assert not set(others) & set(stragglers)
    end = _paths.end(own, ModelPath("fast", [], variants[0], stragglers), second)
    back = (end["head.weight"] == own.first["head.weight"]).float().mean()
    assert 0.2 < back < 0.8
    rows = observed(inputs, variants=variants, sparse_on="all", fisher_samples=4, sharpness_alphas=[0.5], radii=[0.01],
        sharpness_samples=8, sharpness_batch=4, iterations=2, average_draws=1)  # fmt: skip
    steps = {r.step for r in rows if r.group == "ood_delta_0.5_others" and r.metric == "path_accuracy"}
    assert steps == {50}
    assert values(rows, group="ood_fisher", method="slow", step=50)
    sharp = {(r.group, r.key) for r in rows if r.metric == "sharpness"}
    assert sharp == {(f"{scope}_0.01", key) for scope in ("whole", "stragglers") for key in ("000", "001")}
    assert sum(r.value for r in rows if r.metric == "straggler_share") == 2 * len(MEMBERS)


def test_failures_are_found_on_their_own_half_and_alone_get_variants(inputs: dict[Ref, Path]) -> None:
    rows = observed(inputs, variants=["delta_0.3_stragglers"])
    fails = values(rows, metric="fails")
    for member, failed in fails.items():
        line = {
            step: np.mean(
                list(values(rows, metric="path_accuracy", method=member, group="ood_finding", step=step).values())
            )
            for step in (0, 50, 100)
        }
        assert failed == float(line[50] <= max(line[0], line[100]))
        assert bool(values(rows, method=member, group="ood_delta_0.3_stragglers")) == bool(failed)


def test_classes_of_a_set_are_those_that_count() -> None:
    logits = torch.tensor([[3.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 5.0]])
    chunk = _test_sets.Chunk(logits, torch.tensor([1, 0]), torch.tensor([0, 1]), torch.tensor([0, 1]))
    right, loss = _test_sets.answers(logits, chunk, [None, [[1, 3], [2]]])
    assert right.tolist() == [False, True]
    expected = torch.nn.functional.cross_entropy(torch.tensor([[5.0, 2.0]]), torch.tensor([0]))
    assert float(loss[1]) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"score": "height"}, "score is 'height'"),
        ({"alphas": [0.0, 0.5]}, "lack 0 or 1"),
        ({"sharpness_alphas": [1.5]}, "expected numbers of 0 to 1"),
        ({"variants": ["delta_2_stragglers"]}, "expected TARGET_SHARE_ARM"),
    ],
)
def test_wrong_options_are_refused(inputs: dict[Ref, Path], options: dict[str, Any], why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        observed(inputs, **options)


def test_other_architectures_and_unknown_classes_are_refused(inputs: dict[Ref, Path], tmp_path: Path) -> None:
    state = {**nets.read_state(inputs[Ref("checkpoints", MEMBERS[0])]), "extra": torch.zeros(1)}
    other = {**inputs, Ref("checkpoints", MEMBERS[0]): training_jobs.write(tmp_path / "w.safetensors", state)}
    with pytest.raises(ModelError, match="extra"):
        observed(other)
    sets = all_sets(inputs)
    sets.classes = ["a", "b", "c"]
    with pytest.raises(DataError, match="no class 'd'"):
        sets.class_maps()
