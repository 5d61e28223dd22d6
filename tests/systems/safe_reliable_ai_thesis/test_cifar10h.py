"""CIFAR-10H on a miniature of its file and of CIFAR-10's archive: whose shares are whose, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from makers import miniature_originals
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import splits
from shiftbench.systems.safe_reliable_ai_thesis.datasets import cifar10h
from shiftbench.systems.safe_reliable_ai_thesis.trainers import _confidences


def read(split: str, tmp_path: Path, said: np.ndarray | None = None) -> list[Sample]:
    """Return a native split; `said` takes the place of the miniature's shares."""
    sources, params = miniature_originals.cifar10h(tmp_path)
    if said is not None:
        np.save(params["path"], said)
    return list(cifar10h.samples(split, sources, {**defaults(cifar10h), **params}))


def test_each_image_has_the_row_of_its_place_in_the_test_batch(tmp_path: Path) -> None:
    train, test = read("train", tmp_path / "a"), read("test", tmp_path / "b")
    said = np.load(tmp_path / "a/cifar10h-probs.npy")
    assert [sample.key for sample in train + test] == [f"cifar10/test/{i:06d}" for i in range(20)]
    assert len(train) == 14
    assert [sample.fields["meta"]["human"] for sample in train + test] == said.tolist()
    sources, _ = miniature_originals.cifar10(tmp_path / "c")
    plain = list(registry.find("datasets", "cifar10").samples("test", sources, {}))
    for one, other in zip(train + test, plain, strict=True):
        assert one.fields["label"] == other.fields["label"]
        assert (one.fields["image"] == other.fields["image"]).all()
    assert splits.native("val", cifar10h) == "train"
    assert defaults(cifar10h)["first"] == 8000


def test_people_are_believed_before_raters(tmp_path: Path) -> None:
    """And no rater is asked for where the data say what people said."""
    train = read("train", tmp_path)
    params = {"raters": [], "dataset": "cifar10h", "model": "convnet", "seed": 0}
    assert not _confidences.needs({**defaults(_confidences), **params}, {"human"})
    job = replace(training_jobs.job("convnet", "hcls_curriculum"), classes=cifar10h.CLASSES)
    found = _confidences.shares(job, train, "human")
    assert found.tolist() == np.load(tmp_path / "cifar10h-probs.npy")[:14].tolist()
    labels = np.array([sample.fields["label"] for sample in train])
    own = [found[labels == k, k].mean() for k in range(10)]
    assert _confidences.of_classes(found, labels) == pytest.approx(own)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (50 * np.eye(10)[np.arange(20) % 10], "rows are not shares that sum to 1; take cifar10h"),
        (np.eye(10)[np.arange(1, 21) % 10], "own classes 0.00 of their votes"),
        (np.eye(10)[np.arange(19) % 10], "has 19 rows, and none of image 19"),
        (np.full((20, 4), 0.25), r"has shape \(20, 4\); expected \(n, 10\)"),
        (np.array([{}]), "not the array of CIFAR-10H: Object arrays cannot be loaded"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, said: np.ndarray, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read("test", tmp_path, said)
