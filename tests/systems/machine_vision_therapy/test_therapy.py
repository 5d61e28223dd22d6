"""The therapy with made-up verifiers, what it logs, its baselines, and a language model that is asked once."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from isolation import ROOT
from makers import tiny_vlm
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import schema, shards
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.systems.machine_vision_therapy.analyses import therapy_log
from shiftbench.systems.machine_vision_therapy.methods import (
    _prompts,
    _support,
    _verifiers,
    _vlm,
    few_shot_probe,
    machine_vision_therapy,
    verifier_alone,
)
from shiftbench.systems.machine_vision_therapy.methods._prompts import Ask

CLASSES = ("a", "b", "c", "d", "e", "f")
QUERIES, POOL = 90, 72
VISION = refs.checkpoint("known", "convnet", "erm", 2)
OTHER = refs.checkpoint("fold", "convnet", "noise", 2)
CARD = yaml.safe_load((ROOT / "src/shiftbench/systems/machine_vision_therapy/card.yaml").read_text())


def samples(name: str, count: int) -> list[Sample]:
    random = np.random.default_rng(len(name))
    images = random.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    return [Sample(f"{name}/{at:03d}", {"image": image, "label": at % 6}) for at, image in enumerate(images)]


def write(folder: Path, of: Ref, stream: str, given: list[Sample], sharpness: float) -> dict[Ref, Path]:
    """Write records and features: the truth is seen through noise, the less the higher `sharpness` is."""
    random = np.random.default_rng(len(of.name + stream))
    labels = np.array([one.fields["label"] for one in given])
    features = np.eye(6)[labels] * sharpness + random.normal(size=(len(given), 6))
    space = LabelSpace(CLASSES, CLASSES)
    task = registry.find("tasks", "classification")
    record = refs.records(of, "plain", stream, "2.5")
    files = {ref: folder / ref.path for ref in (record, refs.features(record))}
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    schema.write(task.rows(given, {"logits": 1.5 * features}, space, "full"), files[record], "f")
    np.save(files[refs.features(record)], features.astype(np.float32))
    return files


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    """What stands at the evaluation point `told/test/fog/2.5`."""
    folder = tmp_path_factory.mktemp("point")
    weights = training_jobs.write(folder / "w.safetensors", {}, CLASSES)
    pool = folder / "support"
    pool.mkdir()
    shards.write(samples("pool", POOL), pool, {"image": "png", "label": "cls"}, {"classes": CLASSES}, 10**6)
    found = {VISION: weights}
    for of, sharpness in ((VISION, 1.3), (OTHER, 2.5)):
        found |= write(folder, of, "told/test/fog", samples("told", QUERIES), sharpness)
        found |= write(folder, of, "support/train/fog", samples("pool", POOL), sharpness)
    return {**found, refs.shards("support", "train", "fog", 2.5): pool / shards.MANIFEST}


def options(**changed: Any) -> dict[str, Any]:
    context = {"checkpoint": VISION.name, "dataset": "known", "seed": 2, "stream": "told/test/fog", "step": "2.5"}
    own = {"verifier": "fold/convnet-noise", "budget": 5}
    return {**defaults(machine_vision_therapy), **own, **context, **changed}


def therapy(inputs: dict[Ref, Path], verify: Any = None, **changed: Any) -> machine_vision_therapy.Therapy:
    one = machine_vision_therapy.Therapy(options(**changed))
    one.at(inputs)
    if verify:
        one._verify = verify
    return one


def predicted(outputs: dict[str, np.ndarray]) -> np.ndarray:
    return outputs["logits"].argmax(axis=1)


def truth() -> np.ndarray:
    return np.arange(QUERIES) % 6


def perfect(given: Sequence[Sample], asks: Sequence[Ask]) -> np.ndarray:
    return np.array([float(given[ask.query].fields["label"] == ask.candidate) for ask in asks])


def plain(inputs: dict[Ref, Path]) -> np.ndarray:
    table = schema.read(inputs[refs.records(VISION, "plain", "told/test/fog", "2.5")])
    return table.column("prediction").to_numpy()


# --- the decision -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["transition", "logits"])
@pytest.mark.parametrize("top", [1, 2, 4])
def test_with_a_perfect_verifier_only_missing_candidates_are_lost(inputs: dict[Ref, Path], rule: str, top: int) -> None:
    one = therapy(inputs, perfect, candidates=rule, top_n=top, tau=1.1)
    given = samples("told", QUERIES)
    reached = [case.labels.count(label) for case, label in zip(one.cases(given), truth(), strict=True)]
    assert (predicted(one(given)) == truth()).mean() == np.mean(reached)
    assert np.mean(reached) == 1 if top == 6 else np.mean(reached) < 1
    kept = therapy(inputs, perfect, candidates=rule, top_n=top)  # early, if right and sure
    assert [case.label for case in kept.cases(given)] == [case.label for case in one.cases(given)]


def test_a_verifier_that_knows_nothing_leaves_the_vision_model(inputs: dict[Ref, Path]) -> None:
    given = samples("told", QUERIES)

    def blank(_: Sequence[Sample], asks: Sequence[Ask]) -> np.ndarray:
        return np.full(len(asks), 0.5)

    one = therapy(inputs, blank, tau=0.0)
    assert predicted(one(given)).tolist() == plain(inputs).tolist()
    assert {case.calls for case in one.cases(given)} == {3}
    late = therapy(inputs, blank, tau=1.1)
    assert predicted(late(given)).tolist() == plain(inputs).tolist()  # the first of equal V
    assert {case.calls for case in late.cases(given)} == {18}


def test_a_prediction_is_kept_from_the_threshold_on(inputs: dict[Ref, Path]) -> None:
    given = samples("told", QUERIES)
    p = _support.ward(options(), inputs).probabilities(given).max(axis=1)
    one = therapy(inputs, lambda _, asks: np.full(len(asks), 0.4), tau=0.6)
    early = [case.early for case in one.cases(given)]
    assert early == ((0.4 + p) / 2 >= 0.6).tolist()
    assert 0 < sum(early) < QUERIES
    told = one(given)["features"]
    assert told[:, -2].tolist() == [float(kept) for kept in early]
    assert told[:, -1].tolist() == [3.0 if kept else 18.0 for kept in early]
    assert (told[np.array(early), 7:12] == -1).all()  # V of others was not asked
    assert machine_vision_therapy.columns(6)[6] == "v_1"
    np.testing.assert_allclose(told[:, 6], 0.4, atol=1e-6)


def test_rules_differ_and_labels_of_queries_are_not_looked_at(inputs: dict[Ref, Path]) -> None:
    given = samples("told", QUERIES)
    found = {
        name: therapy(inputs, **changed)(given)["features"]
        for name, changed in {
            "paper": {"top_n": 2, "tau": 1.1},
            "logits": {"top_n": 2, "tau": 1.1, "candidates": "logits"},
            "signed": {"top_n": 2, "tau": 1.1, "retrieval": "signed"},
            "similar": {"top_n": 2, "tau": 1.1, "retrieval": "similarity"},
        }.items()
    }
    assert not np.array_equal(found["paper"][:, :2], found["logits"][:, :2])
    assert np.array_equal(found["paper"][:, :2], found["signed"][:, :2])
    assert len({values[:, 2:].tobytes() for values in found.values()}) == 4
    turned = [one.with_field("label", 0) for one in given]
    again = therapy(inputs, top_n=2, tau=1.1)(turned)["features"]
    assert np.array_equal(again, found["paper"])
    alone = np.concatenate([therapy(inputs, top_n=2, tau=1.1)([one])["features"] for one in given[:5]])
    np.testing.assert_allclose(alone, found["paper"][:5], rtol=1e-6)


def test_a_class_without_exemplars_is_no_candidate(inputs: dict[Ref, Path]) -> None:
    one, given = therapy(inputs, perfect, tau=0.0), samples("told", QUERIES)
    ward = one._the_ward()
    keep = ward.labels != 3
    one._ward = dataclasses.replace(ward, p=ward.p[keep], labels=ward.labels[keep])
    for case, row in zip(one.cases(given), one(given)["features"], strict=True):
        assert 3 not in case.labels
        assert case.early == (case.hat != 3)
        assert row[5] == -1


def test_a_support_set_is_drawn_for_each_class_and_masked(inputs: dict[Ref, Path], tmp_path: Path) -> None:
    ward = _support.ward(options(), inputs)
    assert np.bincount(ward.labels).tolist() == [5] * 6
    assert ward.p.shape == (30, 6)
    assert [image.shape for image in ward.images()] == [(8, 8)] * 30
    part = tmp_path / "part"
    part.mkdir()
    few = [one for one in samples("pool", POOL) if one.fields["label"] in (1, 4)]
    shards.write(few, part, {"image": "png", "label": "cls"}, {"classes": ("b", "e")}, 10**6)
    masked = {**inputs, refs.shards("support", "train", "fog", 2.5): part / shards.MANIFEST}
    ward = _support.ward(options(), masked)
    assert ward.names == ["b", "e"]
    assert ward.p.shape == (10, 2)
    one = therapy(masked)
    found = one(samples("told", QUERIES))
    assert set(found["logits"][:, [1, 4]].argmax(axis=1)) == {0, 1}
    assert set(found["features"][:, :2].astype(int).ravel()) == {1, 4}
    with pytest.raises(DataError, match="none of 72 support images has a class"):
        _support.ward(options(), {**inputs, **without_labels(inputs, tmp_path / "lost.parquet")})


def without_labels(inputs: dict[Ref, Path], file: Path) -> dict[Ref, Path]:
    """Return the support set's records, no image of which has a class of the model."""
    record = refs.records(VISION, "plain", "support/train/fog", "2.5")
    table = schema.read(inputs[record])
    at, gone = table.column_names.index("label"), pa.array([-1] * len(table), pa.int32())
    schema.write(table.set_column(at, table.schema.field("label"), gone), file, "f")
    return {record: file}


