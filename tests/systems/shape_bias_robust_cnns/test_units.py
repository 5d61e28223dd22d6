"""Measures of units, each against NumPy or by hand: variation, noise, ablation, kinds of inputs, concepts."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import (
    _concepts,
    _units,
    concept_units,
    unit_ablation,
    unit_inputs,
    unit_simplicity,
)
from shiftbench.workflow.stages.train import train_weights

CONVNET = registry.find("models", "convnet")
NAMES = ("tiny/convnet-erm-s0", "tiny/convnet-adversarial-s0")
LAYERS = {"conv1": "body.2", "conv3": "body.10"}


def variation(image: np.ndarray) -> float:
    """Return the total variation of a map by its formula."""
    return float(np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image, axis=1)).sum())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    """Return two nets, and thirty pictures, clean and with noise."""
    home, found = tmp_path_factory.mktemp("units"), {}
    fields = registry.find("tasks", "classification").FIELDS
    samples = training_jobs.pictures(30, seed=7)
    noise = registry.find("shifts", "gaussian_noise")
    for place in ("identity/0", "gaussian_noise/1.5"):
        name, _, severity = place.partition("/")
        ref = refs.shards("tiny", "test", name, float(severity))
        (home / name).mkdir()
        seen = [_with(noise, one, float(severity)) for one in samples]
        shards.write(seen, home / name, fields, {"classes": list(training_jobs.CLASSES)}, 10**9)
        found[ref] = home / name / "manifest.json"
    for name in NAMES:
        trainer = name.split("-")[1]
        own = {"steps": 1} if trainer == "adversarial" else {}
        state = train_weights(training_jobs.job("convnet", trainer, epochs=1, batch_size=16, **own))[0]
        found[Ref("checkpoints", name)] = training_jobs.write(home / f"{trainer}.safetensors", state)
    return found


def _with(noise: ModuleType, sample: Sample, severity: float) -> Sample:
    from shiftbench.base.rng import RandomStream

    words = RandomStream(0, "gaussian_noise", "tiny", sample.key)
    return sample.with_field("image", noise.apply(sample.fields["image"], severity, words))


def job(module: ModuleType, inputs: dict[Ref, Path], **options: Any) -> Measurement:
    params = {
        **defaults(module),
        "layers": LAYERS,
        "samples": 30,
        "dataset": "tiny",
        "split": "test",
        "checkpoints": list(NAMES),
        **options,
    }
    assert set(module.needs(params)) <= set(inputs)
    models = {name: {"use": "convnet", "options": defaults(CONVNET)} for name in NAMES}
    return Measurement(params, inputs, 0, models)


def measured(module: ModuleType, given: Measurement) -> dict[tuple[str, str, str], float]:
    rows: list[Observation] = list(module.measure(given))
    return {(row.model, row.metric, row.key + (row.shift or "")): row.value for row in rows}


def maps(given: Measurement, name: str, place: str) -> dict[str, np.ndarray]:
    """Return what the layers give, computed without hooks: the net's modules one after the other."""
    predictor = given.predictor(Ref("checkpoints", name))
    samples = given.samples(_units.place(place, given.params))
    x = torch.from_numpy(predictor.prepare(samples)).float() / 127.5 - 1.0
    found = {}
    with torch.inference_mode():
        for number, module in enumerate(predictor.net.body):
            x = module(x)
            found |= {key: x.numpy() for key, path in LAYERS.items() if path == f"body.{number}"}
    return found


def test_total_variation_is_its_formula() -> None:
    images = np.random.default_rng(0).normal(size=(3, 2, 9, 7)).astype(np.float32)
    found = _units.total_variation(torch.from_numpy(images)).numpy()
    wanted = [[variation(one.astype(np.float64)) for one in own] for own in images]
    assert np.abs(found - np.array(wanted)).max() < 1e-6
    assert _units.total_variation(torch.ones(1, 5, 5)).item() == 0


def test_smoothness_and_noise_of_every_unit(inputs: dict[Ref, Path]) -> None:
    given = job(unit_simplicity, inputs, standard="convnet-erm")
    found = measured(unit_simplicity, given)
    for name in NAMES:
        kernels = given.predictor(Ref("checkpoints", name)).net.body[0].weight.detach().numpy()
        for at, kernel in enumerate(kernels):
            unit = kernel.astype(np.float64) / np.sqrt((kernel.astype(np.float64) ** 2).sum())
            assert found[name, "kernel_tv", f"kernel_{at:04d}"] == pytest.approx(sum(map(variation, unit)), abs=1e-6)
        clean, noisy = (maps(given, name, place) for place in ("identity/0", "gaussian_noise/1.5"))
        standard = maps(given, NAMES[0], "identity/0")
        for layer in LAYERS:
            limit = 0.2 * np.mean([[variation(a) for a in own] for own in standard[layer]])
            for unit in range(clean[layer].shape[1]):
                key = f"{layer}_{unit:04d}"
                before, after = (
                    np.mean([variation(own[unit].astype(np.float64)) for own in side[layer]]) for side in (clean, noisy)
                )
                assert found[name, "map_tv", key] == pytest.approx(before, rel=1e-5, abs=1e-6)
                assert found[name, "dead_unit", key] == float(before == 0)
                if before > 0:
                    part = abs(before - after) / before
                    assert found[name, "noise_tv", key] == pytest.approx(part, rel=1e-3, abs=1e-5)
                assert found[name, "noise_passes", key] == float(abs(before - after) >= limit)
    assert not any(metric == "noise_passes" for _, metric, _ in measured(
        unit_simplicity, job(unit_simplicity, inputs, only=["convnet-erm"])
    ))  # fmt: skip


