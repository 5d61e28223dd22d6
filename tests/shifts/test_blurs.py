"""The blurs and the elastic transform beside literal versions of the published algorithms."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.contracts.shift_digests import picture
from shiftbench.data import codecs
from shiftbench.plugins.shifts import _blur, _warp, defocus_blur, elastic_transform, glass_blur, motion_blur, zoom_blur

WHOLE = [1, 2, 3, 4, 5]


@cache
def photo(side: int = 224) -> np.ndarray:
    image = Image.fromarray(load_sample_images().images[0][:, :427])
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def shifted(name: str, image: np.ndarray, severity: float, **options: Any) -> np.ndarray:
    found = registry.find("shifts", name).apply(image, severity, RandomStream(0, name, "", "k"), **options)
    return np.asarray(found)


def gap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def by_channel(image: np.ndarray, function: Any) -> np.ndarray:
    layers = image.reshape(*image.shape[:2], -1).astype(float)
    done = [function(layers[..., channel]) for channel in range(layers.shape[2])]
    return np.stack(done, axis=-1).reshape(*done[0].shape, *image.shape[2:])


def gaussian(image: np.ndarray, sigma: float, truncate: float = 4.0) -> np.ndarray:
    options = {"mode": "nearest", "truncate": truncate}
    return by_channel(image, lambda layer: ndimage.gaussian_filter(layer, sigma, **options))


def disk(image: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """The kernel of make_imagenet_c.py: a disk on a square grid, softened on that grid."""
    side = np.arange(-max(8, radius), max(8, radius) + 1)
    inside = (side**2 + side[:, None] ** 2 <= radius**2).astype(float)
    taps = np.exp(-((np.arange(-2, 3) / sigma) ** 2) / 2)
    for axis in (0, 1):
        inside = ndimage.convolve1d(inside, taps / taps.sum(), axis, mode="mirror")
    kernel = inside / (side**2 + side[:, None] ** 2 <= radius**2).sum()
    return by_channel(image, lambda layer: ndimage.convolve(layer, kernel, mode="mirror"))


def zoom(image: np.ndarray, step: float, count: int) -> np.ndarray:
    """The mean of the image and of its zooms, each side cropped to its own length."""
    total = image.astype(float)
    for factor in np.arange(count) * (1 + step - 1) + 1:
        crops = [math.ceil(side / factor) for side in image.shape[:2]]
        firsts = [(side - crop) // 2 for side, crop in zip(image.shape, crops, strict=False)]
        seen = image[firsts[0] :][: crops[0], firsts[1] :][:, : crops[1]]
        large = by_channel(seen, lambda layer: ndimage.zoom(layer, factor, order=1))  # noqa: B023
        total += large[: image.shape[0], : image.shape[1]]
    return total / (count + 1)


@pytest.mark.parametrize("level", WHOLE)
def test_even_blurs_are_the_published_ones(level: int) -> None:
    """A quarter of a grey level is what rounding to whole ones costs."""
    wide = photo()[:, 20:200]
    for image in (photo(), photo()[..., 0]):
        sigma = registry.find("shifts", "gaussian_blur").LEVELS[level]
        assert gap(shifted("gaussian_blur", image, level), gaussian(image, sigma)) < 0.3
        radius, softness, _ = defocus_blur.LEVELS[level]
        expected = np.clip(disk(image, int(radius), softness), 0, 255)
        assert gap(shifted("defocus_blur", image, level), expected) < 0.35
        step, count = zoom_blur.LEVELS[level]
        assert gap(shifted("zoom_blur", image, level), zoom(image, step, int(count))) < 0.3
    assert gap(shifted("zoom_blur", wide, level), zoom(wide, step, int(count))) < 0.3


@pytest.mark.parametrize("level", WHOLE)
def test_glass_is_the_published_loop(level: int) -> None:
    """Fed the same displacements, pixel by pixel; its swap of two NumPy views is a copy."""
    image = photo()
    sigma, reach, rounds = (registry.find("shifts", "glass_blur").LEVELS[level][i] for i in range(3))
    moved = np.floor(gaussian(image, sigma) + 1e-9)
    words, side = RandomStream(0, "glass_blur", "", "k"), 2 * int(reach)
    for _ in range(int(rounds)):
        drawn = words.words16(image.shape[0] * image.shape[1]).reshape(image.shape[:2])
        right, rest = np.divmod(drawn.astype(int) * side, 1 << 16)
        down = rest * side >> 16
        for row in range(224 - int(reach), int(reach), -1):
            for column in range(224 - int(reach), int(reach), -1):
                seen = down[row, column] - int(reach), right[row, column] - int(reach)
                moved[row, column] = moved[row + seen[0], column + seen[1]]
    assert gap(shifted("glass_blur", image, level), gaussian(moved, sigma)) < 0.3


def test_glass_moves_pixels_as_far_as_published() -> None:
    """Variance of the columns' displacement: the paper's loop at whole reaches, growing in between."""
    columns = np.arange(224).repeat(224).reshape(224, 224).T.copy()

    def spread(reach: float, rounds: float = 2.0) -> float:
        rng = RandomStream(0, "glass_blur", "", "k")
        return float((glass_blur.exchanged(columns, reach, rounds, rng) - columns).var())

    generator = np.random.default_rng(0)
    for reach in (1, 3):
        moved = columns.copy()
        for _ in range(2):
            for row in range(224 - reach, reach, -1):
                for column in range(224 - reach, reach, -1):
                    right, down = generator.integers(-reach, reach, size=2)
                    moved[row, column] = moved[row + down, column + right]
        assert spread(reach) == pytest.approx((moved - columns).var(), rel=0.05)
    growing = [spread(reach) for reach in (0, 0.2, 0.7, 1, 1.4, 2, 2.9, 3, 3.1, 5)]
    assert growing == sorted(set(growing))
    growing = [spread(2, rounds) for rounds in (0.3, 1, 1.6, 2, 2.2, 3)]
    assert growing == sorted(set(growing))


def test_a_published_profile_has_whole_levels_only() -> None:
    for name in ("glass_blur", "elastic_transform"):
        with pytest.raises(RangeError, match=f"'{name}': severity 2.5 lies between two published"):
            shifted(name, photo(28), 2.5)
        with pytest.raises(ParamsError, match=f"{name}: profile is 'p'; allowed are published and"):
            shifted(name, photo(28), 2.0, profile="p")


@cache
def smoothed_noise(level: int) -> float:
    """Return the root mean square of the published field at strength 1; it knows nothing of the picture's side."""
    _, sigma, _ = elastic_transform.LEVELS[level]
    noise = np.random.default_rng(level).uniform(-1, 1, (40, 224, 224))
    smooth = ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="reflect", truncate=3.0)
    return float(np.sqrt((smooth**2).mean()))


