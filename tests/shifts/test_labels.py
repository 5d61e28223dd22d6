"""Label noise: how many labels flip, where to, and that more noise keeps the flips of less."""

import numpy as np
import pytest

from shiftbench.base.errors import RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import label_noise

KEYS = [f"d/train/{number:05d}" for number in range(4000)]


def noisy(severity: float, classes: int = 7) -> np.ndarray:
    words = [RandomStream(0, "label_noise", "d", key) for key in KEYS]
    return np.array([label_noise.apply(3, severity, own, classes) for own in words])


def test_the_severity_is_the_share_of_flips_and_every_other_class_is_as_likely() -> None:
    found = noisy(0.4)
    assert (found != 3).mean() == pytest.approx(0.4, abs=0.03)
    shares = np.bincount(found[found != 3], minlength=7) / (found != 3).sum()
    assert shares[3] == 0
    assert np.delete(shares, 3) == pytest.approx(np.full(6, 1 / 6), abs=0.03)


def test_more_noise_keeps_the_flips_of_less() -> None:
    mild, strong = noisy(0.2), noisy(0.4)
    flipped = mild != 3
    assert (mild[flipped] == strong[flipped]).all()
    assert (noisy(0.0) == 3).all()
    assert (noisy(1.0) != 3).all()


def test_labels_beyond_the_classes_are_told() -> None:
    with pytest.raises(RangeError, match="label 7 is none of 7 classes; set its option `classes`"):
        label_noise.apply(7, 0.4, RandomStream(0, "label_noise", "d", "k"), 7)
