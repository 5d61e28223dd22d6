"""PT-OOD: what pre-training sees and what it does not, probes of frozen features, and how separable OOD is in them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from isolation import ROOT
from makers import miniature_originals
from makers.repositories import HOME
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards, splits
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.datasets import _nouns
from shiftbench.plugins.losses.self_supervised import nt_xent
from shiftbench.systems.pt_ood.datasets import _concepts
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.stages.fetch import fetch
from shiftbench.workflow.stages.train import train_weights

# --- pre-training ---------------------------------------------------------------------------------


def test_nt_xent_by_hand() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 5, 3))
    views = np.concatenate([one, other])
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    terms = []
    for i in range(10):
        weights = [np.exp(views[i] @ views[k] / 0.2) for k in range(10) if k != i]
        terms.append(-np.log(np.exp(views[i] @ views[(i + 5) % 10] / 0.2) / sum(weights)))
    found = nt_xent(torch.tensor(one), torch.tensor(other), 0.2)
    assert found.item() == pytest.approx(np.mean(terms))


def test_simclr_looks_at_no_label_and_finds_twins() -> None:
    given = training_jobs.pictures(64)
    turned = [s.with_field("label", 3 - s.fields["label"]) for s in given]
    made = []
    for samples in (given, turned):
        job = training_jobs.job("convnet", "simclr", train=samples, epochs=3, batch_size=16, model_params={"width": 4})
        state, rows = train_weights(job)
        made.append(nets.state_bytes(state))
        losses = [value for _, name, value in rows if name == "train_loss"]
        assert losses[-1] < losses[0] < np.log(31) + 0.5
    assert made[0] == made[1]
    fresh = registry.find("models", "convnet").build({**defaults(registry.find("models", "convnet")), "width": 4}, 4)
    assert set(state) == set(fresh.state_dict())  # no projection


def test_random_model_are_those_that_training_begins_with() -> None:
    from shiftbench.plugins.trainers import _loop

    job = training_jobs.job("convnet", "random_init")
    state, _ = train_weights(job)
    begun = _loop.fresh_net(job).state_dict()
    assert all(torch.equal(state[name], begun[name]) for name in begun)
    assert registry.find("trainers", "random_init").needs({}) == []


# --- probes ---------------------------------------------------------------------------------------

PROJECTION = '''
"""A backbone for tests: a fixed random projection of the pixels. Source: none."""
import numpy as np
import torch
from torch import nn

TASK, PARAMS = "classification", {}


class Projection(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Linear(784, 24)
        self.head = nn.Linear(24, classes)

    def features(self, x):
        return torch.tanh(self.body(x.float().flatten(1) / 255 - 0.3))

    def forward(self, x):
        return self.head(self.features(x))


def build(params, classes):
    return Projection(classes)


def prepare_batch(samples, params):
    return np.stack([sample.fields["image"] for sample in samples])
'''


@pytest.fixture
def projection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine/models").mkdir(parents=True)
    (tmp_path / "mine/models/projection.py").write_text(PROJECTION)
    monkeypatch.setattr(registry.Folders, "extra", (tmp_path / "mine",))
    return tmp_path


def blurred(count: int, seed: int) -> list[Sample]:
    """Images of four classes that a linear classifier confuses at times."""
    random = np.random.default_rng(seed)
    samples = training_jobs.pictures(count, seed=seed)
    noisy = [
        np.clip(s.fields["image"] * 0.3 + random.normal(100, 40, (28, 28)), 0, 255).astype(np.uint8) for s in samples
    ]
    return [s.with_field("image", image) for s, image in zip(samples, noisy, strict=True)]


def test_a_probe_is_as_good_as_scikit_learns(projection: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, held = blurred(400, 1), blurred(400, 2)
    begin, _ = train_weights(training_jobs.job("projection", "random_init"))
    start = refs.checkpoint("pretraining_tiny", "projection", "random_init", 7)
    file = training_jobs.write(projection / "start.safetensors", begin)
    job = training_jobs.job("projection", "linear_probe", inputs={start: file}, train=known, c=[0.01])
    state, _ = train_weights(job)
    module = registry.find("models", "projection")

    def shown(weights: nets.State, samples: list[Sample]) -> dict[str, np.ndarray]:
        net = module.build({}, 4)
        nets.load_into(net, weights, "here")
        return nets.TorchPredictor(net, module, {}, "cpu")(samples)

    labels = [[int(s.fields["label"]) for s in samples] for samples in (known, held)]
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    reference.fit(shown(begin, known)["features"], labels[0])
    theirs = reference.score(shown(begin, held)["features"], labels[1])
    ours = (shown(state, held)["logits"].argmax(1) == labels[1]).mean()
    assert 0.5 < theirs < 0.999
    assert ours > theirs - 0.01


def test_a_probe_starts_where_its_options_say() -> None:
    trainer = registry.find("trainers", "linear_probe")
    context = {"dataset": "known_2", "model": "convnet", "seed": 3}
    own = {"learnt_from": "pretraining_{dataset}", "start": "erm", "same_seed": True}
    assert trainer.needs({**defaults(trainer), **own, **context})[0] == refs.checkpoint(
        "pretraining_known_2", "convnet", "erm", 3
    )
    public = trainer.needs({**defaults(trainer), **context})[0]
    assert public == refs.checkpoint("imagenet", "convnet", "pretrained", 0)


# --- separability ---------------------------------------------------------------------------------


def upside_down(count: int) -> list[Sample]:
    """Images of other classes than those of `training_jobs.images`, which a net tells apart from them."""
    given = training_jobs.pictures(count, seed=2)
    return [Sample(s.key.replace("tiny", "ood"), {**s.fields, "image": 255 - s.fields["image"]}) for s in given]


def stored(folder: Path, samples: list[Sample]) -> Path:
    """Write shards as the shift stage does; returns their manifest."""
    folder.mkdir()
    about = {
        "task": "classification", "classes": list(training_jobs.CLASSES), "licence": "CC0", "citation": "none",
        "redistribute": True, "skipped": [], "dataset": folder.name, "split": "test", "shift": "identity",
        "severity": 0.0,
    }  # fmt: skip
    fields = registry.find("tasks", "classification").FIELDS
    shards.write(sorted(samples, key=lambda s: s.key), folder, fields, about, 10**8)
    return folder / "manifest.json"


def test_separability_and_margin_of_features_that_are_known(projection: Path) -> None:
    analysis = registry.find("analyses", "separability")
    sets = {"id": training_jobs.pictures(80, seed=1), "ood": upside_down(80)}
    inputs = {refs.shards(name, "test"): stored(projection / name, samples) for name, samples in sets.items()}
    state, _ = train_weights(training_jobs.job("convnet", "erm", epochs=2))
    name = "id/convnet-erm-s0"
    inputs[Ref("checkpoints", name)] = training_jobs.write(projection / "w.safetensors", state)
    model = {"use": "convnet", "options": defaults(registry.find("models", "convnet"))}
    params = {
        **defaults(analysis), "ood": "ood", "named": "pt", "dataset": "id", "split": "test", "checkpoints": [name],
    }  # fmt: skip
    assert set(analysis.needs(params)) == set(inputs)
    found = list(analysis.measure(Measurement(params, inputs, 0, {name: model})))
    halves = [o for o in found if o.metric == "linear_separability"]
    keys = [s.key for samples in sets.values() for s in samples]
    assert {o.key for o in halves} == {k for k in keys if splits.unit("separability", k) >= 0.5}
    assert np.mean([o.value for o in halves]) > 0.9
    assert {o.dataset for o in found} == {"pt"}

    margins = {o.key: o.value for o in found if o.metric == "probe_margin"}
    assert set(margins) == {s.key for s in sets["ood"]}
    net = registry.find("models", "convnet").build(model["options"], 4)
    nets.load_into(net, state, "here")
    predictor = nets.TorchPredictor(net, registry.find("models", "convnet"), model["options"], "cpu")
    for sample in sets["ood"][:5]:
        logits = predictor([sample])["logits"][0].astype(float)
        first, second = sorted(np.exp(logits) / np.exp(logits).sum())[-1:-3:-1]
        assert margins[sample.key] == pytest.approx(first - second, abs=1e-5)


def test_classes_of_noise_cannot_be_separated() -> None:
    analysis = registry.find("analyses", "separability")
    random = np.random.default_rng(0)
    right = analysis.separated(random.normal(size=(600, 5)), random.integers(0, 4, 600), np.arange(600) % 2 == 0, 0.1)
    assert len(right) == 300
    assert right.mean() == pytest.approx(0.25, abs=0.08)


# --- which classes are familiar -------------------------------------------------------------------

NOUNS = """
  1 This software and database is being provided to you
