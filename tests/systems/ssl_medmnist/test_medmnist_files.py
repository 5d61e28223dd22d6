"""MedMNIST's files: a miniature of the official layout is read as it lies; another file or layout is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from makers.medmnist_miniature import SETS, medmnist
from makers.medmnist_miniature import options as own
from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.base.refs import checkpoint
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.systems.ssl_medmnist.datasets import _medmnist
from shiftbench.workflow.stages.train import train_weights


@pytest.mark.parametrize("name", ["breast", "derma"])
def test_a_split_is_read_row_by_row(tmp_path: Path, name: str) -> None:
    options = own(name, medmnist(tmp_path, name)) | {"name": "some"}
    with np.load(tmp_path / f"{name}mnist_64.npz") as arrays:
        for split in _medmnist.NATIVE:
            found = list(_medmnist.samples(split, {}, options))
            assert [s.key for s in found] == [f"some/{split}/{n:06d}" for n in range(len(found))]
            assert np.array_equal([s.fields["image"] for s in found], arrays[f"{split}_images"])
            assert [s.fields["label"] for s in found] == arrays[f"{split}_labels"][:, 0].tolist()


def test_another_file_is_refused_and_so_is_another_layout(tmp_path: Path) -> None:
    options = own("breast", medmnist(tmp_path, "breast"))
    with pytest.raises(ChecksumError, match="742edef2a1fd1524b2efff4bd7ba9364"):
        list(_medmnist.samples("test", {}, options | {"md5": ""}))
    with pytest.raises(DataError, match=r"breastmnist\.npz does not exist"):
        list(_medmnist.samples("test", {}, options | {"size": 28}))
    with pytest.raises(ParamsError, match="expected 28 or 64"):
        list(_medmnist.samples("test", {}, options | {"size": 128, "md5": ""}))
    for wrong, why in (
        ({"test_labels": np.zeros((4, 14), np.uint8)}, "one label a row"),
        ({"test_images": np.zeros((3, 64, 64), np.uint8)}, "with 4 labels"),
        ({"test_images": np.zeros((4, 64, 64))}, "expected uint8"),
    ):
        given = own("breast", medmnist(tmp_path, "breast", **wrong))
        with pytest.raises(DataError, match=why):
            list(_medmnist.samples("test", {}, given))


def test_the_eleven_sets_are_those_of_the_paper() -> None:
    for name, classes in SETS.items():
        found = registry.find("datasets", f"{name}_mnist")
        flag = defaults(found)["flag"]
        assert flag == name.replace("_", "") + "mnist"
        assert len(found.CLASSES) == len(set(found.CLASSES)) == classes
        assert {len(md5) for md5 in _medmnist.MD5[flag].values()} == {32}
        wanted = found.wants("train", {**defaults(found), "root": "/data"})
        assert list(wanted) == [f"/data/{flag}_64.npz"]
        assert _medmnist.MD5[flag][64] in wanted[f"/data/{flag}_64.npz"]
    assert sum(count for count, _, _ in _medmnist.COUNTS.values()) == 439_707
    assert _medmnist.COUNTS["tissuemnist"] == (165_466, 23_640, 47_280)
    licences = {name: registry.find("datasets", f"{name}_mnist").LICENCE for name in SETS}
    assert {name for name, said in licences.items() if "NC" in said} == {"derma"}
    organs = {registry.find("datasets", f"organ_{axis}_mnist").CLASSES for axis in "acs"}
    assert len(organs) == 1


def test_a_resnet_is_pretrained_and_probed_on_a_file_of_the_full_scale(tmp_path: Path) -> None:
    """The nets, views and heads of `params.full`, but for widths and epochs, on a grey set and its official views."""
    given = own("breast", medmnist(tmp_path, "breast"))
    known = list(_medmnist.samples("train", {}, given))
    model = {"name": "resnet18", "size": 64, "crop": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}
    small = {"hidden": 16, "projection": 8, "predicted": 16, "queue": 8, "epochs": 1}
    job = training_jobs.job(
        "torchvision", "self_supervised", model_params=model, train=known, method="moco_v3", **small
    )
    state, _ = train_weights(job)
    file = training_jobs.write(tmp_path / "encoder.safetensors", state)
    start = checkpoint("tiny", "torchvision", "moco_v3", 0)
    head = training_jobs.job(
        "torchvision", "frozen_head", model_params=model, train=known, inputs={start: file}, epochs=3
    )
    probed, _ = train_weights(head)
    assert all(torch.equal(probed[name], state[name]) for name in state if "head." not in name)
    assert not torch.equal(probed["head.weight"], state["head.weight"])
