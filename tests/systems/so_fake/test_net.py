"""The net with a class and a mask head, its losses, and the arms of the card: what differs, what is equal."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from isolation import ROOT
from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.plugins.tasks import forgery as task
from shiftbench.systems.so_fake.datasets import _generators
from shiftbench.systems.so_fake.models import forgery_net, residual_statistics
from shiftbench.systems.so_fake.trainers import forgery
from shiftbench.workflow.stages.train import train_weights

CLASSES = ("real", "full_synthetic", "tampered")
CARD = yaml.safe_load((ROOT / "src/shiftbench/systems/so_fake/card.yaml").read_text())


def made(count: int, size: int = 28, seed: int = 0) -> list[Sample]:
    """Return dark, bright, and dark pictures with a bright square."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = number % 3
        image = random.integers(0, 60, (size, size), dtype=np.uint8) + np.uint8(120 * (label == 1))
        fields: dict[str, Any] = {"image": image, "label": label}
        if label == 2:
            mask = np.zeros((size, size), np.uint8)
            top, left = random.integers(0, size - 10, 2)
            mask[top : top + 10, left : left + 10] = 255
            fields |= {"image": np.where(mask > 0, image + np.uint8(150), image), "mask": mask}
        found.append(Sample(f"toy/train/{seed}_{number:03d}", fields))
    return found


def job(train: list[Sample], **options: Any) -> Any:
    one = training_jobs.job("forgery_net", "forgery", train=train, **options)
    parts = {"train": train, "val": made(30, seed=9)}
    return dataclasses.replace(one, classes=CLASSES, samples=lambda split: parts[split])


def test_layers_are_those_of_the_specification() -> None:
    net = forgery_net.build(defaults(forgery_net), 3)
    kernels = [
        (one.in_channels, one.out_channels, one.stride[0]) for one in net.modules() if isinstance(one, torch.nn.Conv2d)
    ]
    assert kernels == [(1, 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 1), (16, 1, 1)]
    features, masks = net.both(torch.zeros((2, 1, 28, 28), dtype=torch.uint8))
    assert (features.shape, masks.shape) == ((2, 64), (2, 28, 28))
    assert net(torch.zeros((2, 1, 28, 28))).shape == (2, 3)


def test_features_are_mean_and_maximum_over_places() -> None:
    torch.manual_seed(0)
    net = forgery_net.build(defaults(forgery_net), 3).eval()
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        seen = net.body(images.float() / 127.5 - 1)
        wanted = torch.cat([seen.flatten(2).mean(2), seen.flatten(2).max(2).values], 1)
        assert torch.allclose(net.features(images), wanted)


def test_the_loss_of_masks_by_hand() -> None:
    """Of a real image (nothing marked), a synthetic one (left out), a tampered one whose marked pixels weigh 5."""
    marks = torch.randn((3, 2, 2), dtype=torch.float64)
    masks = torch.zeros((3, 2, 2), dtype=torch.bool)
    masks[2, 0, 0] = True
    found = forgery.mask_loss(marks, masks, torch.tensor([True, False, True]), 5.0)
    clean = F.softplus(marks[0]).mean()
    own = [5 * F.softplus(-marks[2, 0, 0]), F.softplus(marks[2, 0, 1]), *F.softplus(marks[2, 1])]
    assert float(found) == pytest.approx(float((clean + sum(own) / 4) / 2))
    none = forgery.mask_loss(marks, masks, torch.zeros(3, dtype=torch.bool), 5.0)
    assert float(none) == 0


def test_it_learns_classes_and_masks() -> None:
    one = job(made(120), steps=60, batch_size=30)
    state, _ = train_weights(one)
    told = {name: value for _, name, value in one.rows}
    assert told["val_accuracy"] > 0.9
    assert told["val_iou"] > 0.6
    net = forgery_net.build(defaults(forgery_net), 3)
    net.load_state_dict(state)
    predict = forgery_net.predictor(net, forgery_net, defaults(forgery_net), "cpu", "float32")
    held = made(30, seed=9)
    table = task.rows(held, predict(held), LabelSpace(CLASSES, CLASSES), "full")
    right = np.mean(table["correct"].to_pylist())
    assert right == pytest.approx(told["val_accuracy"])
    hits = [row for row in table.to_pylist() if row["mask_hit"] is not None]
    ious = [row["mask_hit"] / (row["mask_hit"] + row["mask_false"] + row["mask_missed"]) for row in hits]
    assert np.mean(ious) == pytest.approx(told["val_iou"], abs=1e-6)


