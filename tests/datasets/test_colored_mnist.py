"""ColoredMNIST: the released rule on the same words, its shares, and which images are whose."""

import collections
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers.miniature_originals import camelyon17 as miniature
from shiftbench.base import registry
from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import camelyon17, colored_mnist


def idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return idx files as many as MNIST's, of 2 x 2 pixels: each number of an image is its pixels."""
    folder = tmp_path_factory.mktemp("mnist")
    for prefix, count in (("train", 60_000), ("t10k", 10_000)):
        numbers = np.arange(count)
        images = np.stack([numbers // 256, numbers % 256, numbers % 2, numbers % 3], 1)
        images[:, 0] = 1 + numbers % 255  # what survives: the first pixel
        idx(folder / f"{prefix}-images-idx3-ubyte", images.reshape(-1, 2, 2))
        idx(folder / f"{prefix}-labels-idx1-ubyte", np.random.default_rng(0).integers(0, 10, count))
    return {"mnist": folder}


def made(mnist: dict[str, Path], split: str, name: str = "colored_mnist", **options: Any) -> list[Sample]:
    module = registry.find("datasets", name)
    return list(module.samples(split, mnist, {**defaults(module), **options}))


def test_an_environment_is_the_released_one() -> None:
    """make_environment, literally: the same uniform words through it, and through ours, give the same tensors."""
    random = np.random.default_rng(0)
    digits = random.integers(0, 10, 500).astype(np.uint8)
    images = random.integers(0, 256, (500, 28, 28)).astype(np.uint8)
    label_words, colour_words = random.random((2, 500)).astype(np.float32)
    for noise, e in ((0.25, 0.1), (0.1, 0.9)):
        x = torch.from_numpy(images.copy()).reshape((-1, 28, 28))[:, ::2, ::2]
        y = (torch.from_numpy(digits) < 5).float()
        y = (y - (torch.from_numpy(label_words) < noise).float()).abs()
        colors = (y - (torch.from_numpy(colour_words) < e).float()).abs()
        x = torch.stack([x, x], dim=1)
        x[torch.tensor(range(len(x))), (1 - colors).long(), :, :] *= 0
        found, labels = colored_mnist.coloured(images, digits, noise, e, label_words, colour_words)
        assert found.shape == (500, 14, 14, 3)
        assert torch.equal(torch.from_numpy(found).permute(0, 3, 1, 2)[:, :2], x)
        assert not found[..., 2].any()
        assert labels.tolist() == y.long().tolist()


@pytest.mark.parametrize("name", ["colored_mnist", "inverse_colored_mnist"])
def test_shares_of_wrong_labels_and_of_wrong_colours(mnist: dict[str, Path], name: str) -> None:
    module = registry.find("datasets", name)
    shares = {colored_mnist.name_of(e): e for key in ("environments", "tests") for e in defaults(module)[key]}
    digits = {
        prefix: np.frombuffer((mnist["mnist"] / f"{prefix}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
        for prefix in ("train", "t10k")
    }
    for split, prefix in (("train", "train"), ("test", "train"), ("val", "t10k")):
        groups = collections.defaultdict(list)
        for one in made(mnist, split, name):
            number = int(one.key.rpartition("/")[2])
            colour = int(one.fields["image"][0, 0, 1] > 0)
            wrong = one.fields["label"] != (digits[prefix][number] < 5)
            assert one.fields["meta"]["group"] == one.fields["meta"]["environment"]
            groups[one.fields["meta"]["group"]].append((wrong, colour != one.fields["label"]))
        assert (
            set(groups)
            == {
                "train": {colored_mnist.name_of(e) for e in defaults(module)["environments"]},
                "test": {"e10", "e50", "e90"},
                "val": set(shares),
            }[split]
        )
        for group, rows in groups.items():
            noise, e = np.mean(rows, axis=0)
            assert len(rows) == {"train": 25_000, "test": 10_000, "val": 10_000}[split]
            assert noise == pytest.approx(defaults(module)["noise"], abs=0.01)
            assert e == pytest.approx(shares[group], abs=0.01)


def test_which_images_are_whose(mnist: dict[str, Path]) -> None:
    train, test = made(mnist, "train"), made(mnist, "test")
    numbers = [int(one.key.rpartition("/")[2]) for one in train]
    assert sorted(numbers) == list(range(50_000))
    assert {int(one.key.rpartition("/")[2]) for one in test} == set(range(50_000, 60_000))
    fewer = made(mnist, "train", train=100)
    by_key = {one.key: one.fields["label"] for one in train}
    assert len(fewer) == 100
    assert all(by_key[one.key] == one.fields["label"] for one in fewer) or len(by_key) > 100
    assert {one.key for one in fewer} <= set(by_key)
    # Each test environment has labels of its own, as the released code draws them.
    labels = collections.defaultdict(list)
    for one in test:
        labels[one.fields["meta"]["group"]].append(one.fields["label"])
    assert len({tuple(values) for values in labels.values()}) == 3
    other = made(mnist, "train", draw=1)
    assert [one.key for one in other[:50]] != [one.key for one in train[:50]]


def test_environments_that_are_none(mnist: dict[str, Path]) -> None:
    for options in ({"environments": [0.1, 0.1]}, {"tests": []}, {"noise": 1.5}):
        with pytest.raises(ParamsError, match="colored_mnist: "):
            made(mnist, "train", **options)
    assert [colored_mnist.name_of(e) for e in (0.9, 0.05, 0.125, 1.0)] == ["e90", "e05", "e12_5", "e100"]


# --- Camelyon17 ---------------------------------------------------------------------------------------------------


def patches(split: str, tmp_path: Path, **options: Any) -> list[Sample | DataError]:
    given = {**defaults(camelyon17), **miniature(tmp_path)[1], **options}
    return list(camelyon17.samples(split, {}, given))


def test_hospitals_of_the_official_split(tmp_path: Path) -> None:
    found = {split: patches(split, tmp_path) for split in ("train", "val", "test")}
    hospitals = {split: {one.fields["meta"]["environment"] for one in part} for split, part in found.items()}
    assert hospitals == {
        "train": {"hospital_0", "hospital_3", "hospital_4"},
        "val": {"hospital_0", "hospital_1", "hospital_3", "hospital_4"},
        "test": {"hospital_2"},
    }
    one = found["test"][0]
    assert one.key.startswith("camelyon17/patient_0")
    assert one.fields["image"].shape == (96, 96, 3)
    assert one.fields["meta"]["cluster"].startswith("slide_")


def test_tables_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="option path is missing"):
        list(camelyon17.samples("test", {}, {**defaults(camelyon17)}))
    with pytest.raises(DataError, match="does not exist"):
        list(camelyon17.samples("test", {}, {**defaults(camelyon17), "path": str(tmp_path / "none")}))
    with pytest.raises(DataError, match="rows of test, not 5"):
        patches("test", tmp_path, counts={"test": 5})
    table = tmp_path / "camelyon17_v1.0" / "metadata.csv"
    whole = table.read_text().splitlines()
    at = next(n for n, line in enumerate(whole) if line.split(",")[7] == "2")
    params = {**defaults(camelyon17), "path": str(table.parent)}
    for lines, error in (
        ([*whole, whole[at]], DuplicateKeyError),
        ([line.rpartition(",")[0] for line in whole], DataError),
    ):
        table.write_text("\n".join(lines) + "\n")
        with pytest.raises(error):
            list(camelyon17.samples("test", {}, params))
    columns = whole[at].split(",")
    columns[5] = "2"
    table.write_text("\n".join([*whole[:at], ",".join(columns), *whole[at + 1 :]]) + "\n")
    assert any(isinstance(one, RangeError) for one in camelyon17.samples("test", {}, params))
