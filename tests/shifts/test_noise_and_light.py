"""The noise, light and colour shifts beside slow versions of the published equations."""

import colorsys
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream

WHOLE = [1, 2, 3, 4, 5]


@cache
def photo(side: int = 224) -> np.ndarray:
    image = Image.fromarray(load_sample_images().images[0][:, :427])
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def shifted(name: str, image: np.ndarray, severity: float, **options: Any) -> np.ndarray:
    found = registry.find("shifts", name).apply(image, severity, RandomStream(0, name, "", "k"), **options)
    return np.asarray(found)


def gap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def level(name: str, severity: int) -> Any:
    return registry.find("shifts", name).LEVELS[severity]


# what the paper's script does to one value in 0 to 1, with NumPy's own generator
PUBLISHED = {
    "gaussian_noise": lambda x, c, rng: x + rng.normal(scale=c, size=x.shape),
    "speckle_noise": lambda x, c, rng: x + x * rng.normal(scale=c, size=x.shape),
    "shot_noise": lambda x, c, rng: rng.poisson(x * c) / c,
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("severity", WHOLE)
def test_noise_has_the_published_distribution(name: str, severity: int) -> None:
    """At each of some grey levels: mean and deviation, within five standard errors."""
    generator = np.random.default_rng(severity)
    for grey in (0, 20, 128, 200, 255):
        flat = np.full((300, 300), grey, dtype=np.uint8)
        theirs = PUBLISHED[name](flat / 255, level(name, severity), generator)
        theirs = np.rint(np.clip(theirs, 0, 1) * 255)
        ours = shifted(name, flat, severity).astype(float)
        error = max(theirs.std(), 0.1) / 300
        assert abs(ours.mean() - theirs.mean()) < 5 * 2**0.5 * error
        assert abs(ours.std() - theirs.std()) < 5 * 2**0.5 * error
        values, other = np.sort(ours.ravel()), np.sort(theirs.ravel())
        assert gap(values, other) < 0.02 * theirs.std() + 0.05  # the distributions' distance


@pytest.mark.parametrize("severity", [*WHOLE, 0.5])
def test_impulses_hit_the_published_share(severity: float) -> None:
    flat = np.full((300, 300, 3), 100, dtype=np.uint8)
    noisy = shifted("impulse_noise", flat, severity)
    share = level("impulse_noise", int(severity)) if severity >= 1 else 0.015
    for white_or_black in (0, 255):
        assert abs((noisy == white_or_black).mean() - share / 2) < 0.002
    assert set(np.unique(noisy)) == {0, 100, 255}
    stronger = shifted("impulse_noise", flat, min(severity + 1, 5))
    assert np.array_equal(stronger[noisy != 100], noisy[noisy != 100])  # hits stay


def test_shot_noise_below_level_1_is_a_share_of_it() -> None:
    image = photo(64)
    whole, half = (shifted("shot_noise", image, s).astype(int) for s in (1.0, 0.5))
    assert np.abs((half - image) * 2 - (whole - image)).max() <= 1


def in_hsv(image: np.ndarray, change: Any) -> np.ndarray:
    """Return `change(h, s, v)` of each pixel by the standard library's equations."""
    pixels = image.reshape(-1, 3) / 255
    changed = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in pixels]
    return np.array(changed).reshape(image.shape) * 255


@pytest.mark.parametrize("severity", WHOLE)
def test_light_is_the_published_one(severity: int) -> None:
    image = np.concatenate((photo(48), np.arange(48 * 16 * 3).reshape(48, 16, 3) % 256), axis=1)
    image[0] = image[0, :, :1]  # grey and, below, black pixels
    image[1] = 0
    image = image.astype(np.uint8)
    amount = level("brightness", severity)
    bright = in_hsv(image, lambda h, s, v: (h, s, min(v + amount, 1)))
    assert np.abs(shifted("brightness", image, severity) - bright).max() <= 0.51
    by, plus = level("saturate", severity)
    vivid = in_hsv(image, lambda h, s, v: (h, min(s * by + plus, 1), v))
    assert np.abs(shifted("saturate", image, severity) - vivid).max() <= 0.51


def test_grey_light() -> None:
    image = photo(48)[..., 1]
    wanted = np.minimum(np.floor(image + 0.3 * 255), 255)  # on a half, which goes down
    assert np.array_equal(shifted("brightness", image, 3), wanted)
    assert np.array_equal(shifted("saturate", image, 3), image)
    with pytest.raises(ParamsError, match="profile is 'mine'; allowed are published and continuous"):
        shifted("saturate", image, 3, profile="mine")


@pytest.mark.parametrize("severity", WHOLE)
@pytest.mark.parametrize("grey", [False, True])
def test_pixels_are_those_of_pillow(severity: int, grey: bool) -> None:
    image = photo()[..., 0] if grey else photo()
    side = int(224 * level("pixelate", severity))
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
    assert np.array_equal(shifted("pixelate", image, severity), small.resize((224, 224), Image.Resampling.BOX))


