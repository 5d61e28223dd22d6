"""COOkeD: the mean of three classifiers, step by step, and what its members are made from."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from makers import small_files
from makers.repositories import HOME
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import fake_open_clip, training_jobs
from shiftbench.data import schema, splits
from shiftbench.evaluation import nets
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.plugins.losses.self_supervised import info_nce
from shiftbench.plugins.methods import mean_probability
from shiftbench.plugins.models import _pairs, _sentences
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.workflow.plan import cards, configurations, unavailable
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.stages.score import score_cell
from shiftbench.workflow.stages.train import train_weights

CLASSES, WIDTH, COUNT = 5, 6, 8
RANDOM = np.random.default_rng(0)
V = RANDOM.normal(size=(COUNT, WIDTH)) * 7
TEXTS = RANDOM.normal(size=(CLASSES, WIDTH)) * 3
PROBE = RANDOM.normal(size=(CLASSES, WIDTH)), RANDOM.normal(size=CLASSES)
CLS = RANDOM.normal(size=(COUNT, CLASSES)) * 4
KEYS = [f"toy/test/{number}" for number in range(COUNT)]


class Tower(_pairs.Pairs):
    """An image tower that gives its input."""

    def image(self, x: torch.Tensor) -> torch.Tensor:
        return x


def tower(state: nets.State) -> Tower:
    net = Tower(WIDTH, CLASSES)
    nets.load_into(net, state, "made here")
    return net.eval()


def members() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of the trained net, of the zero-shot classifier at scale 100, and of the probe; from the code."""
    v = torch.from_numpy(V).float()
    named = _pairs.from_texts({}, torch.from_numpy(TEXTS).float(), 100.0, unit=True)
    weight, bias = (torch.from_numpy(part).float() for part in PROBE)
    probed = _pairs.on_raw({**named, "head.weight": weight, "head.bias": bias})
    with torch.inference_mode():
        zero_shot, probe = tower(named), tower(probed)
        assert not torch.allclose(zero_shot.features(v), probe.features(v))
        assert torch.equal(probe.features(v), v)  # raw
        return CLS.astype(np.float32), zero_shot(v).numpy(), probe(v).numpy()


def records(folder: Path, name: str, logits: np.ndarray, keys: list[str] = KEYS) -> Path:
    names = tuple("abcdefg"[: logits.shape[1]])
    some = [Sample(key, {"label": 0}) for key in keys]
    table = classification.rows(some, {"logits": logits}, LabelSpace(names, names), "full")
    file = folder / f"{name}.parquet"
    schema.write(table, file, "f")
    return file


def ensemble(folder: Path, logits: dict[str, np.ndarray]) -> mean_probability.MeanProbability:
    inputs = {Ref("records", name): records(folder, name, values) for name, values in logits.items()}
    made = mean_probability.wrap(lambda _: None, {}, inputs)
    made.at(inputs)
    return made


def test_steps_3_to_6_by_hand(tmp_path: Path) -> None:
    cls, zs, probe = members()
    made = ensemble(tmp_path, {"cls": cls, "zs": zs, "probe": probe})
    some = [Sample(key, {"label": 0}) for key in KEYS]
    logits = made(some)["logits"]

    u = V / np.sqrt((V**2).sum(1, keepdims=True))
    t = TEXTS / np.sqrt((TEXTS**2).sum(1, keepdims=True))
    p_zs = softmax(100 * u @ t.T, axis=1)
    p_probe = softmax(V @ PROBE[0].T + PROBE[1], axis=1)
    p = (softmax(CLS, axis=1) + p_probe + p_zs) / 3
    assert np.exp(logits.astype(float)) == pytest.approx(p, abs=1e-6)

    names = tuple("abcde")
    rows = Rows(classification.rows(some, {"logits": logits}, LabelSpace(names, names), "full"))
    assert rows.predictions.tolist() == p.argmax(1).tolist()
    for detector, expected in (("entropy", -(p * np.log(p)).sum(1)), ("msp", -p.max(1))):
        table = score_cell(registry.find("detectors", detector), {}, rows, Known())
        assert table.column("score").to_numpy() == pytest.approx(expected, abs=2e-6)


def test_certain_members_leave_no_probability_at_zero() -> None:
    certain = np.array([[0.0, -300.0, -900.0]], dtype=np.float32)
    found = mean_probability.log_mean([certain, certain])
    assert np.isfinite(found).all()
    assert np.exp(found[0].astype(float)) == pytest.approx([1, 0, 0])