@pytest.mark.parametrize("side", [28, 224, 500])
@pytest.mark.parametrize("level", WHOLE)
def test_elastic_field_is_as_strong_as_published(level: int, side: int) -> None:
    """The field is noise from -1 to 1 on each pixel of a 224 px image, smoothed, times the strength."""
    strength, sigma, _ = elastic_transform.LEVELS[level]
    pixel = side / 224
    fields = [
        elastic_transform.field(
            (side, side), strength * pixel, sigma, (pixel, pixel), RandomStream(0, "elastic", "", str(key))
        )
        for key in range(200)
    ]
    ours = np.sqrt(np.mean(np.square(fields, dtype=float))) / _warp.ONE
    theirs = smoothed_noise(level) * strength * pixel
    assert ours == pytest.approx(theirs, rel=0.3 if level == 1 else 0.08)
    assert abs(np.mean(fields)) / _warp.ONE < ours / 4


@pytest.mark.parametrize("level", [1, 2, 4])
def test_elastic_is_the_published_algorithm(level: int) -> None:
    """Affine map of three moved points, then the field; both bilinear, with the same random numbers."""
    strength, sigma, jitter = elastic_transform.LEVELS[level]
    rng = RandomStream(0, "elastic_transform", "", "k")
    moves = jitter * (2 * rng.uniform(6).astype(float) - 1)
    corners = np.array([[186, 186], [186, 38], [38, 38]], dtype=float)
    moved = np.c_[corners + moves.reshape(3, 2), np.ones(3)]
    back = np.linalg.solve(moved, corners)  # rows: x, y, 1
    y, x = np.mgrid[:224, :224].astype(float)
    from_x, from_y = (x * back[0, i] + y * back[1, i] + back[2, i] for i in range(2))
    affine = by_channel(photo(), lambda layer: ndimage.map_coordinates(layer, [from_y, from_x], order=1, mode="mirror"))
    size = (224, 224)
    right, down = (elastic_transform.field(size, strength, sigma, (1.0, 1.0), rng) / _warp.ONE for _ in range(2))
    expected = by_channel(
        affine, lambda layer: ndimage.map_coordinates(layer, [y + down, x + right], order=1, mode="reflect")
    )
    assert gap(shifted("elastic_transform", photo(), level), expected) < 0.6