def test_an_ablated_unit_gives_zeros_and_nothing_is_left_behind(inputs: dict[Ref, Path]) -> None:
    """Setting a unit's gain and offset to zero before the rectifier is the same as cutting it out behind."""
    given = job(unit_ablation, inputs, shifts=["gaussian_noise/1.5"], layers={"conv3": "body.10"})
    found = measured(unit_ablation, given)
    predictor = given.predictor(Ref("checkpoints", NAMES[0]))
    pictures = given.samples(_units.place("gaussian_noise/1.5", given.params))
    labels = np.array([one.fields["label"] for one in pictures])
    logits = predictor(pictures)["logits"]
    whole = (logits.argmax(1) == labels).mean()
    for unit in range(0, 48, 4):
        norm = predictor.net.body[9]
        before = norm.weight.data[unit].clone(), norm.bias.data[unit].clone()
        norm.weight.data[unit] = norm.bias.data[unit] = 0
        wanted = predictor(pictures)["logits"]
        norm.weight.data[unit], norm.bias.data[unit] = before
        with _units.without(predictor.net.body[10], unit):
            assert np.allclose(predictor(pictures)["logits"], wanted, atol=1e-5)
        assert not np.allclose(wanted, logits, atol=1e-4)
        drop = whole - (wanted.argmax(1) == labels).mean()
        key = f"conv3_{unit:04d}gaussian_noise"
        assert found[NAMES[0], "ablation_drop", key] == pytest.approx(drop)
    assert np.array_equal(predictor(pictures)["logits"], logits)


def test_the_kinds_of_inputs_of_a_unit(inputs: dict[Ref, Path]) -> None:
    given = job(unit_inputs, inputs, top=5)
    found, own = measured(unit_inputs, given), maps(given, NAMES[1], "identity/0")
    samples = given.samples(_units.place("identity/0", given.params))
    labels = np.array([one.fields["label"] for one in samples])
    pixels = np.stack([one.fields["image"].ravel() / 255 for one in samples])
    for layer, of in own.items():
        for unit in range(of.shape[1]):
            peaks = of[:, unit].max((1, 2)).astype(np.float64)
            key = f"{layer}_{unit:04d}"
            if peaks.max() == peaks.min():
                assert (NAMES[1], "input_classes", key) not in found
                continue
            best = sorted(range(30), key=lambda row: (-peaks[row], row))[:5]
            assert found[NAMES[1], "input_classes", key] == len({labels[row] for row in best})
            apart = [np.sqrt(((pixels[a] - pixels[b]) ** 2).mean()) for a in best for b in best if a < b]
            assert found[NAMES[1], "input_distance", key] == pytest.approx(np.mean(apart))


def test_concepts_by_hand() -> None:
    image = np.zeros((9, 9), np.uint8)
    image[3:6] = 200
    masks = _concepts.masks(Sample("k", {"image": image, "label": 1}), 2)
    assert masks["texture", "horizontal_stripes"][[2, 3, 5, 6]].all()
    assert not masks["texture", "vertical_stripes"].any()
    assert np.array_equal(masks["colour", "bright"], image == 200)
    assert np.array_equal(masks["object", "class_1"], image == 200)
    assert not masks["object", "class_0"].any()


def brights(_: Any, paths: dict[str, str], batch: list[Sample]) -> dict[str, torch.Tensor]:
    """Return maps of three units: what is brighter than 170, what is brighter than 60, and nothing."""
    images = torch.tensor(np.stack([one.fields["image"] for one in batch])).float()
    images = images if images.ndim == 3 else images[..., 0]
    maps = [images * (images > 170), images * (images > 60), torch.zeros_like(images)]
    return dict.fromkeys(paths, torch.stack(maps, dim=1))


def literal_tally(source: _concepts.Source, limits: np.ndarray) -> np.ndarray:
    """Return the released sums, pixel by pixel: marks count for a category whose labels they touch in the picture."""
    names = list(source.names)
    kinds = sorted({category for category, _ in names})
    both, labels = np.zeros((3, len(names))), np.zeros(len(names))
    units_cat = np.zeros((3, len(kinds)))
    for batch in source.batches():
        for one in batch:
            maps = brights(None, {"x": ""}, [one.sample])["x"][0].numpy()
            for concept, mask in zip(one.concepts, one.masks, strict=True):
                labels[concept] += mask.sum()
            for unit in range(3):
                marked = maps[unit] > limits[unit]
                tally = np.zeros(len(kinds))
                for concept, mask in zip(one.concepts, one.masks, strict=True):
                    both[unit, concept] += (mask & marked).sum()
                    tally[kinds.index(names[concept][0])] += (mask & marked).sum()
                units_cat[unit] += marked.sum() * (tally > 0)
    own = units_cat[:, [kinds.index(category) for category, _ in names]]
    return both / (own + labels - both + 1e-10)


