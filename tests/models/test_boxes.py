"""Detectors: artifacts and boxes are inverse, losses know nothing and everything, training is repeatable, scenes are as
asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import boxes, shards
from shiftbench.evaluation import nets
from shiftbench.evaluation.corruption import corrupt
from shiftbench.plugins.models import _boxes, _cells
from shiftbench.plugins.models._boxes import Truth
from shiftbench.workflow.stages.train import train_weights

SMALL = {"size": 32, "width": 4, "top": 5}
TRUTHS = [
    Truth(torch.tensor([[2.0, 3, 12, 20], [14, 10, 30, 31]]), torch.tensor([0, 3])),
    Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),
]


def squares(count: int, seed: int = 0, side: int = 32) -> list[Sample]:
    """Return images of noise with one bright square each, whose colour is the class."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        image = random.integers(0, 60, (side, side, 3), dtype=np.uint8)
        x, y = random.integers(0, side - 12, 2).tolist()
        label = number % 4
        image[y : y + 12, x : x + 12, label % 3] = 250 if label < 3 else 130
        place = {"box": [float(x), float(y), 12.0, 12.0], "label": label}
        found.append(Sample(f"tiny/train/{seed}{number:03d}", {"image": image, "boxes": [place]}))
    return found


def job(model: str = "centre_points", **params: Any) -> Any:
    own = SMALL if model == "centre_points" else {}
    return training_jobs.job(model, "boxes", model_params=own, train=squares(24), **params)


@pytest.fixture(autouse=True)
def _val(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_jobs, "pictures", lambda *_, **__: squares(4, 1))


@pytest.mark.parametrize("head", ["centre", "fcos"])
def test_what_cells_should_say_is_found_again(head: str) -> None:
    size = (8, 8)
    if head == "centre":
        x, y = _cells.centres(TRUTHS[0], size, 4)
        values = _cells.centre_values(TRUTHS[0], size, 4)
        assert torch.allclose(_cells.centre_boxes(values, x, y, 4), TRUTHS[0].boxes, atol=1e-4)
        heat = _cells.heat(TRUTHS, 5, size, 4)
        assert heat[0, [0, 3], y, x].tolist() == [1.0, 1.0]
        assert int((heat == 1).sum()) == 2
        return
    labels, values = _cells.near(TRUTHS, size, 4)
    for at, x, y in torch.nonzero(labels >= 0).tolist():
        box = TRUTHS[at].boxes[TRUTHS[at].labels.tolist().index(int(labels[at, x, y]))]
        artifact = torch.tensor([y]), torch.tensor([x])
        found = _cells.near_boxes(values[at, :, x, y][None], *artifact, 4)
        assert torch.allclose(found[0], box, atol=1e-4)
    assert int((labels[0] >= 0).sum()) > 2
    assert int(labels[1].max()) == -1


@pytest.mark.parametrize("neck", ["top_down", "none"])
@pytest.mark.parametrize("head", ["centre", "fcos"])
def test_nets_learn_from_boxes_and_from_none(neck: str, head: str) -> None:
    model = registry.find("models", "centre_points")
    torch.manual_seed(0)
    net: Any = model.build({**defaults(model), **SMALL, "neck": neck, "head": head}, 4)
    images = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    for truths in (TRUTHS, [TRUTHS[1]] * 2):  # images without a box teach, too
        value = net.loss(images, truths)
        value.backward()
        assert torch.isfinite(value)
    found = net.eval().detect(images)
    assert len(found) == 2
    assert found[0].boxes.shape == (len(found[0].scores), 4)