def test_what_is_needed_and_what_is_refused() -> None:
    def names(params: dict[str, Any]) -> list[str]:
        return [f"{ref.kind}:{ref.name}" for ref in machine_vision_therapy.needs(params)]

    found = names(options())
    assert found[:2] == [
        f"records:{VISION.name}/plain/told/test/fog/2.5",
        f"records:{VISION.name}/plain/support/train/fog/2.5",
    ]
    assert f"features:{OTHER.name}/plain/told/test/fog/2.5" in found
    assert found[-1] == "shards:support/train/fog/2.5"
    clean = names(options(shifted=False, asks="language"))
    assert clean[1:] == [f"records:{VISION.name}/plain/support/train/identity/0", "shards:support/train/identity/0"]
    for changed, why in (
        ({"asks": "eyes"}, "asks is 'eyes'"),
        ({"asks": "vlm"}, "takes `vlm`, a model's name"),
        ({"words": "art"}, "words is 'art'"),
        ({"verifier": "convnet"}, "expected weights as DATASET/MODEL-TRAINER"),
    ):
        with pytest.raises(ParamsError, match=why):
            names(options(**changed))
    with pytest.raises(ParamsError, match="of is 'both'"):
        few_shot_probe.needs(options(of="both"))


# --- baselines ----------------------------------------------------------------------------------