@pytest.mark.parametrize("severity", WHOLE)
def test_contrast_is_the_published_one(severity: int) -> None:
    image = photo()
    means = image.mean(axis=(0, 1), keepdims=True)
    wanted = (image - means) * level("contrast", severity) + means
    assert np.abs(shifted("contrast", image, severity) - wanted).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("severity", WHOLE)
def test_greyscale_goes_to_pillows(severity: int) -> None:
    image = photo()
    luma = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    wanted = image + (luma.astype(float) - image) * severity / 5
    assert np.abs(shifted("greyscale", image, severity) - wanted).max() <= 1
    assert severity < 5 or np.array_equal(shifted("greyscale", image, 5), np.repeat(luma, 3, 2))


def test_inversion_begins_at_white() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(shifted("inversion", ramp, 5), 255 - ramp)
    assert np.array_equal(shifted("inversion", ramp, 2.5) != ramp, ramp >= 128)


def lab(image: np.ndarray) -> np.ndarray:
    """Return l, alpha, beta (h, w, 3) of an image by Reinhard's equations 4 to 6, in octaves."""
    to_lms = [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]]
    logs = np.log2(image @ np.transpose(to_lms) + 1)
    axes = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
    return np.asarray(logs @ axes.T)


def test_colours_are_transferred_as_published() -> None:
    transfer = registry.find("shifts", "colour_transfer")
    image, other = photo(), load_sample_images().images[1]
    wanted = lab(other)
    stated = [*wanted.mean((0, 1)), *wanted.std((0, 1))]
    assert np.allclose(transfer.statistics(other), stated, atol=2e-4)
    assert np.allclose(transfer.FLOWER, stated, atol=2e-4)
    own = lab(image)
    moved = (own - own.mean((0, 1))) * (wanted.std((0, 1)) / own.std((0, 1))) + wanted.mean((0, 1))
    axes = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
    lms = np.exp2(moved @ axes) - 1  # the axes are orthonormal
    to_lms = [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]]
    rgb = np.clip(lms @ np.linalg.inv(to_lms).T, 0, 255)
    ours = shifted("colour_transfer", image, 5)
    assert gap(ours, rgb) < 0.3
    assert np.array_equal(ours, shifted("colour_transfer", image, 5, reference=transfer.FLOWER))
    grey = shifted("colour_transfer", image[..., 0], 5)
    assert grey.shape == image.shape[:2]


@pytest.mark.parametrize("reference", [(1.0, 2.0), "red", (0, 0, 0, 1, -1, 1), (float("nan"),) * 6])
def test_colour_statistics_are_checked(reference: Any) -> None:
    with pytest.raises(ParamsError, match="give six numbers, means of l, alpha and beta and their"):
        shifted("colour_transfer", photo(28), 3, reference=reference)


def test_histogram_becomes_the_reference() -> None:
    image, other = photo(), load_sample_images().images[1][:400, :600]
    counts = [np.bincount(channel.ravel(), minlength=256) for channel in other.transpose(2, 0, 1)]
    matched = shifted("histogram_matching", image, 5, reference=[c.tolist() for c in counts])
    for channel in range(3):  # each pixel has the reference's value of the same rank
        ours, theirs = np.sort(matched[..., channel].ravel()), np.sort(other[..., channel].ravel())
        at_rank = theirs[(np.arange(len(ours)) * len(theirs)) // len(ours)]
        assert gap(ours, at_rank) < 2
    flat = np.full((5, 5, 3), 200, dtype=np.uint8)
    middle = shifted("histogram_matching", flat, 5, reference=[1] * 256)
    assert set(np.unique(middle)) == {127}
    half = shifted("histogram_matching", image, 2.5, reference=[c.tolist() for c in counts])
    assert np.abs(half - (image + (matched.astype(float) - image) / 2)).max() <= 0.5


def test_default_histogram_is_the_flowers() -> None:
    flower = load_sample_images().images[1]
    luma = np.asarray(Image.fromarray(flower).convert("L"))[..., None]
    layers = np.concatenate((flower, luma), axis=2).reshape(-1, 4).T
    counts = registry.find("shifts", "histogram_matching").default_counts()
    assert np.array_equal(counts, [np.bincount(layer, minlength=256) for layer in layers])


@pytest.mark.parametrize(
    "reference", [[1] * 255, [0] * 256, [-1] * 256, [0.5] * 256, "dark", [[1] * 256, [1]], [[1] * 256] * 2]
)
def test_histogram_is_checked(reference: Any) -> None:
    with pytest.raises(ParamsError, match="reference is no histogram; give 256 counts"):
        shifted("histogram_matching", photo(28), 3, reference=reference)