def test_training_finds_squares_and_is_repeatable() -> None:
    first, rows = train_weights(job(steps=200, lr=0.01))
    short, _ = train_weights(job(steps=3))
    again, _ = train_weights(job(steps=3))
    assert nets.state_bytes(short) == nets.state_bytes(again)
    assert [name for _, name, _ in rows] == ["train_loss"] * 4 + ["val_loss"]
    model = registry.find("models", "centre_points")
    params = {**defaults(model), **SMALL}
    net = model.build(params, 4)
    net.load_state_dict(first)
    predictor = model.predictor(net, model, params, "cpu", "float32")
    samples = squares(8, 5)
    outputs = predictor(samples)
    best = [int(classes[0]) for classes in outputs["classes"]]
    assert np.mean([b == s.fields["boxes"][0]["label"] for b, s in zip(best, samples, strict=True)]) >= 0.75
    assert outputs["cell_logits"][0].shape == (len(outputs["scores"][0]), 4)
    assert outputs["cell_features"][0].shape == (len(outputs["scores"][0]), 8)
    # The score of a box is that of its artifact's logit.
    classes = outputs["classes"][0]
    share = 1 / (1 + np.exp(-outputs["cell_logits"][0][np.arange(len(classes)), classes]))
    assert share == pytest.approx(outputs["scores"][0], abs=1e-6)
    # An image of twice the size has boxes of twice the size.
    large = [Sample(s.key, {**s.fields, "image": s.fields["image"].repeat(2, 0).repeat(2, 1)}) for s in samples]
    twice = predictor(large)["boxes"][0]
    assert twice[0] == pytest.approx(2 * outputs["boxes"][0][0], abs=1.0)


def test_boxes_are_mirrored_with_their_pixels() -> None:
    trainer = registry.find("trainers", "boxes")
    samples = squares(6)
    images = _boxes.square(samples, 32)
    truths = [_boxes.truth(sample, (32, 32)) for sample in samples]
    words = training_words()
    for name in trainer.AUGMENTATIONS:
        seen, moved = trainer.augmented(images, truths, words, {"flip": True, "augmentation": name})
        assert seen.dtype == np.uint8
        for one, sample, truth in zip(seen, samples, moved, strict=True):
            x0, y0, x1, y1 = (int(v) for v in truth.boxes[0])
            inside = one[:, y0:y1, x0:x1].astype(int)
            if name == "none":
                label = sample.fields["boxes"][0]["label"]
                assert (inside[label % 3] == (250 if label < 3 else 130)).all()
    edges = trainer.edges(np.full((1, 3, 4, 4), 7, np.uint8))
    assert (edges == 255).all()


def training_words() -> Any:
    from shiftbench.base.rng import RandomStream

    return RandomStream(0, "test", "tiny", "k")


def test_images_read_one_by_one_give_the_same_weights(tmp_path: Path) -> None:
    """`in_memory: false` reads each when its turn comes."""
    inputs = {}
    for name, split, some in (
        ("tiny", "train", squares(24)),
        ("tiny", "val", squares(4, 1)),
        ("others", "train", squares(6, 2)),
    ):
        folder = tmp_path / name / split
        folder.mkdir(parents=True)
        about = {"classes": list(training_jobs.CLASSES), "dataset": name}
        shards.write(some, folder, registry.find("tasks", "detection").FIELDS, about, 30_000)
        inputs[refs.shards(name, split)] = folder / "manifest.json"
    options = {"steps": 4, "batch_size": 8, "extra": "others", "extra_share": 0.5, "inputs": inputs}
    kept, read = (train_weights(job(**options, in_memory=one))[0] for one in (True, False))
    assert nets.state_bytes(kept, {}) == nets.state_bytes(read, {})
    few = train_weights(job(**options, extra_subset=1))[0]
    assert nets.state_bytes(kept, {}) != nets.state_bytes(few, {})


def test_bad_options_of_detectors_are_told() -> None:
    model, trainer = registry.find("models", "centre_points"), registry.find("trainers", "boxes")
    with pytest.raises(ParamsError, match="neck is 'topdown' .did you mean top_down"):
        model.build({**defaults(model), "neck": "topdown"}, 4)
    with pytest.raises(ParamsError, match="size 100, width 16 and depth 2; expected a size of 32 or more that 16"):
        model.build({**defaults(model), "size": 100}, 4)
    with pytest.raises(ParamsError, match="augmentation is 'jiter' .did you mean jitter"):
        train_weights(job(augmentation="jiter"))
    with pytest.raises(ModelError, match="'convnet' has no loss of boxes"):
        train_weights(job("convnet"))
    context = {**defaults(trainer), "dataset": "d", "model": "m", "seed": 2}
    starts = {"plain": "d/m-plain-s2", "n-plain": "d/n-plain-s2", "e/n-plain": "e/n-plain-s2"}
    for start, name in starts.items():
        assert trainer.needs({**context, "start": start})[-1].name == name
    assert trainer.needs({**context, "extra": "near"})[-1].name == "near/train/identity/0"