00000001 03 n 01 entity 0 000 | all
00000002 05 n 02 animal 0 beast 0 001 @ 00000001 n 0000 | alive
00000003 05 n 01 fish 0 001 @ 00000002 n 0000 | swims
00000004 05 n 01 tench 0 001 @ 00000003 n 0000 | a fish
00000005 06 n 01 tool 0 001 @ 00000001 n 0000 | used
00000006 06 n 01 hammer 0 001 @ 00000005 n 0000 | hits
00000007 06 n 01 mallet 0 001 @ 00000005 n 0000 | hits, too
00000008 06 n 01 Mjolnir 0 002 @i 00000006 n 0000 ~ 00000001 n 0000 | of Thor
00000009 05 n 01 newt 0 001 @ 00000002 n 0000 | wet
"""


def test_what_lies_above_a_synset_and_how_far_apart_two_are(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(NOUNS.lstrip("\n"))
    nouns = _nouns.Nouns(tmp_path)
    assert nouns.senses("Beast") == ("n00000002",)
    assert nouns.senses("trout") == ()
    assert nouns.steps_up("n00000008") == {
        "n00000008": 0, "n00000006": 1, "n00000005": 2, "n00000001": 3,
    }  # fmt: skip
    assert nouns.related("n00000003", ["n00000004"])
    assert nouns.related("n00000004", ["n00000003"])
    assert not nouns.related("n00000004", ["n00000009", "n00000006"])
    assert nouns.distance("n00000007", "n00000008") == 3
    thousand = ["n00000004", "n00000006", "n00000009"]
    fish = nouns.senses("fish")
    assert _concepts.familiar(nouns, thousand, fish, 2) == ["n00000006", "n00000009"]
    assert _concepts.nearest(nouns, ["n00000006"], ["n00000009", "n00000007"]) == ["n00000007"]
    with pytest.raises(DataError, match="shiftbench fetch wordnet"):
        _nouns.Nouns(tmp_path / "elsewhere")


def test_the_committed_lists_keep_apart_what_they_must() -> None:
    thousand = set((ROOT / "src/shiftbench/plugins/datasets/imagenet_synsets.txt").read_text().split())
    parts = {part: _concepts.read(part) for part in _concepts.PARTS}
    assert {len(set(synsets)) for synsets in parts.values()} == {_concepts.COUNT}
    assert set(parts["familiar"]) < thousand
    assert not (set(parts["unseen"]) | set(parts["held"])) & thousand
    assert not set(parts["unseen"]) & set(parts["held"])


@pytest.mark.network
def test_the_lists_are_what_wordnet_gives(tmp_path: Path) -> None:
    """Against a walk over WordNet's file by another way: up from each synset with sets alone."""
    fetch("wordnet", tmp_path, [], offline=False)
    nouns = _nouns.Nouns(tmp_path)
    known = set(_concepts.of_names(nouns))
    assert {"n02084071", "n02121620", "n00021265"} <= known  # dog, cat, food
    above = {s: set(nouns.steps_up(s)) for part in _concepts.PARTS for s in _concepts.read(part)}
    assert not [synset for synset, up in above.items() if up & known]
    assert not [one for one in known if set(nouns.steps_up(one)) & above.keys()]


