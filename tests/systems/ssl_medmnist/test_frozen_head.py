"""Heads on frozen features: labelled samples, the grid, what val chooses; Mahalanobis and AUPR of the released code."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn import metrics as peer
from torch import nn

from shiftbench.base import registry, rng
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import checkpoint
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.plugins.detectors import mds
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.plugins.metrics.ood_detection import aupr_in, aupr_out
from shiftbench.statistics.thresholds import Sides
from shiftbench.systems.ssl_medmnist.detectors import mds_ridge
from shiftbench.systems.ssl_medmnist.trainers import _grid_head, frozen_head
from shiftbench.workflow.stages.train import train_weights

RANDOM = np.random.default_rng(1)
LABELS = np.array([0] * 60 + [1] * 30 + [2] * 8 + [3] * 2)
WORDS = (0, "labels", "d")


def released_counts(labels: NDArray[np.int64], fraction: float) -> dict[int, int]:
    """Of `sample_balanced_data`."""
    total_samples = int(len(labels) * fraction)
    unique_classes, class_counts = np.unique(labels, return_counts=True)
    proportions = class_counts / len(labels)
    return {int(c): int(total_samples * p) for c, p in zip(unique_classes, proportions, strict=True)}


def test_labels_are_kept_as_released_but_for_a_class_that_would_be_empty() -> None:
    for fraction in (0.01, 0.1, 0.37, 1.0):
        released = released_counts(LABELS, fraction)
        assert frozen_head.label_counts(LABELS, fraction) == {c: max(1, n) for c, n in released.items()}
    assert 0 in released_counts(LABELS, 0.1).values()
    many = np.repeat(np.arange(10), [5421, 5842, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    assert frozen_head.label_counts(many, 0.01) == released_counts(many, 0.01)


def test_kept_labels_are_nested_keyed_by_the_seed_and_all_at_one() -> None:
    some, more = (frozen_head.labelled_rows(LABELS, fraction, WORDS) for fraction in (0.1, 0.5))
    assert set(some) < set(more)
    assert np.array_equal(np.unique(LABELS[some], return_counts=True)[1], [6, 3, 1, 1])
    assert np.array_equal(some, frozen_head.labelled_rows(LABELS, 0.1, WORDS))
    assert not np.array_equal(some, frozen_head.labelled_rows(LABELS, 0.1, (1, *WORDS[1:])))
    assert np.array_equal(frozen_head.labelled_rows(LABELS, 1.0, WORDS), np.arange(100))
    with pytest.raises(ParamsError, match="fraction is 0"):
        frozen_head.labelled_rows(LABELS, 0.0, WORDS)


def test_heads_of_a_grid_are_those_that_torch_trains_one_by_one() -> None:
    """`nn.Linear` under `torch.optim.SGD` and `MultiStepLR`, as main_linear.py has them."""
    features = torch.from_numpy(RANDOM.normal(size=(50, 6)).astype(np.float32))
    labels = torch.arange(50) % 3
    options: dict[str, Any] = {"epochs": 5, "drops": [2, 4], "batch": 16}
    heads = _grid_head.fit(features, labels, 3, WORDS, rates=[0.1, 0.01], decays=[0.0, 0.1], **options)
    assert heads.grid == ((0.1, 0.0), (0.1, 0.1), (0.01, 0.0), (0.01, 0.1))
    for (rate, decay), weight, bias in zip(heads.grid, heads.weights, heads.biases, strict=True):
        torch.manual_seed(rng.derive(0, "d", "head"))
        head = nn.Linear(6, 3)
        update = torch.optim.SGD(head.parameters(), rate, momentum=0.9, weight_decay=decay)
        steps = torch.optim.lr_scheduler.MultiStepLR(update, [2, 4], gamma=0.1)
        for epoch in range(5):
            order = RandomStream(*WORDS, f"{epoch}/order").choice(50)
            for at in range(0, 50, 16):
                rows = order[at : at + 16].astype(np.int64)
                update.zero_grad()
                F.cross_entropy(head(features[rows]), labels[rows]).backward()
                update.step()
            steps.step()
        assert torch.allclose(weight, head.weight, atol=1e-5)
        assert torch.allclose(bias, head.bias, atol=1e-5)


def job(folder: Path, model: str = "convnet", **options: Any) -> Any:
    small: dict[str, Any] = {"width": 4, "features": 16} if model == "convnet" else {}
    before, _ = train_weights(training_jobs.job(model, "random_init", model_params=small))
    file = training_jobs.write(folder / f"{model}.safetensors", before)
    context = {"dataset": "tiny", "model": model, "seed": 0, "start": "random_init"}
    (start, *_) = frozen_head.needs(defaults(frozen_head) | context)
    assert start == checkpoint("tiny", model, "random_init", 0)
    return training_jobs.job(model, "frozen_head", model_params=small, inputs={start: file}, **options)


def logged(done: Any) -> dict[str, float]:
    return {name: value for _, name, value in done.rows}


def test_val_chooses_among_the_grid_and_standardising_is_folded_in(tmp_path: Path) -> None:
    raw, scaled = job(tmp_path), job(tmp_path, standardise=True)
    states = [train_weights(one)[0] for one in (raw, scaled)]
    found = [logged(one) for one in (raw, scaled)]
    assert found[0]["labels"] == found[1]["labels"] == 64
    assert found[1]["val_accuracy"] >= found[0]["val_accuracy"]
    for done, state in zip((raw, scaled), states, strict=True):
        net = registry.find("models", "convnet").build(done.model_params, 4)
        net.load_state_dict(state)
        batch = np.stack([s.fields["image"] for s in done.samples("val")])[:, None]
        with torch.no_grad():
            right = net.eval()(torch.from_numpy(batch)).argmax(1).numpy()
        labels = np.array([s.fields["label"] for s in done.samples("val")])
        assert (right == labels).mean() == logged(done)["val_accuracy"]
    few = job(tmp_path, fraction=0.1)
    train_weights(few)
    assert logged(few)["labels"] == 4


def test_a_head_is_trained_anew_for_so_many_epochs(tmp_path: Path) -> None:
    whole, anew = job(tmp_path, "pixels"), job(tmp_path, "pixels", refit=5)
    asked = job(
        tmp_path, "pixels", epochs=5,
        **{name: [logged_after(whole)[name]] for name in ("lr", "weight_decay")},
    )  # fmt: skip
    states = [train_weights(one)[0] for one in (whole, anew, asked)]
    assert torch.equal(states[1]["head.weight"], states[2]["head.weight"])
    assert not torch.equal(states[0]["head.weight"], states[1]["head.weight"])


def logged_after(done: Any) -> dict[str, float]:
    train_weights(done)
    return logged(done)


def test_pixels_are_their_own_features() -> None:
    net: Any = registry.find("models", "pixels").build({"size": 28}, 10)
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 28, 28)
    assert net.features(images).unique().tolist() == [-1.0, 1.0]
    assert net.features(images).shape == (2, 784)


# --- OOD detection ------------------------------------------------------------------------------------


def rows_of(features: NDArray[np.float64], labels: NDArray[np.int64]) -> Rows:
    return Rows(pa.table({"label": labels.astype(np.int32)}), features.astype(np.float32))


def released_mahalanobis(
    known: NDArray[np.float64], labels: NDArray[np.int64], asked: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of `calculate_gaussian_parameters` and `calculate_confidence_scores`, in float64."""
    classes = np.unique(labels)
    means = np.stack([known[labels == c].mean(0) for c in classes])
    covs = np.zeros((known.shape[1],) * 2)
    for c, mean in zip(classes, means, strict=True):
        diff = known[labels == c] - mean
        covs += diff.T @ diff
    covs = covs / (len(known) - len(classes)) + 1e-6 * np.eye(known.shape[1])
    inverse = np.linalg.inv(covs)
    distances = [-np.sum(((asked - mean) @ inverse) * (asked - mean), axis=1) for mean in means]
    return np.max(distances, axis=0)  # type: ignore[no-any-return]


