"""What training sees: read from shards or held, it is the same; crops are torchvision's; schedules, fresh heads."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from shiftbench.base import refs, registry
from shiftbench.base.errors import ChecksumError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.trainers import _crops, _inputs, _loop, _outliers, _views
from shiftbench.workflow.stages.train import train_weights

SIZES = ((40, 60), (64, 48), (90, 33), (50, 50))
FIELDS = {"image": "png", "label": "cls"}


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "test", "d", key)


def photos() -> list[Sample]:
    random = np.random.default_rng(0)
    return [
        Sample(f"p/{n:02d}", {"image": random.integers(0, 256, (*size, 3), np.uint8), "label": n % 4})
        for n, size in enumerate(SIZES * 4)
    ]


def stored(samples: list[Sample], folder: Path) -> Path:
    folder.mkdir(parents=True)
    shards.write(samples, folder, FIELDS, {}, 20_000)  # several tars
    return folder


# --- the stream ------------------------------------------------------------------------------------


def test_samples_are_looked_up_as_they_are_read(tmp_path: Path) -> None:
    folder = stored(photos(), tmp_path / "a")
    found, read = shards.Lookup(folder), list(shards.read(folder))
    assert len(found) == len(read) == 16
    assert len(list(folder.glob("*.tar"))) > 1
    for number in (15, 0, 7):
        assert found[number].key == read[number].key
        assert np.array_equal(found[number].fields["image"], read[number].fields["image"])
    tar = folder / "000000.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(bytes(data))
    with pytest.raises(ChecksumError, match="is damaged"):
        found[0]


def test_training_from_shards_larger_than_memory_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {"train": training_jobs.pictures(64), "val": training_jobs.pictures(16, seed=1)}
    folders = {name: stored(samples, tmp_path / name) for name, samples in splits.items()}
    plain = training_jobs.job("convnet", "erm", epochs=2, batch_size=16)

    def refuse(split: str) -> list[Sample]:
        raise AssertionError(f"{split} was read into a list")

    made = {}
    for held in (0, _inputs.HELD):
        monkeypatch.setattr(_inputs, "HELD", held)
        job = replace(plain, samples=refuse, folder=folders.__getitem__, rows=[])
        made[held] = nets.state_bytes(train_weights(job)[0])
    assert made[0] == made[_inputs.HELD] == nets.state_bytes(train_weights(plain)[0])


def test_outliers_from_shards_are_those_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stored(training_jobs.pictures(12, seed=5), tmp_path / "boards")
    inputs = {refs.shards("boards", "train"): folder / "manifest.json"}
    job = training_jobs.job("convnet", "outlier_exposure", inputs=inputs, outliers="boards")
    held = _outliers.load(job)
    monkeypatch.setattr(_inputs, "HELD", 0)
    streamed = _outliers.load(job)
    assert np.array_equal(streamed.draw(words(), 30), held.draw(words(), 30))
    few = _outliers.Outliers(streamed.inputs, np.array([3, 5]))
    drawn = {row.tobytes() for row in few.draw(words(), 40)}
    assert drawn == {row.tobytes() for row in held.inputs[np.array([3, 5])]}


# --- crops -----------------------------------------------------------------------------------------


def alike(one: Any, expected: Any) -> bool:
    """Tell whether two pictures are equal within one grey level: Pillow 13 resizes tall ones in another order."""
    return bool(np.abs(one.transpose(1, 2, 0).astype(int) - expected).max() <= 1)


def test_resized_crops_are_torchvisions_of_the_whole_picture() -> None:
    samples, crops = photos(), {"size": 24, "area": [0.08, 1.0]}
    found = _crops.drawn(samples, words(), crops)
    assert found.shape == (16, 3, 24, 24)
    sizes = np.array([s.fields["image"].shape[:2] for s in samples]).T
    boxes = _views.crops(words(), 16, (sizes[0], sizes[1]), crops["area"])
    shares = boxes[:, 2] * boxes[:, 3] / sizes.prod(0)
    assert shares.min() < 0.2 < 0.65 < shares.max()
    for sample, box, one in zip(samples, boxes.tolist(), found, strict=True):
        picture = Image.fromarray(sample.fields["image"])
        expected = functional.resized_crop(picture, *box, [24, 24])
        assert alike(one, np.asarray(expected))


def test_squares_are_cut_from_stretched_pictures() -> None:
    samples, crops = photos(), {"size": 24, "stretched": 30}
    found = _crops.drawn(samples, words(), crops)
    corners = words().integers(0, 7, (16, 2))
    assert corners.min() == 0
    assert corners.max() == 6
    for sample, (top, left), one in zip(samples, corners, found, strict=True):
        whole = functional.resize(Image.fromarray(sample.fields["image"]), [30, 30])
        part = np.asarray(whole)[top : top + 24, left : left + 24]
        assert alike(one, part)
    jittered = _crops.drawn(samples, words(), {**crops, "jitter": [32 / 255, 0, 0.5, 0]})
    ratios = jittered.mean((1, 2, 3)) / found.mean((1, 2, 3))
    assert ratios.std() > 0.02
    assert 0.85 < ratios.min() < ratios.max() < 1.15


@pytest.mark.parametrize(
    ("crops", "why"),
    [
        ({"size": 32, "aera": [0.1, 1]}, "'aera' is unknown; did you mean area"),
        ({"size": 32}, "expected `size` and one of"),
        ({"size": 28, "area": [0.1, 1]}, "of the model's `size`"),
        ({"size": 32, "stretched": 30}, "cannot be cut from 30"),
    ],
)
def test_crops_that_are_none_are_refused(crops: dict[str, Any], why: str) -> None:
    job = training_jobs.job("resnet18_32x32", "erm", crops=crops, train=photos())
    with pytest.raises(ParamsError, match=why):
        _loop.inputs(job, "train")


def test_a_net_is_trained_on_crops_and_validated_on_what_it_prepares() -> None:
    model = {"size": 16, "depths": [1, 1, 1, 1]}
    crops = {"size": 16, "area": [0.5, 1.0]}
    job = training_jobs.job(
        "resnet18_32x32", "erm", model_params=model, crops=crops, epochs=1, batch_size=8, shift=0, train=photos()
    )
    known, labels = _loop.inputs(job, "train")
    rows = np.arange(4)
    assert known[rows].shape == known.seen(rows, words()).shape == (4, 3, 16, 16)
    assert not np.array_equal(known[rows], known.seen(rows, words()))
    assert labels[:5].tolist() == [0, 1, 2, 3, 0]
    first, again = (nets.state_bytes(train_weights(job)[0]) for _ in range(2))
    assert first == again


# --- what training begins with, and its rate --------------------------------------------------------


def test_a_new_head_is_on_the_pretrained_body(tmp_path: Path) -> None:
    model = registry.find("models", "convnet")
    torch.manual_seed(1)
    before = model.build(defaults(model), 7).state_dict()
    file = training_jobs.write(tmp_path / "w.safetensors", before, tuple("abcdefg"))
    start = refs.checkpoint("imagenet", "convnet", "pretrained", 0)
    trainer = registry.find("trainers", "new_head")
    context = {"dataset": "tiny", "model": "convnet", "seed": 3}
    assert trainer.needs({**defaults(trainer), **context}) == [start]
    states = [
        train_weights(training_jobs.job("convnet", "new_head", inputs={start: file}, seed=seed))[0]
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(states[0][name], before[name]) for name in before if name[:5] != "head.")
    assert states[0]["head.weight"].shape == (4, before["head.weight"].shape[1])
    assert torch.equal(states[0]["head.weight"], states[1]["head.weight"])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])


def test_a_rise_meets_the_cosine_as_in_supcontrasts_code() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    update = torch.optim.SGD([parameter], lr=0.5)
    rate = _loop.schedule(update, "joined_cosine", 100, warmup=0.1)
    found = []
    for _ in range(100):
        found.append(update.param_groups[0]["lr"])
        update.step()
        rate.step()
    least = 0.5 * 0.1**3
    cosine = [least + (0.5 - least) * (1 + math.cos(math.pi * at / 100)) / 2 for at in range(100)]
    rise = [at / 10 * cosine[10] for at in range(10)]
    assert found == pytest.approx(rise + cosine[10:], rel=1e-9)
