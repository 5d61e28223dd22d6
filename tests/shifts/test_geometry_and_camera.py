"""Geometry, camera, noise of a band, patches and stylisation, against slow literal versions."""

import io
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.rng import RandomStream, normal_table, poisson_table

PHOTO = load_sample_images().images[0][100:324:2, 200:424:2].copy()
GEOMETRY = ("rotate", "translate", "scale", "shear", "perspective")


def shift(name: str) -> ModuleType:
    return registry.find("shifts", name)


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "s", "d", key)


def apply(name: str, value: np.ndarray, severity: float, **options: Any) -> np.ndarray:
    result: np.ndarray = shift(name).apply(value, severity, words(), **options)
    return result


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


# Geometry


def homography(name: str, size: int) -> np.ndarray:
    """Return the 3 x 3 matrix, about the middle, of what `apply` does at severity 4."""
    level, u = shift(name).LEVELS[4], words().uniform(2)
    sign = -1 if u[0] < 0.5 else 1
    turn, one = 2 * math.pi * u[0], np.eye(3)
    if name == "rotate":
        a = -sign * math.radians(level)  # positive angles are clockwise in images
        one[:2, :2] = [[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]
    if name == "translate":
        one[:2, 2] = np.array([math.cos(turn), math.sin(turn)]) * level * size / 224
    if name == "scale":
        one[:2, :2] *= level**sign
    if name == "shear":
        one[(0, 1) if u[0] < 0.5 else (1, 0)] = -level * (-1 if u[1] < 0.5 else 1)
    return tilt(level, turn, size) if name == "perspective" else one


def tilt(degrees: float, turn: float, size: int) -> np.ndarray:
    """Return what a plane at the distance f of its diagonal looks like, turned about a line in it."""
    axis = np.array([math.cos(turn), math.sin(turn), 0])
    cross = np.cross(np.eye(3), axis)
    a, f = math.radians(degrees), math.hypot(size, size)
    turned = np.eye(3) + math.sin(a) * cross + (1 - math.cos(a)) * cross @ cross
    camera = np.array([[f, 0, 0, 0], [0, f, 0, 0], [0, 0, 1, f]])
    placed = np.vstack([np.hstack([turned, np.zeros((3, 1))]), [[0, 0, 0, 1]]])
    matrix: np.ndarray = camera @ placed @ np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]])
    return matrix