def test_three_corners_on_one_line_are_no_error() -> None:
    """The jitter of level 2 nearly allows it; an image of one pixel has all corners in one place."""
    line = elastic_transform.affine((224, 224), 74.0, [0.5, 0.5, 0.5, 0.5, 0.5, 1.0])
    assert np.isfinite(line).all()
    assert np.isfinite(elastic_transform.affine((1, 1), 0.2, [0.5] * 6)).all()


@pytest.mark.parametrize("border", ["reflect", "mirror", "replicate", "constant"])
@pytest.mark.parametrize("shape", [(40, 31, 3), (9, 12), (1, 5, 3), (1, 1)])
def test_warp_is_the_exact_bilinear_one(border: Any, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, shape, dtype=np.uint8)
    y, x = np.mgrid[: shape[0] + 2, : shape[1]]
    map_x, map_y = (_warp.fixed(at + generator.normal(0, 30, at.shape)) for at in (x, y))
    mode = {"replicate": "nearest", "constant": "grid-constant"}.get(border, border)
    places = [map_y / _warp.ONE, map_x / _warp.ONE]
    expected = by_channel(image, lambda layer: ndimage.map_coordinates(layer, places, order=1, mode=mode, cval=77))
    warped = _warp.warp(image, map_x, map_y, border, 77)
    assert warped.shape == map_x.shape + shape[2:]
    assert np.abs(warped - expected).max() <= 0.5 + 1e-6


def test_wide_blurs_on_a_reduced_picture_are_near_the_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo(500)[:, :461]
    for sigma in (6.1, 11.0, 30.0):
        assert gap(_blur.gaussian(image, sigma, 1.0), gaussian(image, sigma)) < 0.4
    reduced = [shifted("defocus_blur", image, level) for level in (3, 5)]
    monkeypatch.setattr(defocus_blur, "WIDEST", 100.0)
    for level, wide in zip((3, 5), reduced, strict=True):
        assert gap(wide, shifted("defocus_blur", image, level)) < 0.6


@pytest.mark.parametrize("level", [1, 5])
def test_motion_of_a_large_picture_is_near_the_plain_one(level: int) -> None:
    """From 448 px on the line is one of steps; both are near the true line by some 1 grey level."""
    image, pixel = photo(500), 500 / 224
    radius, sigma = motion_blur.LEVELS[level]
    weights = motion_blur.kernel(2 * radius * pixel, sigma * pixel, 1)
    assert sum(weights) == motion_blur.ONE
    turn = float(RandomStream(0, "motion_blur", "", "k").uniform())
    reach = len(weights)
    padded = np.pad(image.astype(float), ((reach, reach), (0, reach), (0, 0)), mode="edge")
    expected = sum(
        weight * padded[reach + down : reach + down + 500, right : right + 500]
        for weight, (down, right) in zip(weights, motion_blur.line(turn, reach), strict=False)
    )
    assert gap(shifted("motion_blur", image, level), expected / motion_blur.ONE) < 2.2


def test_gaussian_weights_keep_their_width() -> None:
    for sigma in (0.7, 1.0, 2.24, 6.0):
        weights = np.array(_blur.gaussian_weights(sigma))
        distance = np.arange(len(weights)) - len(weights) // 2
        assert weights.sum() == _blur.ONE
        assert np.array_equal(weights, weights[::-1])
        assert (weights * distance**2).sum() / _blur.ONE == pytest.approx(sigma**2, rel=0.03)
    assert _blur.gaussian_weights(0.0) == (_blur.ONE,)


KNOWN = {
    "defocus_blur": "c47314eaa84ce62b",
    "elastic_transform": "afc7b6e55f8a9227",
    "gaussian_blur": "22d4759e170c42d6",
    "glass_blur": "a9d8995a3afaabe4",
    "motion_blur": "03f46e574957d014",
    "zoom_blur": "4dd6323a26356b60",
}


@pytest.mark.parametrize("name", KNOWN)
def test_bytes_of_a_reduced_picture_are_the_known_ones(name: str) -> None:
    """The golden images of all shifts are too small to be reduced."""
    digest = codecs.pixel_digest(shifted(name, picture(700, 520, 3), 5))
    assert digest[:16] == KNOWN[name]
