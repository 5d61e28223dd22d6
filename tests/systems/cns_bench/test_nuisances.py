"""CNS-Bench's nuisances: one path from the image to its end, and their equations."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import shift_digests

SCALES = (0.5, 1.0, 1.5, 2.0, 2.5)
NUISANCES = [f"cns_{name}" for name in ("noise", "blur", "fog", "contrast", "sketch", "texture")]


def thing(key: int = 0) -> np.ndarray:
    """Return a light thing on black, uint8 (28, 28)."""
    image = np.zeros((28, 28), np.uint8)
    image[5:24, 8:20] = np.random.default_rng(key).integers(60, 256, (19, 12))
    return scipy.ndimage.uniform_filter(image, 3)


def under(name: str, image: np.ndarray, scale: float, key: str = "k") -> np.ndarray:
    module = registry.find("shifts", name)
    shown: np.ndarray = shift_digests.apply(module, image, scale, RandomStream(0, name, "d", key))
    return shown


@pytest.mark.parametrize("name", NUISANCES)
def test_scale_0_is_the_image_and_damage_grows_along_one_path(name: str) -> None:
    images = [thing(key) for key in range(12)]
    for image in images:
        assert np.array_equal(under(name, image, 0.0), image)
        assert np.array_equal(under(name, image, 1.25), under(name, image.copy(), 1.25))
    damage = [
        np.mean([np.abs(under(name, image, s, str(i)).astype(int) - image).mean() for i, image in enumerate(images)])
        for s in (0.0, *SCALES)
    ]
    assert damage == sorted(set(damage))


def test_noise_is_one_field_at_every_scale() -> None:
    image = np.full((28, 28), 128, np.uint8)
    field = RandomStream(0, "cns_noise", "d", "k").normal(image.shape)
    for scale in (0.5, 1.0, 2.0):
        expected = np.clip(128 + 255 * 0.12 * scale * field, 0, 255)
        assert np.abs(under("cns_noise", image, scale) - expected).max() <= 1


def test_blur_is_gaussian_of_0_7_pixels_a_scale() -> None:
    image = thing()
    for scale in (1.0, 2.5):
        expected = scipy.ndimage.gaussian_filter(image.astype(float), 0.7 * scale, mode="nearest")
        assert np.abs(under("cns_blur", image, scale) - expected).max() < 2.5


def test_contrast_and_fog_are_their_equations() -> None:
    image = thing()
    faded = image.mean() + (1 - 0.36 * 2) * (image - image.mean())
    assert np.abs(under("cns_contrast", image, 2.0) - faded).max() <= 0.5 + 1e-9
    field = under("cns_fog", np.zeros_like(image), 2.5) / 0.75  # all that is seen on black
    assert (field.min(), field.max()) == (0, pytest.approx(255, abs=1))
    expected = image * (1 - 0.3 * 1.5) + 0.3 * 1.5 * field
    assert np.abs(under("cns_fog", image, 1.5) - expected).max() < 2


def test_sketch_ends_in_edges_and_texture_stays_inside_the_object() -> None:
    image = thing()
    edges = 255 - registry.find("shifts", "edge_sketch").drawing(image)
    assert np.array_equal(under("cns_sketch", image, 2.5), edges)
    half = under("cns_sketch", image, 1.25).astype(float)
    assert np.abs(half - (image.astype(float) + edges) / 2).max() <= 0.5
    ends = [under("cns_texture", thing(key), 2.5, "same") for key in (0, 1)]
    inside = (thing(0) > 20) & (thing(1) > 20)
    assert np.array_equal(ends[0][inside], ends[1][inside])  # of the object nothing is left
    assert np.array_equal(ends[0][thing(0) <= 20], thing(0)[thing(0) <= 20])