def seen(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return an image under a homography: bilinear, float64, mirrored at the edges."""
    middle = (len(image) - 1) / 2
    y, x = np.mgrid[: len(image), : len(image)] - middle
    places = np.linalg.inv(matrix) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    rows, columns = places[1] / places[2] + middle, places[0] / places[2] + middle
    layers = [
        ndimage.map_coordinates(layer.astype(float), [rows, columns], order=1, mode="reflect")
        for layer in image.transpose(2, 0, 1)
    ]
    return np.stack(layers, axis=-1).reshape(image.shape)


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_is_the_homography(name: str) -> None:
    ours = apply(name, PHOTO, 4.0)
    literal = seen(PHOTO, homography(name, len(PHOTO)))
    assert distance(ours, literal) < 0.35  # rounding to whole grey levels alone makes 0.25
    assert np.abs(ours - literal).max() < 2.5


@pytest.mark.parametrize("name", GEOMETRY)
def test_direction_is_the_samples_and_the_same_at_every_severity(name: str) -> None:
    results = {shift(name).apply(PHOTO, 5.0, words(str(key))).tobytes() for key in range(8)}
    assert len(results) > 1
    stages = [shift(name).apply(PHOTO, severity, words("2")) for severity in (2.0, 2.4, 5.0)]
    assert distance(stages[0], stages[1]) < distance(stages[0], stages[2])


@pytest.mark.parametrize("name", GEOMETRY)
def test_border_is_what_one_asks_for(name: str) -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    assert np.array_equal(apply(name, white, 5.0), white)
    results = [shift(name).apply(white, 5.0, words(str(key)), border="constant", fill=7) for key in range(8)]
    assert min(result.min() for result in results) == 7
    with pytest.raises(ParamsError, match=f"{name}: border is 'wrap'; allowed are reflect"):
        apply(name, white, 1.0, border="wrap")
    with pytest.raises(ParamsError, match=f"{name}: fill is 256; allowed are 0 to 255"):
        apply(name, white, 1.0, fill=256)


@pytest.mark.parametrize("bits", [16, 28])
def test_no_sine_is_so_near_to_a_tie_that_the_c_library_decides(bits: int) -> None:
    turns = 2 * np.pi * (np.arange(1 << 16) + 0.5) / (1 << 16)
    scaled = np.concatenate([np.sin(turns), np.cos(turns)]) * (1 << bits)
    from_tie = np.abs(scaled - np.floor(scaled) - 0.5).min()
    assert from_tie > 20 * (1 << bits) * 2.0**-53


# Camera


def test_photons_are_poisson() -> None:
    camera = shift("sensor_noise").camera(0.012)
    normal = normal_table().astype(np.int64)
    for level in np.flatnonzero(np.diff(camera.starts) == 0)[::12]:
        skew = (((normal * normal) >> 20) - (1 << 20)) // 6144
        ours = (camera.mean[level] + ((camera.spread[level] * normal) >> 20) + skew + 512) >> 10
        exact = np.searchsorted(poisson_table(camera.mean[level] / 1024), np.arange(1 << 16), "right")
        assert np.mean(ours != exact) < 1 / 60
        assert np.abs(ours - exact).max() == 1


@pytest.mark.parametrize("grey", [2, 40, 128, 220])
@pytest.mark.parametrize("severity", [1.0, 3.0, 5.0])
def test_sensor_noise_has_the_moments_of_the_model(grey: int, severity: float) -> None:
    flat = np.full((200, 200, 3), grey, np.uint8)
    ours = apply("sensor_noise", flat, severity).astype(float)
    literal = camera_literally(flat, shift("sensor_noise").LEVELS[int(severity)])
    assert abs(ours.mean() - literal.mean()) < 0.05 * literal.std() + 0.05
    assert abs(ours.std() / literal.std() - 1) < 0.02


def camera_literally(image: np.ndarray, shot: float) -> np.ndarray:
    """Return the noisy image by NumPy's own distributions, in floats."""
    generator, v = np.random.default_rng(1), image / 255
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    read = math.sqrt(math.exp(2.18 * math.log(shot) + 1.20))
    raw = shot * generator.poisson(light / shot) + read * generator.standard_normal(v.shape)
    raw = np.rint(4095 * np.clip(raw, 0, 1)) / 4095
    shown = np.where(raw <= 0.0031308, 12.92 * raw, 1.055 * raw ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * shown))


def test_jpeg_chain_is_pillows() -> None:
    pixels = PHOTO
    for turn, down, right in words().uniform((6, 3))[:4].tolist():  # level 3: 4 encodings around 40
        top, left = int(8 * down), int(8 * right)
        framed = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="edge")
        stream = io.BytesIO()
        Image.fromarray(framed).save(stream, "JPEG", quality=round(40 + 10 * (2 * turn - 1)))
        pixels = np.array(Image.open(stream))[top:, left:]
    assert np.array_equal(apply("jpeg_chain", PHOTO, 3.0), pixels)


def test_jpeg_chain_refuses_what_jpeg_cannot_hold() -> None:
    with pytest.raises(DataError, match="jpeg_chain: an image of shape .* too large for JPEG"):
        apply("jpeg_chain", np.zeros((1, 65_500), np.uint8), 3.0)


def test_downscale_is_a_mean_over_areas_and_bilinear() -> None:
    size, few = len(PHOTO), round(len(PHOTO) * 0.3)
    edges = np.arange(few + 1) * size / few
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    down = np.clip(overlap, 0, None) * few / size
    places = np.clip((pixel + 0.5) * few / size - 0.5, 0, few - 1)
    up = np.clip(1 - np.abs(places[:, None] - np.arange(few)), 0, None)
    small = np.einsum("ay,yxc,bx->abc", down, PHOTO, down)
    literal = np.einsum("ya,abc,xb->yxc", up, small, up)
    assert distance(apply("downscale", PHOTO, 4.0), literal) < 0.4


# Noise of a band, patches


@pytest.mark.parametrize("band", ["low", "mid", "high"])
def test_band_noise_lies_in_its_band(band: str) -> None:
    grey = np.full((256, 256, 3), 128, np.uint8)
    noise = apply("band_noise", grey, 2.0, band=band).astype(float) - 128
    assert np.array_equal(noise[..., 0], noise[..., 2])
    assert abs(noise.std() - 255 * 0.06) < 0.15
    power = np.abs(np.fft.fft2(noise[..., 0])) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    of = np.digitize(frequency, [1 / 16, 1 / 4]) == ("low", "mid", "high").index(band)
    assert power[of].sum() / power.sum() > 0.9