def test_masks_come_in_the_size_of_the_image() -> None:
    net = forgery_net.build(defaults(forgery_net), 3)
    predict = forgery_net.predictor(net, forgery_net, defaults(forgery_net), "cpu", "float32")
    found = predict([*made(1, size=28), *made(1, size=40)])
    assert [mask.shape for mask in found["masks"]] == [(28, 28), (40, 40)]


def test_the_baseline_learns_classes_and_marks_nothing() -> None:
    one = job(made(120), steps=80, batch_size=30, lr=0.05)
    one = dataclasses.replace(one, model="residual_statistics", model_params=defaults(residual_statistics))
    state, _ = train_weights(one)
    told = {name: value for _, name, value in one.rows}
    assert told["val_accuracy"] > 0.6
    assert "val_iou" not in told
    net = residual_statistics.build(defaults(residual_statistics), 3)
    net.load_state_dict(state)
    predict = nets.TorchPredictor(net, residual_statistics, defaults(residual_statistics), "cpu")
    table = task.rows(made(6), predict(made(6)), LabelSpace(CLASSES, CLASSES), "full")
    assert table["mask_hit"].null_count == 6


def test_residuals_by_hand() -> None:
    """A flat picture leaves nothing; one bright pixel leaves 8/9 of itself and 1/9 beside it."""
    spot = torch.zeros((1, 1, 28, 28))
    spot[..., 14, 14] = 1.0
    left = residual_statistics._high(spot)[0, 0]
    assert float(left[14, 14]) == pytest.approx(8 / 9)
    assert float(left[13, 15]) == pytest.approx(-1 / 9)
    assert float(left.abs().sum()) == pytest.approx(16 / 9)
    assert float(residual_statistics._high(torch.ones((1, 1, 28, 28))).abs().max()) < 1e-6
    net = residual_statistics.build({}, 3)
    assert net.features(torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)).shape == (5, 12)


def test_labels_are_not_in_the_input() -> None:
    """The picture alone is prepared: a sample without its mask and label gives the same input."""
    with_all = made(3)
    bare = [Sample(one.key, {"image": one.fields["image"]}) for one in with_all]
    prepared = (forgery_net.prepare_batch(some, defaults(forgery_net)) for some in (with_all, bare))
    assert np.array_equal(*prepared)


# ------------------------------------------------------------------ the arms of the card


@pytest.mark.parametrize("scale", ["embedded", "smoke"])
def test_arms_differ_in_generators_alone(scale: str) -> None:
    data = CARD["params"][scale]["datasets"]
    forged = {name: own for name, own in data.items() if name.startswith("forged")}
    families = {name: {_generators.family(one) for one in own["generators"]} for name, own in forged.items()}
    assert families == {
        "forged_fashion_mnist": {"ae", "vae"},
        "forged_ae": {"ae"},
        "forged_vae": {"vae"},
        "forged_pca": {"pca"},
        "forged_quilt": {"quilt"},
    }
    rest = [{key: value for key, value in own.items() if key not in ("generators", "use")} for own in forged.values()]
    assert all(one == rest[0] for one in rest)
    alone = set(data["forged_ae"]["generators"]) | set(data["forged_vae"]["generators"])
    assert alone == set(data["forged_fashion_mnist"]["generators"])
    # What generators learnt from is no picture that is forged.
    low, high = data["generator_items"]["slice"]["train"]
    assert (low, high) == (0.0, data["fashion_mnist"]["slice"]["train"][0])


def test_nets_of_the_card_are_trained_alike() -> None:
    benchmark = CARD["params"]["embedded"]["benchmarks"]["generators"]
    arms = [{key: value for key, value in own.items() if key != "dataset"} for own in benchmark["models"]]
    assert arms[0] == arms[1] == arms[2]
    assert arms[3] == {**arms[0], "architectures": ["residual_statistics"], "trainers": ["forgery_baseline"]}
    assert len(arms[0]["seeds"]) >= 3
    options = defaults(registry.find("trainers", "forgery"))
    assert options["steps"] * options["batch_size"] == pytest.approx(4 * 9000, rel=0.01)  # four epochs