def test_baselines_are_those_of_textbooks(inputs: dict[Ref, Path]) -> None:
    """1-NN by cosine as scikit-learn's on the same centred features; a probe that is above chance and above 1-NN."""
    from sklearn.neighbors import KNeighborsClassifier

    given, ward = samples("told", QUERIES), _support.ward(options(), inputs)
    nearest = verifier_alone.Nearest(options())
    nearest.at(inputs)
    own = ward.verifier.features - ward.verifier_features.mean(axis=0)  # type: ignore[union-attr]
    model = KNeighborsClassifier(1, metric="cosine").fit(
        ward.verifier_features - ward.verifier_features.mean(axis=0), ward.labels
    )
    assert predicted(nearest(given)).tolist() == model.predict(own).tolist()
    shares = {}
    for of in few_shot_probe.OF:
        probe = few_shot_probe.Probe({**defaults(few_shot_probe), **options(of=of), "c": [0.01, 1.0], "folds": 5})
        probe.at(inputs)
        shares[of] = (predicted(probe(given)) == truth()).mean()
    assert shares["verifier"] > shares["vision"] > 0.25
    assert shares["verifier"] > (predicted(nearest(given)) == truth()).mean()


def test_penalties_are_chosen_on_the_support_set_alone() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 10)
    noise, clear = random.normal(size=(30, 20)), np.eye(3)[labels] * 9 + random.normal(size=(30, 3))
    assert few_shot_probe.chosen(noise, labels, [0.001, 10.0], 5) == 0.001
    assert few_shot_probe.chosen(clear, labels, [0.001, 10.0], 5) == 10.0