def test_band_noise_refuses_an_unknown_band() -> None:
    with pytest.raises(ParamsError, match="band is 'top'; allowed are low, mid, high"):
        apply("band_noise", PHOTO, 1.0, band="top")


@pytest.mark.parametrize("size", [40, 43])
def test_patches_change_places_and_none_is_lost(size: int) -> None:
    image = np.arange(size * size, dtype=np.uint16).reshape(size, size).astype(np.uint8)
    rim = (size - 40) // 2
    before: set[int] = set()
    for severity, count in ((1, 13), (3, 38), (5, 64)):
        shuffled = apply("patch_shuffle", image, severity)
        changed = shuffled[rim : rim + 40, rim : rim + 40] != image[rim : rim + 40, rim : rim + 40]
        moved = changed.reshape(8, 5, 8, 5).any((1, 3))
        assert moved.sum() == count
        assert before <= set(np.flatnonzero(moved))
        before = set(np.flatnonzero(moved))
        assert np.array_equal(np.sort(shuffled, axis=None), np.sort(image, axis=None))
    with pytest.raises(ParamsError, match="patch_shuffle: grid is 0; it must be 1 or more"):
        apply("patch_shuffle", image, 1.0, grid=0)


# Stylisation


def test_posterise_keeps_black_and_white_and_few_levels() -> None:
    every = np.arange(256, dtype=np.uint8)[None]
    assert np.unique(apply("posterise", every, 5.0)).tolist() == [0, 128, 255]
    assert np.unique(apply("posterise", every, 2.0)).tolist() == [*range(0, 256, 32), 255]
    assert np.abs(apply("posterise", every, 1.0).astype(int) - every).max() == 8


def test_sketch_is_white_paper_with_dark_edges() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)
    image[:, 10:] = 164  # a step of BLACK
    sketch = apply("edge_sketch", image, 5.0)
    assert (sketch[:, [0, 5, 15]] == 255).all()
    assert (sketch[:, 9:11] < 90).all()  # Sobel's 5 x 5 spreads a step over four pixels
    assert np.array_equal(sketch[..., 0], sketch[..., 1])
    assert distance(apply("edge_sketch", image, 2.0), image + (sketch - 1.0 * image) * 0.4) < 0.5


def test_kuwahara_takes_the_calmest_square() -> None:
    image = PHOTO[:30, :30, 0].astype(float)
    radius = 2
    literal, framed = np.empty_like(image), np.pad(image, radius, mode="edge")
    for y in range(30):
        for x in range(30):
            squares = [
                framed[y + dy : y + dy + radius + 1, x + dx : x + dx + radius + 1]
                for dy in (0, radius)
                for dx in (0, radius)
            ]
            literal[y, x] = min(squares, key=np.var).mean()
    ours = shift("kuwahara").painted(PHOTO[:30, :30, 0].copy(), radius)
    assert np.abs(ours - literal).max() <= 0.51


def test_watermark_prints_the_text_that_one_asks_for() -> None:
    black = np.zeros((224, 224), np.uint8)
    marked = apply("watermark", black, 5.0, text="I 1")
    assert marked.max() == round(255 * round(256 * 0.7) / 256)
    assert 0.03 < np.mean(marked > 0) < 0.3
    assert not np.array_equal(marked, apply("watermark", black, 5.0))
    assert np.array_equal(apply("watermark", black, 5.0, fill=0), black)
    letters = shift("watermark").LETTERS
    assert len(letters) == 37
    assert len({shift("watermark")._letter(letter).tobytes() for letter in letters}) == 37


def test_watermark_refuses_what_it_cannot_print() -> None:
    for text, message in (("Ä", "text has 'Ä'"), (" ", "needs 1 to 100"), ("A" * 101, "1 to 100")):
        with pytest.raises(ParamsError, match=message):
            apply("watermark", PHOTO, 1.0, text=text)
    with pytest.raises(ParamsError, match="watermark: fill is -1; allowed are 0 to 255"):
        apply("watermark", PHOTO, 1.0, fill=-1)