def test_overlaps_are_the_released_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that fires where it is bright detects that; one that never fires detects nothing."""
    samples = training_jobs.pictures(20, seed=3)
    source = _concepts.Drawn([samples[:12], samples[12:]], 4)
    monkeypatch.setattr(_units, "activations", brights)
    share = float(np.mean([one.fields["image"] > 170 for one in samples]))
    found = concept_units.overlaps(None, "", source, share)  # type: ignore[arg-type]
    maps = [brights(None, {"x": ""}, [one])["x"] for one in samples]
    limits = concept_units.thresholds(lambda: iter(maps), share).numpy()
    assert np.allclose(found, literal_tally(source, limits))
    best = found.argmax(1)
    assert source.names[best[0]] == ("colour", "bright")
    assert found[0].max() > 0.9
    assert not found[2].any()
    few = concept_units.overlaps(None, "", source, 0.005)  # type: ignore[arg-type]
    assert 0 < few[0].max() < found[0].max()


def broden(home: Path) -> Path:
    """Write four pictures in Broden's layout: a map of objects, two labels of a whole picture, one without any."""
    (home / "images/dtd").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["image,split,ih,iw,sh,sw,color,object,part,material,scene,texture"]
    for at, cells in enumerate(("", "4", "2;4", "")):
        Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).save(home / f"images/dtd/{at}.png")
        number = np.zeros((12, 12, 3), np.uint8)
        number[:6, :, 0], number[:6, :, 1] = 301 % 256, 301 // 256
        number[6:, :5, 0] = 7
        Image.fromarray(number).save(home / f"images/dtd/{at}_object.png")
        drawn = f"dtd/{at}_object.png" if at < 2 else ""
        rows.append(f"dtd/{at}.png,train,12,12,12,12,,{drawn},,,,{cells}")
    (home / "index.csv").write_text("\n".join(rows) + "\n")
    labels = ["number,name,category,frequency,coverage,syns", "2,banded,texture(30),30,1,"]
    labels += ["4,dotted,texture(12);material(40),52,1,", "7,wall,part(9);object(5),14,1,"]
    labels += ["301,sky,object(99),99,1,heaven", "9,other,made(3),3,1,"]
    (home / "label.csv").write_text("\n".join(labels) + "\n")
    return home


def test_broden_is_read_in_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label is of the category that it covers most; a number of a map is red + 256 green; scalars cover all."""
    source = _concepts.Broden(broden(tmp_path), 10)
    assert list(source.names) == [("texture", "banded"), ("material", "dotted"), ("part", "wall"), ("object", "sky")]
    (pictures,) = source.batches()
    assert [one.sample.key for one in pictures] == [f"broden/dtd/{at}.png" for at in range(3)]
    counts = [dict(zip(p.concepts.tolist(), p.masks.sum((1, 2)), strict=True)) for p in pictures]
    assert counts == [{2: 30, 3: 72}, {1: 144, 2: 30, 3: 72}, {0: 144, 1: 144}]
    monkeypatch.setattr(_units, "activations", brights)
    found = concept_units.overlaps(None, "", source, 0.3)  # type: ignore[arg-type]
    maps = [brights(None, {"x": ""}, [one.sample])["x"] for one in pictures]
    limits = concept_units.thresholds(lambda: iter(maps), 0.3).numpy()
    assert np.allclose(found, literal_tally(source, limits))
    assert concept_units.groups(source.names)["low"] == _concepts.LOW
    with pytest.raises(DataError, match="does not exist"):
        list(_concepts.Broden(tmp_path / "images", 10).batches())


def test_a_threshold_is_the_quantile_of_all_places() -> None:
    values = torch.rand(3, 4, 40, 40, generator=torch.Generator().manual_seed(0))
    found = concept_units.thresholds(lambda: iter(values.split(2)), 0.05)
    wanted = np.quantile(values.transpose(0, 1).flatten(1).numpy(), 0.95, axis=1)
    assert np.abs(found.numpy() - wanted).max() < 1e-3


def test_layers_arms_and_shifts_that_are_not_there_are_said(inputs: dict[Ref, Path]) -> None:
    with pytest.raises(ParamsError, match="no layer 'body.99'"):
        measured(unit_inputs, job(unit_inputs, inputs, layers={"conv1": "body.99"}))
    with pytest.raises(ParamsError, match="no shift with its severity"):
        unit_simplicity.needs(
            {**defaults(unit_simplicity), "noisy": "noise", "dataset": "d", "split": "test", "checkpoints": []}
        )
    with pytest.raises(ParamsError, match="no convolution"):
        _units.first_convolution(torch.nn.Linear(2, 2))
    assert _units.partner("d/a_r-given-s3", "a-pretrained") == "d/a-pretrained-s3"