# --- who is asked -------------------------------------------------------------------------------


def test_distances_are_told_as_probabilities() -> None:
    support = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    features = {"k/0": np.array([3.0, 0.0])}
    one = _verifiers.Features(lambda some: np.stack([features[s.key] for s in some]), support, 10.0)
    asked = [Ask(0, 0, 1, (0, 0), 0, 1), Ask(0, 0, 1, (0, 0), 2, 3), Ask(0, 0, 1, (0, 0), 1, 2)]
    found = one([Sample("k/0", {})], asked)
    np.testing.assert_allclose(found, 1 / (1 + np.exp([-20.0, 0.0, 10.0])))


class Fake:
    """Says True of what it saw a hundred times more, and dies where it is told to."""

    name = "mine@local/float32"

    def __init__(self, dies_after: int = 10**6) -> None:
        self.seen: list[tuple[list[Any], str]] = []
        self._left = dies_after

    def logs(self, images: Sequence[Any], text: str, options: Sequence[str]) -> list[float]:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        self.seen.append((list(images), text))
        return [float(images[2].mean() / 100), float(len(options))]


def test_a_killed_run_of_a_language_model_goes_on_where_it_was(inputs: dict[Ref, Path], tmp_path: Path) -> None:
    """Thirty-two images at full scale's options: what was answered is kept, and a second run asks nothing."""
    ward, given = _support.ward(options(), inputs), samples("told", QUERIES)[:32]

    def vlm(backend: Fake) -> _vlm.Vlm:
        return _vlm.Vlm(Fake.name, lambda: backend, tmp_path / "kept", ward.names, ward.images())

    first, second, third = Fake(dies_after=100), Fake(), Fake()
    with pytest.raises(KeyboardInterrupt):
        therapy(inputs, vlm(first))(given)
    whole = therapy(inputs, vlm(second))(given)
    again = therapy(inputs, vlm(third))(given)
    assert (len(first.seen), len(third.seen)) == (100, 0)
    assert len(first.seen) + len(second.seen) <= whole["features"][:, -1].sum()
    assert np.array_equal(whole["features"], again["features"])
    images, text = first.seen[0]
    assert text.count("{image}") == len(images) == 3
    assert np.array_equal(images[2], given[0].fields["image"])
    asked = len(second.seen)
    other = therapy(inputs, _vlm.Vlm(Fake.name, lambda: second, tmp_path / "kept", ward.names, ward.images(),
                                     options=("Yes", "No")))  # fmt: skip
    other(given[:1])
    assert len(second.seen) > asked
    assert "? Answer: Yes" in second.seen[-1][1]
    with pytest.raises(ModelError, match="was asked in place of"):
        _vlm.Vlm("other", lambda: second, tmp_path / "new", ward.names, ward.images())(
            given, [Ask(0, 0, 1, (0, 1), 0, 1)]
        )


@pytest.mark.slow
def test_a_model_of_transformers_is_asked_about_thirty_two_images(inputs: dict[Ref, Path], tmp_path: Path) -> None:
    """LLaVA's architecture with random weights, at the options of full scale; the second run loads no model."""
    model, given = tiny_vlm.save(tmp_path / "vlm"), samples("told", QUERIES)[:32]
    asked = {"asks": "vlm", "vlm": str(model), "precision": "float32", "answers": str(tmp_path / "kept")}
    first = therapy(inputs, **asked)(given)
    lines = (tmp_path / "kept").glob("*.jsonl")
    assert sum(len(file.read_text().splitlines()) for file in lines) > 90
    shutil.rmtree(model)
    again = therapy(inputs, **asked)(given)
    assert np.array_equal(first["features"], again["features"])
    scores = first["features"][:, 6]
    assert ((scores > 0) & (scores < 1)).all()
    assert len(set(scores.tolist())) > 10
    with pytest.raises(ModelError, match="is no vision-language model that transformers can load"):
        therapy(inputs, **{**asked, "answers": str(tmp_path / "new")})(given)