def test_mds_ridge_is_the_released_mahalanobis_and_mds_ranks_as_it() -> None:
    labels = np.arange(300) % 3
    known = RANDOM.normal(size=(300, 5)) @ RANDOM.normal(size=(5, 5)) + labels[:, None]
    known, asked = (x.astype(np.float32).astype(float) for x in (known, 3 * RANDOM.normal(size=(40, 5))))
    released = released_mahalanobis(known, labels, asked)
    train, unseen = Known({"train": rows_of(known, labels)}), rows_of(asked, labels[:40])
    ours = mds_ridge.score(unseen, mds_ridge.fit(train, defaults(mds_ridge)), defaults(mds_ridge))
    assert ours == pytest.approx(-released, rel=1e-6)
    plain = mds.score(unseen, mds.fit(train, defaults(mds)), defaults(mds))
    assert np.array_equal(np.argsort(plain), np.argsort(ours))


def test_a_direction_that_never_varied_counts_by_the_ridge_alone() -> None:
    labels = np.arange(60) % 3
    known = np.concatenate([RANDOM.normal(size=(60, 3)), np.zeros((60, 1))], axis=1)
    asked = np.array([[0, 0, 0, 0.0], [0, 0, 0, 0.5]])
    train, unseen = Known({"train": rows_of(known, labels)}), rows_of(asked, labels[:2])
    plain = mds.score(unseen, mds.fit(train, defaults(mds)), defaults(mds))
    ridge = mds_ridge.score(unseen, mds_ridge.fit(train, defaults(mds_ridge)), defaults(mds_ridge))
    assert plain[0] == plain[1]
    assert ridge[1] - ridge[0] == pytest.approx(0.25 / 1e-6)
    with pytest.raises(ParamsError, match="ridge is 0"):
        mds_ridge.fit(train, {"ridge": 0.0})


def test_aupr_out_takes_ood_for_positive_which_the_released_number_does_not() -> None:
    known, unknown = RANDOM.normal(0, 1, 200), RANDOM.normal(1.5, 1, 20)  # higher: more OOD
    confidence = np.concatenate([-known, -unknown])
    known_is_1 = np.repeat([1, 0], [200, 20])
    ones = (np.ones((200, 1), np.uint8), np.ones((20, 1), np.uint8))
    inside = aupr_in(Sides.of_ood(known, unknown, *ones))[0]
    outside = aupr_out(Sides.of_ood(known, unknown, *ones))[0]
    assert inside == pytest.approx(peer.average_precision_score(known_is_1, confidence), abs=0.01)
    assert outside == pytest.approx(peer.average_precision_score(1 - known_is_1, -confidence), abs=0.03)
    released = peer.average_precision_score(known_is_1, -confidence)  # labels are not turned round
    assert abs(released - outside) > 0.2
