"""Things that hide an image: patches, bars and stamps; how much of it, and that they stay as they grow."""

import csv

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import shift_digests
from shiftbench.contracts.shift_digests import picture
from shiftbench.plugins.shifts import _cutouts


def hidden(shape: tuple[int, ...], severity: float, key: str) -> np.ndarray:
    """Return where things hide an image: what differs little between black and white ones."""
    shift = registry.find("shifts", "occlusion_stamps")
    black, white = (
        shift_digests.apply(shift, np.full(shape, level, np.uint8), severity, RandomStream(0, "o", "d", key)).astype(
            int
        )
        for level in (0, 255)
    )
    shown = white - black
    return np.asarray((shown[..., 0] if shown.ndim == 3 else shown) <= 127)


@pytest.mark.parametrize(
    ("shape", "tolerance"), [((28, 28), 0.03), ((64, 80, 3), 0.01), ((224, 224, 3), 0.01)], ids=str
)
def test_stamps_hide_the_share_that_was_asked_for(shape: tuple[int, ...], tolerance: float) -> None:
    for key in map(str, range(6)):
        shares = [hidden(shape, severity, key).mean() for severity in range(6)]
        assert np.abs(np.array(shares) - np.arange(6) / 10).max() <= tolerance
        assert shares == sorted(set(shares))


def test_stamps_that_are_there_stay() -> None:
    before, after = hidden((224, 224), 2.0, "a"), hidden((224, 224), 4.0, "a")
    assert (after & before).sum() >= 0.75 * before.sum()  # all but the one that was still growing


def test_stamps_are_no_objects_of_the_twelve_classes() -> None:
    with (registry.PACKAGE / "plugins/datasets" / "twelve.csv").open(encoding="utf-8") as file:
        taken = {r["path"] for r in csv.DictReader(file) if r["domain"] == "photo" and r["class"] != "-"}
    assert len(_cutouts.listed()) == 40
    assert not taken & set(_cutouts.listed())


@pytest.mark.parametrize("kind", ["patches", "bars"])
def test_patches_hide_their_share_and_stay(kind: str) -> None:
    shift, value = registry.find("shifts", "occlusion"), np.zeros((70, 56, 3), np.uint8)
    before = np.zeros(value.shape, bool)
    for level, share in {0: 0.0, **shift.LEVELS}.items():
        now = shift.apply(value, level, RandomStream(0, "o", "d", "1"), kind=kind) == 128
        assert now.mean() == pytest.approx(share, abs=0.5 / 14 if kind == "bars" else 0.5 / 196)
        assert now[before].all()
        before = now


@pytest.mark.parametrize("shape", [(28, 28), (9, 60, 3)], ids=str)
def test_bars_of_a_batch_are_those_of_the_cpu(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    from shiftbench.base import rng_torch

    shift, value = registry.find("shifts", "occlusion"), picture(*shape)
    words = [RandomStream(0, "o", "d", str(key)) for key in range(8)]
    pixels = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(value).transpose(2, 0, 1)))
    found = registry.find("shifts_torch", "occlusion").apply(
        pixels.expand(8, -1, -1, -1), 3.0, rng_torch.RandomStream.of(words), kind="bars"
    )
    for one, own in zip(found, words, strict=True):
        expected = shift.apply(value, 3.0, own, kind="bars")
        assert np.array_equal(one.permute(1, 2, 0).numpy().reshape(shape), expected)
