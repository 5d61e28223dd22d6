"""Both stages and the baseline on miniature texts; what their weights hold; and how classes lie to each other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers import brown_miniature
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.contracts import shift_digests, training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement, TrainJob
from shiftbench.plugins.tasks import text_classification
from shiftbench.systems.detree.analyses import class_relations
from shiftbench.systems.detree.datasets import _brown
from shiftbench.systems.detree.losses._tree import Tree
from shiftbench.systems.detree.models._database import Voter
from shiftbench.systems.detree.trainers import _contrastive

CLASSES = ("human", "machine")
SHORT = {"epochs": 2, "batch_size": 32, "centres": 5}


class Place:
    """Texts of the miniature and jobs on them; weights are made once."""

    def __init__(self, home: Path) -> None:
        corpus = brown_miniature.write(home / "brown")
        wordnet, lists = (shift_digests.originals()[name] for name in ("wordnet", "codespell"))
        self.sources = {_brown.SOURCE: corpus, "wordnet": wordnet}
        self.inputs = {refs.sources(_brown.SOURCE): corpus / "m.json", refs.sources("codespell"): lists / "m.json"}
        module, self.home = registry.find("datasets", "brown_collaborative"), home
        small = {**defaults(module), "words": 30, "human": 3, "edited": 1}
        self.texts = {split: list(module.samples(split, self.sources, small)) for split in ("train", "val", "test")}
        self.weights: dict[str, dict[str, torch.Tensor]] = {}

    def job(self, trainer: str, **given: Any) -> TrainJob:
        module, model = registry.find("trainers", trainer), registry.find("models", "stylometric_mlp")
        options = {
            **defaults(module),
            **{name: value for name, value in SHORT.items() if name in defaults(module)},
            **given,
        }
        inputs = dict(self.inputs)
        if trainer == "tree_contrastive":
            flat = refs.checkpoint("brown_collaborative", "stylometric_mlp", "supcon", 0)
            inputs[flat] = self.file("supcon")
        adamw = {"use": "adamw", "options": defaults(registry.find("optimizers", "adamw"))}
        return TrainJob(
            "brown_collaborative", "stylometric_mlp", trainer, 0, options, defaults(model), CLASSES, inputs,
            lambda split: self.texts[split], adamw,
        )  # fmt: skip

    def train(self, trainer: str) -> dict[str, torch.Tensor]:
        if trainer not in self.weights:
            self.weights[trainer] = registry.find("trainers", trainer).train(self.job(trainer))
        return self.weights[trainer]

    def file(self, trainer: str) -> Path:
        return training_jobs.write(self.home / f"{trainer}.safetensors", self.train(trainer))

    def predictor(self, trainer: str) -> Any:
        model = registry.find("models", "stylometric_mlp")
        return model.load(self.file(trainer), defaults(model), CLASSES, "cpu", self.inputs)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("detree"))


def test_a_flat_training_gives_a_detector(place: Place) -> None:
    state = place.train("supcon")
    tree = Tree.parse(state["tree"].numpy().tobytes().decode())
    assert sorted(tree.leaf_of) == sorted({one.fields["meta"]["group"] for one in place.texts["train"]})
    assert len(tree.names) == len(tree.nodes) == len(state["prototypes"]) == 7
    assert state["database.human"].sum() == 5  # of ten centres
    voter = place.predictor("supcon")
    assert isinstance(voter, Voter)
    found = voter(place.texts["test"])
    assert found["logits"].shape == (len(place.texts["test"]), 2)
    np.testing.assert_allclose(np.linalg.norm(found["features"], axis=1), 1, atol=1e-6)
    alone = voter(place.texts["test"][:1])["logits"]
    np.testing.assert_allclose(alone, found["logits"][:1], atol=1e-4)


def test_the_threshold_keeps_the_rate_on_human_validation_texts(place: Place) -> None:
    human = [one for one in place.texts["val"] if one.fields["label"] == 0]
    called = place.predictor("supcon")(human)["logits"].argmax(1)
    assert called.mean() <= 0.05


def test_the_second_stage_learns_on_the_tree_of_the_first_from_the_same_net(place: Place) -> None:
    state = place.train("tree_contrastive")
    tree = Tree.parse(state["tree"].numpy().tobytes().decode())
    above = {tree.parents[tree.leaf_of[name]] for name in ("human",)}
    assert above == {tree.root}  # prior 1
    assert sum(parent == tree.root for parent in tree.parents.values()) == 2
    known = _contrastive.texts(place.job("supcon"), "train")
    first, second = (
        _contrastive.Learner(known, Tree.star(known.classes[:1] * 1 + ["b"]), place.job(trainer)).encoder.state_dict()
        for trainer in ("supcon", "tree_contrastive")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    flat, deep = place.train("supcon"), state
    assert not torch.equal(flat["encoder.net.0.weight"], deep["encoder.net.0.weight"])
    assert torch.equal(flat["encoder.mean"], deep["encoder.mean"])


@pytest.mark.parametrize("trainer", ["supcon", "tree_contrastive"])
def test_the_same_job_gives_the_same_bytes(trainer: str, place: Place) -> None:
    torch.rand(7)
    again = registry.find("trainers", trainer).train(place.job(trainer))
    assert nets.state_bytes(again) == nets.state_bytes(place.train(trainer))


def test_options_reach_the_loss(place: Place) -> None:
    trainer = registry.find("trainers", "supcon")
    for given in ({"official_mask": True}, {"attacked": 0.0}, {"temperature": 0.5}):
        other = trainer.train(place.job("supcon", **given))
        assert not torch.equal(other["prototypes"], place.train("supcon")["prototypes"])


def test_attacked_copies_are_of_each_text_and_seed(place: Place) -> None:
    known = _contrastive.texts(place.job("supcon"), "train")
    job = place.job("supcon")
    first, again, other = (known.attack(one) for one in (job, job, replace(job, seed=1)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first != known.features).any(axis=1).mean() > 0.5


def test_the_baseline_is_a_logistic_regression_on_the_same_features(place: Place) -> None:
    found = place.predictor("stylometric_logistic")(place.texts["test"])
    assert found["logits"].shape == (len(place.texts["test"]), 2)
    assert "features" not in found
    with pytest.raises(ParamsError, match="`c` is empty; expected"):
        registry.find("trainers", "stylometric_logistic").train(place.job("stylometric_logistic", c=[]))


def test_what_does_not_fit_is_told(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="trains the model `stylometric_mlp`"):
        _contrastive.texts(replace(place.job("supcon"), model_params={}), "train")
    known = _contrastive.texts(place.job("supcon"), "train")
    with pytest.raises(DataError, match="the tree has no class 'human_extend'"):
        _contrastive.train(place.job("supcon"), known, Tree.star(["human", "mk1"]))
    model = registry.find("models", "stylometric_mlp")
    file = training_jobs.write(tmp_path / "w.safetensors", {"other": torch.zeros(1)})
    with pytest.raises(ModelError, match="holds no database"):
        model.load(file, defaults(model), CLASSES, "cpu", place.inputs)


# --- how classes lie to each other --------------------------------------------------------------------


def test_triplets_worked_out_by_hand() -> None:
    """x and y under one node, human apart: of x|y|human, y|x|human the first holds and the second does not."""
    tree = Tree.parse("4 -1 none\n0 4 human\n3 4 none\n1 3 x\n2 3 y\n")
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float64)  # y is nearer to human
    found = dict(class_relations.triplets(tree, vectors, ["x", "y", "human"]))
    assert found == {"x|y|human": 1.0, "y|x|human": 0.0}
    with pytest.raises(DataError, match="triplets take three"):
        list(class_relations.triplets(tree, vectors, ["x", "y", "z"]))


def test_triplets_of_centres_that_lie_as_the_tree_are_all_satisfied() -> None:
    tree = Tree.parse("8 -1 none\n0 8 human\n7 8 none\n6 7 none\n1 6 a\n2 6 b,c\n3 7 d\n")
    rows = {"human": [0, 0, 0, 1], "a": [4, 2, 1, 0], "b": [4, 2, 0, 0], "c": [4, 2, 0, 0], "d": [0, 2, 0, 0]}
    found = list(class_relations.triplets(tree, np.array(list(rows.values()), float), list(rows)))
    assert len(found) == len(dict(found)) > 10
    assert all(value == 1 for _, value in found)
    turned = np.array([rows[name] for name in ("d", "human", "a", "b", "c")], float)
    assert np.mean([value for _, value in class_relations.triplets(tree, turned, list(rows))]) < 1


def test_many_classes_are_drawn_from() -> None:
    found = list(class_relations.orders(30, 500, 0))
    assert len(set(found)) == 500
    assert found == list(class_relations.orders(30, 500, 0))
    assert len(list(class_relations.orders(5, 500, 0))) == 60


def test_hybrids_are_measured_against_both_sides() -> None:
    classes = ["human", "human", "human_polish", "mk1", "mk2"]
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8], [0, 1], [0, 1]], dtype=np.float64)
    found = {metric: value for metric, _, _, value in class_relations.hybrids(vectors, classes, list("abcde"))}
    assert found == pytest.approx({"similarity_to_ai": 0.8, "similarity_to_human": 0.6})
    assert {group for _, _, group, _ in class_relations.hybrids(vectors, classes, list("abcde"))} == {"human_polish"}


def test_the_analysis_looks_at_each_weights_on_its_own_tree(place: Place, tmp_path: Path) -> None:
    names = [f"brown_collaborative/stylometric_mlp-{trainer}-s0" for trainer in ("supcon", "tree_contrastive")]
    context = {"dataset": "brown_collaborative", "split": "test", "checkpoints": names}
    params = {**defaults(class_relations), **context}
    needed = class_relations.needs(params)
    assert needed == [refs.shards("brown_collaborative", "test"), *(Ref("checkpoints", name) for name in names)]
    folder = tmp_path / "texts"
    folder.mkdir()
    some = sorted(place.texts["test"], key=lambda one: one.key)
    shards.write(some, folder, text_classification.FIELDS, {"classes": list(CLASSES)}, 10**9)
    inputs = {**place.inputs, needed[0]: folder / "manifest.json"}
    inputs |= {ref: place.file(ref.name.rpartition("-")[0].rpartition("-")[2]) for ref in needed[1:]}
    model = registry.find("models", "stylometric_mlp")
    used = {name: {"use": "stylometric_mlp", "options": defaults(model)} for name in names}
    found = list(class_relations.measure(Measurement(params, inputs, 0, used)))
    triplets = [one for one in found if one.metric == "triplet_satisfaction"]
    assert [sum(one.model == name for one in triplets) for name in names] == [len(triplets) // 2] * 2
    assert {one.group for one in found if one.metric == "similarity_to_ai"} == {"human_polish", "human_extend"}
    file = tmp_path / "tree.txt"
    file.write_text(Tree.star(["human", "mk1", "mk2"]).text())
    other = {**params, "path": str(file)}
    assert class_relations.needs(other) == needed
    assert not [
        one for one in class_relations.measure(Measurement(other, inputs, 0, used)) if one.metric.startswith("triplet")
    ]  # a star has no opinion


def test_texts_without_a_class_of_people_and_machines_have_no_hybrids() -> None:
    assert not list(class_relations.hybrids(np.eye(2), ["human", "mk1"], ["a", "b"]))
