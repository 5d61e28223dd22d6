"""Snow, frost, fog and spatter beside float versions of the published algorithms, fed the same random words."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts.shift_digests import picture
from shiftbench.evaluation.corruption import corrupt
from shiftbench.plugins.shifts import _edges, _noise_fields, fog, frost, snow, spatter

LEVELS = (1, 2, 3, 4, 5)
IMAGE = picture(224, 224, 3)


def words(name: str) -> RandomStream:
    return RandomStream(0, name, "d", "k")


def mean_distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


# --- snow --------------------------------------------------------------------------------------


def slow_snow(image: np.ndarray, level: int) -> np.ndarray:
    mean, deviation, size, threshold, radius, sigma, keep = snow.LEVELS[level]
    drawn = words("snow")
    angle = np.radians(-135 + 90 * float(drawn.uniform()))
    normal = drawn.normal((112, 112)).astype(float)
    kept = int(np.ceil(224 / size))
    first = (112 - kept) // 2
    field = mean + deviation * normal[first : first + kept, first : first + kept]
    layer = zoom(field, size, order=1)
    trim = (len(layer) - 224) // 2
    layer = layer[trim : trim + 224, trim : trim + 224]
    layer = np.floor(255 * np.clip(np.where(layer < threshold, 0, layer), 0, 1)) / 255
    at = np.arange(2 * int(radius) + 1)
    weights = np.exp(-(at**2) / (2 * sigma**2))
    rows, columns = np.mgrid[:224, :224]
    smeared = np.zeros_like(layer)
    for i, weight in zip(at, weights / weights.sum(), strict=True):
        y = np.clip(rows + int(np.ceil(i * np.sin(angle) - 0.5)), 0, 223)
        x = np.clip(columns + int(np.ceil(i * np.cos(angle) - 0.5)), 0, 223)
        smeared += weight * layer[y, x]
    pixels = image / 255
    grey = pixels @ [0.299, 0.587, 0.114]
    pale = np.maximum(pixels, grey[..., None] * 1.5 + 0.5)
    flakes = (smeared + smeared[::-1, ::-1])[..., None]
    return 255 * np.clip(keep * pixels + (1 - keep) * pale + flakes, 0, 1)


@pytest.mark.parametrize("level", LEVELS)
def test_snow_is_the_published_one(level: int) -> None:
    ours = snow.apply(IMAGE, level, words("snow"))
    assert mean_distance(ours, slow_snow(IMAGE, level)) < 0.6


# --- spatter -----------------------------------------------------------------------------------


def slow_spatter(image: np.ndarray, level: int) -> np.ndarray:
    mean, deviation, sigma, threshold, last = spatter.LEVELS[level]
    field = mean + deviation * words("spatter").normal((224, 224)).astype(float)
    liquid = gaussian_filter(field, sigma, mode="nearest")
    liquid[liquid < threshold] = 0
    if level >= 4:
        opaque = gaussian_filter((liquid > threshold).astype(float), last, mode="nearest")
        opaque = np.where(opaque < 0.8, 0, opaque)[..., None]
        return image * (1 - opaque) + opaque * np.array(spatter.MUD)
    grey = (liquid * 255).astype(np.uint8)
    far = cv2.distanceTransform(255 - cv2.Canny(grey, 50, 150), cv2.DIST_L2, 5)
    relief = cv2.equalizeHist(cv2.blur(np.minimum(far, 20), (3, 3)).astype(np.uint8))
    relief = cv2.blur(cv2.filter2D(relief, cv2.CV_8U, spatter.EMBOSS), (3, 3))
    shining = grey * relief.astype(float)
    water = shining[..., None] / shining.max() * last * np.array(spatter.WATER)
    return np.clip(image + water, 0, 255)


@pytest.mark.parametrize("level", LEVELS)
def test_spatter_is_the_published_one(level: int) -> None:
    ours = spatter.apply(IMAGE, level, words("spatter"))
    assert mean_distance(ours, slow_spatter(IMAGE, level)) < 0.3


@pytest.mark.parametrize("shape", [(224, 224), (33, 57), (1, 1), (2, 9)])
@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_edges_and_distances_are_those_of_opencv(shape: tuple[int, int], sigma: float) -> None:
    field = _noise_fields.normal_field(*shape, words("edges"))
    liquid = spatter.thresholded(field, (0.65, 0.3, sigma, 0.67), 1.0)
    edges = cv2.Canny(liquid, 50, 150)
    assert np.array_equal(_edges.canny(liquid, 50, 150) * np.uint8(255), edges)
    exact = np.minimum(cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5), 20)
    ours = _edges.distances(edges, 20 << 16)[2:-2, 2:-2] / 65536
    assert np.abs(ours - exact).max() < 1e-3


def test_weak_edges_count_where_a_strong_one_is_beside() -> None:
    noisy = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8), (0, 0), 1)
    assert np.array_equal(_edges.canny(noisy, 50, 150) * np.uint8(255), cv2.Canny(noisy, 50, 150))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0, 9.1])
def test_blur_is_gaussian(sigma: float) -> None:
    field = _noise_fields.normal_field(60, 91, words("blur"))
    exact = gaussian_filter(field / 4096, sigma, mode="nearest")
    assert np.abs(_noise_fields.blurred(field, sigma) / 16384 - exact).max() < 1e-3


# --- fog ---------------------------------------------------------------------------------------


def slow_fog(image: np.ndarray, level: int) -> np.ndarray:
    amount, decay = fog.LEVELS[level]
    drawn, field, reach = words("fog"), np.zeros((1, 1)), 100.0
    while len(field) < 256:
        side = len(field)
        wobble = reach * reach * (2 * drawn.uniform((3, side, side)).astype(float) - 1)
        finer = np.zeros((2 * side, 2 * side))
        finer[::2, ::2] = field
        for i, j in np.ndindex(side, side):
            below, after = (i + 1) % side, (j + 1) % side
            corners = field[i, j] + field[below, j] + field[i, after] + field[below, after]
            finer[2 * i + 1, 2 * j + 1] = corners / 4 + wobble[0, i, j]
        for i, j in np.ndindex(side, side):
            below, after = (i + 1) % side, (j + 1) % side
            centre, corner = finer[2 * i + 1, 2 * j + 1], field[i, j]
            ring = centre + finer[2 * i - 1, 2 * j + 1] + corner + field[i, after]
            finer[2 * i, 2 * j + 1] = ring / 4 + wobble[1, i, j]
            ring = centre + finer[2 * i + 1, 2 * j - 1] + corner + field[below, j]
            finer[2 * i + 1, 2 * j] = ring / 4 + wobble[2, i, j]
        field, reach = finer, reach / decay
    field = (field - field.min()) / (field.max() - field.min())
    brightest = image.max() / 255
    foggy = image / 255 + amount * field[:224, :224, None]
    return 255 * np.clip(foggy * brightest / (brightest + amount), 0, 1)


@pytest.mark.parametrize("level", [1, 5])
def test_fog_is_the_published_one(level: int) -> None:
    ours = fog.apply(IMAGE, level, words("fog"))
    assert np.abs(ours - slow_fog(IMAGE, level)).max() < 0.502


# --- frost -------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    for number, name in enumerate(frost.TEXTURES["photo6"]):
        pixels = np.random.default_rng(number).integers(0, 256, (300, 400 + number, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name, format="PNG")
    return {"frost_textures": tmp_path}


@pytest.mark.parametrize("level", LEVELS)
def test_frost_is_the_published_one(level: int, pictures: dict[str, Path]) -> None:
    drawn = words("frost").uniform(3)
    number = int(5 * drawn[0])
    ice = np.asarray(Image.open(pictures["frost_textures"] / frost.TEXTURES["photo6"][number]))
    top, left = int(drawn[1] * (300 - 224)), int(drawn[2] * (400 + number - 224))
    piece = ice[top : top + 224, left : left + 224].astype(float)
    keep, add = frost.LEVELS[level]
    expected = np.clip(keep * IMAGE + add * piece, 0, 255)
    ours = frost.apply(IMAGE, level, words("frost"), sources=pictures)
    assert np.abs(ours - expected).max() < 0.52


@pytest.mark.parametrize(
    ("picture_size", "image", "window"),
    [
        ((600, 900), (224, 224), (224, 224)),
        ((600, 900), (28, 28), (224, 224)),
        ((600, 900), (448, 896, 3), (224, 448)),
        ((315, 560), (2000, 1000), (315, 158)),
        ((315, 560), (1, 1), (224, 224)),
        ((315, 560), (1, 9000), (1, 560)),
    ],
)
def test_piece_of_frost_scales_with_the_image(
    picture_size: tuple[int, int], image: tuple[int, ...], window: tuple[int, int]
) -> None:
    assert frost.window(picture_size, image) == window


def test_frost_without_pictures_is_procedural_and_says_so(pictures: dict[str, Path]) -> None:
    own = frost.apply(IMAGE, 3, words("frost"), texture="procedural")
    with pytest.warns(UserWarning, match=r"procedural ice .*`shiftbench fetch frost_textures`"):
        fallen_back = frost.apply(IMAGE, 3, words("frost"))
    assert np.array_equal(own, fallen_back)
    photographed = frost.apply(IMAGE, 3, words("frost"), sources=pictures)
    assert not np.array_equal(own, photographed)


def test_frost_needs_its_pictures_in_a_benchmark() -> None:
    assert frost.needs(defaults(frost)) == [refs.sources("frost_textures")]
    assert frost.needs({**defaults(frost), "texture": "procedural"}) == []


def test_frost_names_a_picture_that_cannot_be_read(pictures: dict[str, Path]) -> None:
    for name in frost.TEXTURES["photo6"]:
        (pictures["frost_textures"] / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"frost\d\.\w+ cannot be read .*`shiftbench fetch frost"):
        frost.apply(IMAGE, 3, words("frost"), sources=pictures)
    with pytest.raises(ParamsError, match="texture is 'paint'; allowed are photo, photo6, procedural"):
        frost.apply(IMAGE, 3, words("frost"), texture="paint")


def test_procedural_ice_is_as_bright_as_the_pictures() -> None:
    ice = [frost.procedural((224, 224, 3), RandomStream(0, "frost", "d", str(i))) for i in range(8)]
    assert np.mean(ice, axis=(0, 1, 2)) == pytest.approx([145, 166, 178], abs=10)
    assert 15 < np.std([piece.mean(axis=2) for piece in ice]) < 40


# --- all four ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["snow", "frost", "fog", "spatter"])
def test_profile_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=f"{name}: profile is 'mine'; allowed are published and"):
        corrupt(IMAGE, name, 3.0, profile="mine")


@pytest.mark.parametrize("name", ["snow", "frost", "fog", "spatter"])
@pytest.mark.parametrize("side", [48, 300, 700])
def test_weather_of_another_size_is_as_bad(name: str, side: int, pictures: dict[str, Path]) -> None:
    shift = registry.find("shifts", name)
    options = {"sources": pictures} if name == "frost" else {}
    grey = cv2.GaussianBlur(picture(1000, 1000)[::-1].copy(), (0, 0), 40)

    def damage(size: int) -> float:
        image = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
        drawn = (RandomStream(0, name, "d", str(key)) for key in range(8))
        return float(np.mean([mean_distance(shift.apply(image, 3, w, **options), image) for w in drawn]))

    assert damage(side) == pytest.approx(damage(224), rel=0.35 if side < 224 else 0.15)