class Tokens:
    """A tokeniser of words and pieces."""

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": {"True": [5], "fal": [7], "Tru": [5, 8], "False": [9]}[text]}


def test_tokens_come_from_the_tokeniser() -> None:
    assert _vlm.first_tokens(Tokens(), ["True", "False"]) == [5, 9]
    with pytest.raises(ModelError, match="do not begin with tokens of their own"):
        _vlm.first_tokens(Tokens(), ["True", "Tru"])
    assert [part["type"] for part in _vlm.content("a {image} b\nc {image}")] == [
        *("text", "image", "text", "image", "text")
    ]
    assert _vlm.colour(np.zeros((4, 5), np.uint8)).shape == (4, 5, 3)


def test_the_record_of_the_blind_language_model_is_whole() -> None:
    """Prompts of all classes about all predictions, by SmolLM2; nothing is generated."""
    names = registry.find("datasets", "fashion_mnist").CLASSES
    kept = answer_cache.Answers(machine_vision_therapy.ANSWERS)
    recorded = client.Cached(kept, client.identity("smollm2_135m"))
    asked = [Ask(0, hat, one, (0, 0), 0, 0) for hat in range(10) for one in range(10)]
    words = _prompts.WORDS["imagenet"]
    found = _verifiers.Language(recorded, names, words)([], asked)
    assert ((found > 0) & (found < 1)).all()
    assert len(set(found.tolist())) > 50
    text = _verifiers.request("bag", "coat", words).messages[0][1]
    assert text.endswith("This image [image] shows a photo of coat, True or False? Answer:")
    lines = machine_vision_therapy.ANSWERS.joinpath("smollm2_135m.jsonl").read_text().splitlines()
    assert len(lines) == 100
    assert all(np.exp(json.loads(json.loads(line)["answer"])["logs"]).sum() <= 1 for line in lines)


# --- what is logged, and the arms of the card -------------------------------------------------------


def test_doubts_tell_errors_as_the_auroc_does() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    right, doubts = random.random(200) < 0.7, random.integers(0, 9, 200) / 9
    found = list(therapy_log.shares_below([str(at) for at in range(200)], doubts, right))
    assert len(found) == (~right).sum()
    assert np.mean([share for _, share in found]) == pytest.approx(roc_auc_score(~right, doubts))
    assert list(therapy_log.shares_below(["a"], np.zeros(1), np.array([False]))) == []


def test_arms_of_the_card_differ_where_they_should_and_are_equal_where_they_should() -> None:
    params = CARD["params"]["embedded"]
    trainers, base = (params["trainers"], {"epochs": 3, "batch_size": 32, "lr": 0.0003, "split": "test"})
    tuned = [one for one in trainers.values() if one.get("use") == "pseudo_labels"]
    assert len(tuned) == 7
    assert all(base.items() <= one.items() for one in tuned)
    assert {(one["target"], *one["held_out"]) for one in tuned} == {("unlabelled", "fashion_mnist")}
    own, others = trainers["mvt_noise"], ("self_noise", "verifier_noise")
    for name in others:
        assert {key for key in own if own[key] != trainers[name][key]} == {"method"}
    sets = params["datasets"]
    assert sets["unlabelled"]["slice"]["test"][1] <= sets["fashion_mnist"]["slice"]["test"][0]
    bounds = [sets[name]["slice"]["train"] for name in ("fashion_mnist", "verifier_fold", "support")]
    assert [low for low, _ in bounds[1:]] == [high for _, high in bounds[:-1]]
    taus = {params["methods"][name].get("tau", 0.6) for name in params["analyses"]["therapy_log"]["told"]}
    assert taus == {0.0, 0.6, 0.8, 1.1}
