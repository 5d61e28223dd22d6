"""The autoencoder: its loss written out, codes without labels, and images that turn into others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.trainers import autoencoding
from shiftbench.systems.cns_bench.shifts import class_morph
from shiftbench.workflow.stages.train import train_weights

NET = registry.find("models", "autoencoder")


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "class_morph", "tiny", key)


def test_loss_is_its_sum_written_out() -> None:
    torch.manual_seed(0)
    net = NET.build({**defaults(NET), "width": 2}, 4)
    samples = training_jobs.pictures(3)
    batch = NET.prepare_batch(samples, defaults(NET))
    labels = torch.tensor([0, 1, 2])
    value = autoencoding.loss(net, batch, labels, words())
    x = torch.from_numpy(batch).float()
    with torch.no_grad():
        code = net.features(x)
        images, logits = net.decode(code), net.head(code)
    total = sum(
        float((((images[i] - x[i]) / 255) ** 2).sum()) - float(logits[i].log_softmax(0)[labels[i]]) for i in range(3)
    )
    assert value.item() == pytest.approx(total / 3, rel=1e-5)
    value.backward()
    own = net.encoder[0].weight.grad.clone()
    net.zero_grad()
    autoencoding.loss(net, batch, labels.flip(0), words()).backward()
    assert torch.allclose(net.encoder[0].weight.grad, own)  # no label enters the code


def test_it_learns_images_and_is_found_by_its_tensors(tmp_path: Path) -> None:
    job = training_jobs.job("autoencoder", "autoencoding", epochs=4, batch_size=16)
    state, rows = train_weights(job)
    losses = [value for _, name, value in rows if name == "train_loss"]
    assert losses[-1] < losses[0]
    net = NET.of(state, "here")
    x = torch.from_numpy(NET.prepare_batch(training_jobs.pictures(2), defaults(NET)))
    codes, rests = net.apart(x)
    assert torch.allclose(net.decode(codes) + rests, x.float(), atol=1e-3)
    convnet = registry.find("models", "convnet")
    with pytest.raises(ModelError, match="does not fit"):
        NET.of(convnet.build(defaults(convnet), 4).state_dict(), "there")
    with pytest.raises(ModelError, match="no images of its code"):
        train_weights(replace(job, model="convnet", model_params=defaults(convnet)))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    """Return weights, and shards of partners."""
    home = tmp_path_factory.mktemp("morph")
    torch.manual_seed(0)
    weights = training_jobs.write(home / "w.safetensors", NET.build(defaults(NET), 4).state_dict())
    folder = home / "val"
    folder.mkdir()
    about = {"dataset": "tiny", "split": "val", "shift": "identity", "severity": 0.0}
    about |= {"task": "classification", "classes": list(training_jobs.CLASSES), "licence": "x"}
    about |= {"citation": "x", "redistribute": True, "skipped": []}
    fields = registry.find("tasks", "classification").FIELDS
    partners = sorted(training_jobs.pictures(12, seed=3), key=lambda sample: sample.key)
    shards.write(partners, folder, fields, about, 1 << 20)
    return {
        refs.checkpoint("tiny", "autoencoder", "autoencoding"): weights,
        refs.shards("tiny", "test"): home / "test" / "manifest.json",
        refs.shards("tiny", "val"): folder / "manifest.json",
    }


def morph(sample: Sample, severity: float, inputs: dict[Any, Path]) -> np.ndarray:
    found = class_morph.apply(sample, severity, words(sample.key), inputs=inputs)
    assert found.fields["label"] == sample.fields["label"]
    return found.fields["image"]


def test_a_morph_begins_with_the_image_and_ends_with_one_of_another_class(inputs: dict[Any, Path]) -> None:
    partners = {s.fields["image"].tobytes(): s.fields["label"] for s in training_jobs.pictures(12, seed=3)}
    for sample in training_jobs.pictures(6, seed=9):
        assert np.array_equal(morph(sample, 0.0, inputs), sample.fields["image"])
        end = morph(sample, 2.5, inputs)
        assert partners[end.tobytes()] != sample.fields["label"]
        middle = morph(sample, 1.0, inputs)
        assert np.array_equal(middle, morph(sample, 1.0, inputs))
        far = [np.abs(image.astype(int) - sample.fields["image"]).mean() for image in (middle, end)]
        assert 0 < far[0] < far[1]


def test_a_morph_is_its_equation(inputs: dict[Any, Path]) -> None:
    sample = training_jobs.pictures(1, seed=9)[0]
    net = NET.of(nets.read_state(next(iter(inputs.values()))), "w")
    a, b = (
        torch.from_numpy(image.astype(np.float32))[None, None]
        for image in (sample.fields["image"], morph(sample, 2.5, inputs))
    )
    with torch.no_grad():
        code = 0.7 * net.features(a) + 0.3 * net.features(b)
        rest = 0.7 * (a - net.decode(net.features(a))) + 0.3 * (b - net.decode(net.features(b)))
        expected = (net.decode(code) + rest)[0, 0].round().clamp(0, 255).numpy()
    assert np.abs(morph(sample, 0.75, inputs).astype(int) - expected).max() <= 1


def test_what_a_morph_lacks_is_said(inputs: dict[Any, Path]) -> None:
    sample = training_jobs.pictures(1)[0]
    with pytest.raises(DataError, match="asks an autoencoder"):
        class_morph.apply(sample, 1.0, words())
    with pytest.raises(DataError, match="the autoencoder's 28 px"):
        morph(training_jobs.pictures(1, size=20)[0], 1.0, inputs)