def test_members_must_agree_on_samples_and_classes(tmp_path: Path) -> None:
    wide = {"one": CLS.astype(np.float32), "other": CLS[:, :4].astype(np.float32)}
    with pytest.raises(DataError, match="other and one have not the same samples and classes"):
        ensemble(tmp_path, wide)
    with pytest.raises(ParamsError, match="members is empty"):
        mean_probability.needs({"members": []})


# --- dual encoders --------------------------------------------------------------------------------


def test_info_nce_by_hand() -> None:
    one, other = RANDOM.normal(size=(2, 4, 3))
    scale, total = 3.0, 0.0
    cosine = [[a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for b in other] for a in one]
    for i in range(4):
        total -= np.log(np.exp(scale * cosine[i][i]) / sum(np.exp(scale * c) for c in cosine[i]))
        column = [row[i] for row in cosine]
        total -= np.log(np.exp(scale * cosine[i][i]) / sum(np.exp(scale * c) for c in column))
    found = info_nce(torch.tensor(one), torch.tensor(other), torch.tensor(scale))
    assert found.item() == pytest.approx(total / 8)


def fake_sentences(texts: tuple[str, ...], folder: Path) -> torch.Tensor:
    rows = [torch.randn(384, generator=torch.Generator().manual_seed(sum(text.encode()))) for text in texts]
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@pytest.fixture
def contrastive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[nets.State, dict[Ref, Path]]:
    """A small dual encoder after training, its file, and its sentence encoder."""
    model = registry.find("models", "dual_encoder")
    monkeypatch.setattr(_sentences, "embed", fake_sentences)
    model._frozen.cache_clear()
    encoder = {refs.sources(_sentences.SOURCE): tmp_path / "encoder/manifest.json"}
    job = training_jobs.job("dual_encoder", "contrastive", inputs=encoder, epochs=6, batch_size=16)
    state, rows = train_weights(job)
    logged = {name: value for _, name, value in rows}
    assert logged["val_accuracy"] > 0.9
    assert logged["scale"] == pytest.approx(state["log_scale"].exp().item())
    start = refs.checkpoint("tiny", "dual_encoder", "contrastive")
    return state, {**encoder, start: training_jobs.write(tmp_path / "start.safetensors", state)}


def test_a_dual_encoder_becomes_a_classifier_of_names_and_one_of_labels(contrastive: Any) -> None:
    state, inputs = contrastive
    model = registry.find("models", "dual_encoder")
    samples = training_jobs.pictures(16, seed=5)
    given = {"inputs": inputs, "learnt_from": "tiny"}
    named, _ = train_weights(training_jobs.job("dual_encoder", "zero_shot", **given))
    probed, _ = train_weights(training_jobs.job("dual_encoder", "linear_probe", **given, start="contrastive", c=[0.01]))
    shown = {}
    for name, weights in (("start", state), ("named", named), ("probed", probed)):
        net = model.build(defaults(model), 4)
        nets.load_into(net, weights, name)
        shown[name] = nets.TorchPredictor(net, model, defaults(model), "cpu")(samples)
    raw = shown["start"]["features"]
    u = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    prompts = _pairs.prompts(training_jobs.CLASSES, "a photo of a {}")
    told = fake_sentences(prompts, Path()) @ state["text.weight"].T
    cosines = u @ torch.nn.functional.normalize(told, dim=1).numpy().T
    scale = np.exp(state["log_scale"].item())
    assert shown["named"]["logits"] == pytest.approx(scale * cosines, abs=1e-4)
    assert shown["named"]["features"] == pytest.approx(u, abs=1e-5)
    assert shown["probed"]["features"] == pytest.approx(raw)
    head = probed["head.weight"].numpy(), probed["head.bias"].numpy()
    assert shown["probed"]["logits"] == pytest.approx(raw @ head[0].T + head[1], abs=1e-3)
    labels = [int(sample.fields["label"]) for sample in samples]
    assert (shown["named"]["logits"].argmax(1) == shown["start"]["logits"].argmax(1)).all()
    assert (shown["probed"]["logits"].argmax(1) == labels).mean() > 0.9


@pytest.mark.parametrize("trainer", ["contrastive", "zero_shot"])
def test_a_model_without_texts_is_told(trainer: str) -> None:
    with pytest.raises(ModelError, match="'convnet' has no text tower"):
        train_weights(training_jobs.job("convnet", trainer))