def test_a_class_with_too_few_images_is_told(tmp_path: Path) -> None:
    _, options = miniature_originals.imagenet_concepts(tmp_path)
    module = registry.find("datasets", "imagenet_concepts")
    with pytest.raises(DataError, match="holds 3 images, expected 50 or more"):
        list(module.samples("test", {}, {**defaults(module), **options, "per_class": 50}))
    with pytest.raises(ParamsError, match="part is 'familar'; did you mean familiar"):
        module.classes({**defaults(module), "part": "familar"}, {})


# --- the card -------------------------------------------------------------------------------------


def params(scale: str = "") -> Params:
    return configurations.load(f"systems/pt-ood{scale}", HOME)


def seen(given: Params, dataset: str, split: str) -> set[str]:
    """Return which of many made-up keys of Fashion-MNIST a split of a dataset may hold, whatever their classes."""
    module = registry.find("datasets", given.use("datasets", dataset))
    native = splits.native(split, module)
    images = [Sample(f"fashion_mnist/{native}/{i:06d}", {"label": 0}) for i in range(4000)]
    low, high = getattr(given.datasets[dataset].slice, split)
    kept = splits.select_slice(splits.select_split(images, split, module), low, high, module)
    return {sample.key for sample in kept if isinstance(sample, Sample)}