def test_boxes_follow_their_pixels() -> None:
    square = {"box": [2.0, 3.0, 4.0, 2.0], "label": 1, "area": 8.0}
    (found,) = boxes.move_boxes([square], (10, 12, 3), lambda mask: np.roll(mask, 3, axis=1))
    assert found == {"box": [5.0, 3.0, 4.0, 2.0], "label": 1, "area": 8.0}
    (found,) = boxes.move_boxes([square], (10, 12, 3), lambda mask: np.pad(mask[:, 4:], ((0, 0), (0, 4))))
    assert found == {"box": [0.0, 3.0, 2.0, 2.0], "label": 1, "area": 4.0}  # half has left the image
    assert boxes.move_boxes([square], (10, 12), lambda mask: mask * 0) == []
    thin = {"box": [3.2, 3.0, 0.2, 2.0], "label": 1}
    (found,) = boxes.move_boxes([thin], (10, 12), lambda mask: mask)
    assert found["box"][2] == 1.0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("names", ["coat", "coats"], "names: 'coats' .did you mean coat"),
        ("names", ["coat", "coat"], "names names a class twice"),
        ("train_photos", ["moon.png"], "moon.png is in train_photos and in test_photos"),
        ("objects", [3, 1], "objects is .3, 1.; no scene of 128 pixels can look like that"),
        ("sizes", [28, 200], "sizes is .28, 200."),
    ],
)
def test_scenes_that_cannot_be_are_told(option: str, value: object, message: str) -> None:
    dataset = registry.find("datasets", "photo_scenes")
    params = {**defaults(dataset), "name": "photo_scenes", option: value}
    asked = dataset.classes if option == "names" else lambda params, _: dataset.look("test", params)
    with pytest.raises(ParamsError, match=message):
        asked(params, {})


MOVING = [name for name in registry.names("shifts") if getattr(registry.find("shifts", name), "MOVES", False)]


@pytest.mark.parametrize("name", MOVING)
def test_shifts_move_boxes_with_their_pixels(name: str) -> None:
    """A white square on black: wherever it goes, its box is around what is white."""
    module = registry.find("shifts", name)
    severity = 4.0 if module.RANGE[1] == 5 else 40.0
    border = {"border": "constant"} if "border" in defaults(module) else {}
    image = np.zeros((96, 120, 3), np.uint8)
    image[20:50, 36:76] = 255
    inside = [{"box": [36.0, 20.0, 40.0, 30.0], "label": 1}]
    for key in range(6):
        sample = Sample(f"tiny/test/{key}", {"image": image, "boxes": inside})
        assert corrupt(sample, name, 0).fields["boxes"] == inside
        shifted = corrupt(sample, name, severity, **border)
        white = shifted.fields["image"][..., 0] >= 128
        rows, columns = (np.flatnonzero(white.any(axis=axis)) for axis in (1, 0))
        expected = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
        assert shifted.fields["boxes"] == [{"box": expected, "label": 1}]
        boxes.check("k", shifted.fields["boxes"], image.shape, 2)
        # A mirror image beyond the edge is no object; the image is what it is without boxes.
        plain = corrupt(sample, name, severity)
        assert plain.fields["boxes"] == shifted.fields["boxes"]
        alone = corrupt(Sample(sample.key, {"image": image}), name, severity)
        assert np.array_equal(alone.fields["image"], plain.fields["image"])
        # What follows, and does not move pixels, does not matter.
        after = corrupt(sample, f"{name}+inversion", severity if severity < 5 else 5.0)
        before = corrupt(sample, name, severity if severity < 5 else 5.0)
        assert after.fields["boxes"] == before.fields["boxes"]


def test_all_geometric_shifts_move_boxes() -> None:
    assert [*("elastic_transform", "perspective", "rotate", "rotate_degrees", "scale", "shear", "translate")] == MOVING


def test_a_box_that_leaves_the_image_is_gone() -> None:
    image = np.zeros((40, 40), np.uint8)
    corner = [{"box": [0.0, 0.0, 2.0, 2.0], "label": 0}]
    sample = Sample("tiny/test/0", {"image": image, "boxes": corner})
    assert corrupt(sample, "rotate_degrees", 45.0).fields["boxes"] == []