def test_clip_gives_raw_features_directions_texts_and_scale(tmp_path: Path) -> None:
    """Of open_clip where it is installed, without weights; else of a fake with the same interface."""
    fake_open_clip.install()
    model = registry.find("models", "open_clip")
    torch.manual_seed(0)
    net: Any = model.build(defaults(model), 3)
    own = {name.removeprefix("clip."): t for name, t in net.state_dict().items() if "clip." in name}
    adopted = net.adopt(own)
    nets.load_into(net, adopted, "adopted")
    batch = nets.prepare(model, training_jobs.pictures(2, size=40, colour=True), defaults(model))
    with torch.inference_mode():
        v = net.eval().image(torch.from_numpy(batch))
        told = model.texts(net, ["a photo of a cat", "a photo of a dog"], defaults(model), {})
    assert v.shape == (2, told.shape[1])
    assert not torch.allclose(v.norm(dim=1), torch.ones(2), atol=1e-3)
    start = refs.checkpoint("imagenet", "open_clip", "pretrained")
    inputs = {start: training_jobs.write(tmp_path / "start.safetensors", adopted, tuple("abc"))}
    job = training_jobs.job(
        "open_clip", "zero_shot", inputs=inputs, learnt_from="imagenet", start="pretrained",
        same_seed=False, scale=100.0,
    )  # fmt: skip
    state, _ = train_weights(job)
    assert state["head.weight"].norm(dim=1).numpy() == pytest.approx(100.0, rel=1e-4)
    with pytest.raises(ModelError, match="ImageNet's 1000 classes, and these are 4; set `names: cl"):
        train_weights(replace(job, params={**job.params, "names": "curated"}))
    thousand = tuple(f"class {number}" for number in range(1000))
    assert model.curated(thousand) == list(sys.modules["open_clip"].IMAGENET_CLASSNAMES)
    classifier: Any = model.build(defaults(model), 4)
    nets.load_into(classifier, state, "zero-shot")
    with torch.inference_mode():
        u = classifier.eval().features(torch.from_numpy(batch))
    assert torch.allclose(u, torch.nn.functional.normalize(v, dim=1), atol=1e-5)


# --- the card -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_pristine")
def test_leaving_a_member_out_evaluates_no_member_again() -> None:
    params = configurations.load("systems/cooked", HOME)
    before = plans.Plan.of(params).artifacts
    names = {name: component.model_dump() for name, component in params.methods.items()}
    names["cooked"]["members"] = names["cooked"]["members"][1:]
    changed = params.model_copy(update={"methods": {k: type(params.methods["cooked"])(**v) for k, v in names.items()}})
    after = plans.Plan.of(changed).artifacts
    moved = {ref for ref in before if ref.kind == "records" and before[ref] != after[ref]}
    assert moved
    assert {ref.parts[2] for ref in moved} == {"cooked"}


def test_what_the_dual_encoder_saw_is_no_image_that_is_learnt_from_later() -> None:
    datasets = configurations.load("systems/cooked", HOME).datasets
    module = registry.find("datasets", "fashion_mnist")
    images = [Sample(f"fashion_mnist/train/{i:06d}", {"label": 0}) for i in range(3000)]
    for split in ("train", "val"):
        kept = {
            name: {
                sample.key
                for sample in splits.select_slice(images, *getattr(datasets[name].slice, split), module)
                if isinstance(sample, Sample)
            }
            for name in ("pretraining", "known_1", "known_2", "known_3")
        }
        seen = kept.pop("pretraining")
        assert seen
        assert all(own and not own & seen for own in kept.values())


def test_the_four_settings_are_benchmarks_of_one_run() -> None:
    benchmarks = configurations.load("systems/cooked", HOME).benchmarks
    settings = {name.rstrip("_123") for name in benchmarks}
    assert settings == {"standard", "covariate", "noise", "zero_shot"}
    card = cards.load("cooked")
    assert set(configurations.load("systems/cooked/smoke", HOME).benchmarks) == set(benchmarks)
    assert card.params["smoke"]["methods"] == card.params["embedded"]["methods"]


def test_nets_and_clip_see_one_image_under_two_normalisations() -> None:
    params = configurations.load("systems/cooked/full", HOME)
    asked = (spec for benchmark in params.benchmarks.values() for spec in benchmark.models)
    names = {model for spec in asked for model in spec.architectures}
    every = {name: params.options("models", name) for name in names}
    seen = {name: options.get("options") or options for name, options in every.items()}
    assert {(one.get("size", 224), one["crop"]) for one in seen.values()} == {(224, 1.0)}
    assert {one.get("interpolation", "bilinear") for one in seen.values()} == {"bilinear"}
    assert len({tuple(one["mean"]) for one in seen.values()}) == 4  # CIFAR-100, 0.5, ImageNet, CLIP