def classes(given: Params, dataset: str) -> set[str]:
    module = registry.find("datasets", given.use("datasets", dataset))
    options = given.options("datasets", dataset)
    return set(module.CLASSES if hasattr(module, "CLASSES") else module.classes(options, {}))


@pytest.mark.parametrize(("scale", "choices"), [("", 5), ("/smoke", 3)])
def test_membership(scale: str, choices: int) -> None:
    given = params(scale)
    for number in range(1, choices + 1):
        pretrained = {
            f"{name}/{split}": seen(given, name, split)
            for name in ("pretraining", f"pretraining_known_{number}")
            for split in ("train", "val")
        }
        known = {split: seen(given, f"known_{number}", split) for split in splits.SPLITS}
        unknown = seen(given, f"unknown_{number}", "test")
        for images in pretrained.values():
            assert images
            assert not images & (known["train"] | known["val"] | known["test"] | unknown)
        assert not (known["train"] | known["val"]) & (known["test"] | unknown)
        familiar = classes(given, f"unknown_{number}")
        assert familiar < classes(given, "pretraining")
        assert not familiar & classes(given, f"pretraining_known_{number}")
        assert not familiar & classes(given, f"known_{number}")
        benchmark = given.benchmarks[f"split_{number}"]
        assert benchmark.val_sets == (("photo_patches", "val"),)  # of no set that is tested
        assert not {name for name, _ in benchmark.val_sets} & set(benchmark.ood_groups)
        assert given.analyses[f"separability_{number}"].options["ood"] == f"unknown_{number}"
    chosen = [frozenset(classes(given, f"known_{number}")) for number in range(1, choices + 1)]
    assert len(set(chosen)) == choices


@pytest.mark.usefixtures("in_pristine")
def test_adding_a_backbone_is_one_row() -> None:
    given = params()
    probe = given.trainers["probe_random"]
    row = type(probe)(**{**probe.model_dump(exclude_none=True), "start": "pgd"})
    weights = given.benchmarks["split_1"].models[0]
    more = weights.model_copy(update={"trainers": (*weights.trainers, "probe_robust")})
    benchmark = given.benchmarks["split_1"].model_copy(update={"models": (more,)})
    wider = given.model_copy(
        update={
            "trainers": {**given.trainers, "probe_robust": row},
            "benchmarks": {**given.benchmarks, "split_1": benchmark},
        }
    )
    before, after = (plans.Plan.of(one).artifacts for one in (given, wider))
    added = {ref.name for ref in after.keys() - before.keys() if ref.kind == "checkpoints"}
    assert added == {"pretraining/convnet-pgd-s1", "known_1/convnet-probe_robust-s1"}
    for ref, cell in before.items():
        if ref.kind in ("shards", "checkpoints", "records", "scores"):
            assert after[ref].fingerprint == cell.fingerprint


def test_full_scale_chooses_options_by_classes_that_are_not_tested() -> None:
    given = params("/full")
    assert set(given.benchmarks) == {"cifar10", "cifar100", "oxford_pet", "food101"}
    for benchmark in given.benchmarks.values():
        ((name, _),) = benchmark.val_sets
        held = classes(given, name)
        tested = [classes(given, one) for one in benchmark.ood_groups if one in ("familiar", "unseen")]
        assert len(tested) == 2
        assert not held & set.union(*tested)


def test_every_claim_that_names_simclr_is_judged_behind_the_gate() -> None:
    card = cards.load("pt-ood")
    for claim in card.claims.values():
        named = "probe_simclr" in json.dumps(claim.value)
        if claim.scale == "embedded":
            assert (claim.gate is not None) == named
            assert claim.gate is None or claim.gate["above"] == 0.02