@pytest.mark.usefixtures("in_pristine")
def test_full_scale_asks_for_the_authors_files_by_their_names() -> None:
    """What `shiftbench plan` lists is what their repository has: lists, images, probes, and classifiers."""
    params = configurations.load("systems/cooked/full", HOME)
    brought = {file.path for file in unavailable.user_files(plans.Plan.of(params))}
    lists = {path for path in brought if path.endswith(".txt")}
    names = "cifar10 cifar100 mnist places365 svhn texture tin".split()
    expected = {f"cifar100/test_{name}" for name in names} | {
        "cifar100/train_cifar100", "cifar100/train_cifar100n_noisyfine", "cifar100/val_cifar100",
        *(f"ooddb/ooddb_{of}_id_0_{split}" for of in ("dtd", "patternnet") for split in ("train", "test")),
        *(f"ooddb/ooddb_{of}_ood_0_test" for of in ("dtd", "patternnet")),
        *(f"imagenet/{split}_imagenet" for split in ("train", "val", "test")),
        *(f"imagenet/test_{name}" for name in (
            "imagenet_v2", "imagenet_c", "imagenet_r", "ssb_hard", "ninco", "inaturalist", "openimage_o", "textures",
        )),
    }  # fmt: skip
    assert lists == {f"/data/cooked/benchmark_imglist/{name}.txt" for name in expected}
    checkpoints = {path for path in brought if path.endswith(".ckpt")}
    assert {path.split("/")[4] for path in checkpoints} == {"probes", "classifiers"}
    assert {path.split("/")[5].rpartition("_")[0].count("lr0.") for path in checkpoints} == {1}
    assert len(checkpoints) == 11


def textures(root: Path) -> None:
    """OODDB's lists of DTD in miniature: two known textures, one of them among the unknown ones, too."""
    rows: dict[str, list[str]] = {"id_0_train": [], "id_0_test": [], "ood_0_test": []}
    for label, folder in enumerate(("spiralled", "polka-dotted", "banded")):
        for n in range(30):
            line = f"DTD/images/{folder}/{folder}_{n:04d}.jpg"
            file = root / "images_largescale" / line
            file.parent.mkdir(parents=True, exist_ok=True)
            small_files.picture(100 * label + n, (300, 240)).save(file)
            split = "ood_0_test" if folder == "banded" else f"id_0_{'train' if n < 20 else 'test'}"
            rows[split].append(f"{line} {-1 if folder == 'banded' else label}")
    rows["ood_0_test"] += [f"{line.split()[0]} -1" for line in rows["id_0_test"][10:]]
    (root / "benchmark_imglist/ooddb").mkdir(parents=True)
    for name, lines in rows.items():
        file = root / f"benchmark_imglist/ooddb/ooddb_dtd_{name}.txt"
        file.write_text("\n".join(lines) + "\n")


def test_ooddbs_lists_give_names_and_no_image_is_on_two_sides(tmp_path: Path) -> None:
    textures(tmp_path)
    params, kept = configurations.load("systems/cooked/full", HOME), []
    module = registry.find("datasets", "image_list")
    for name, split in (*(("dtd", "train"), ("dtd", "val"), ("dtd", "test")), ("unknown_textures", "test")):
        options = {**params.options("datasets", name), "root": str(tmp_path), "counts": {}}
        found = list(module.samples(split, {}, options))
        assert {sample.fields["image"].shape for sample in found} == {(224, 224, 3)}
        low, high = getattr(params.datasets[name].slice, split)
        kept.append({sample.key for sample in splits.select_slice(found, low, high, module)})
    known = {**params.options("datasets", "dtd"), "root": str(tmp_path)}
    assert module.classes(known, {}) == ("spiralled", "polka-dotted")
    assert [len(keys) for keys in kept[2:]] == [20, 30]
    assert all(kept)
    assert len(set.union(*kept)) == sum(map(len, kept))


def test_digits_are_held_out_as_garments_are() -> None:
    module = registry.find("datasets", "mnist_classes")
    for split in (0, 1, 2):
        parts = [module.classes({"part": part, "split": split, "held_out": 3}, {}) for part in ("in", "out")]
        assert [len(part) for part in parts] == [7, 3]
        assert set(parts[0]) | set(parts[1]) == set("0123456789")
