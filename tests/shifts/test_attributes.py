"""Edits of one attribute of an object against slow and literal versions."""

import csv
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.contracts.shift_digests import originals, picture
from shiftbench.data.resizing import resize, resize_array
from shiftbench.plugins.shifts import _backgrounds, _cutouts, _masks

BACKGROUNDS: list[tuple[str, dict[str, object]]] = [
    ("background_replaced", {}),
    ("background_complexity", {}),
    ("background_complexity", {"texture": "own"}),
    ("background_complexity", {"way": "down"}),
]
OBJECTS = ["object_size", "object_position", "object_direction"]
SIDE = 96


def oval(height: int = SIDE, width: int = SIDE, high: float = 0.36, wide: float = 0.2) -> np.ndarray:
    """Return a soft mask uint8 (height, width) of an upright oval, left of the middle."""
    y, x = np.mgrid[:height, :width] + 0.5
    far = np.hypot((y / height - 0.5) / high, (x / width - 0.4) / wide)
    return np.clip((1 - far) * 255 * 10 + 128, 0, 255).astype(np.uint8)


def cut_out(background: np.ndarray, mask: np.ndarray | None = None) -> Sample:
    """Return a red (grey) object on a background, as alpha compositing makes it."""
    mask = oval(*background.shape[:2]) if mask is None else mask
    colour = np.array([220, 40, 30])[: 3 if background.ndim == 3 else 1]
    alpha = mask[..., None] / 255 if background.ndim == 3 else mask / 255
    image = np.rint(alpha * colour + (1 - alpha) * background).astype(np.uint8)
    return Sample("d/test/1", {"image": image, "mask": mask, "label": 0})


WHITE = cut_out(np.full((SIDE, SIDE, 3), 255, np.uint8))
SCENE = cut_out(picture(SIDE, SIDE, 3))
GREY = cut_out(picture(64, 80))


def edited(name: str, sample: Sample, severity: float, key: str = "1", **options: Any) -> Sample:
    rng = RandomStream(0, name, "d", key)
    result = shift_digests.apply(registry.find("shifts", name), sample, severity, rng, **options)
    assert isinstance(result, Sample)
    return result


def image(sample: Sample) -> np.ndarray:
    pixels: np.ndarray = sample.fields["image"]
    return pixels


def complexity(pixels: np.ndarray) -> float:
    """Return C of Li et al. 2023: the mean size of the Fourier transform over channels and frequencies."""
    return float(np.abs(np.fft.fft2(pixels / 255.0, axes=(0, 1))).mean())


# --- the background ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), BACKGROUNDS)
@pytest.mark.parametrize("sample", [WHITE, SCENE, GREY], ids=["white", "scene", "grey"])
def test_background_edit_keeps_the_object_to_the_bit(name: str, options: dict[str, object], sample: Sample) -> None:
    inside = sample.fields["mask"] == 255
    for severity in (1.3, 5.0):
        result = edited(name, sample, severity, **options)
        assert np.array_equal(image(result)[inside], image(sample)[inside])
        assert np.array_equal(result.fields["mask"], sample.fields["mask"])
        plain = sample is WHITE and {"down", "own"} & set(map(str, options.values()))
        assert np.array_equal(image(result), image(sample)) == bool(plain)


def test_background_is_the_literal_composite() -> None:
    mask, words = WHITE.fields["mask"], RandomStream(0, "background_replaced", "d", "1")
    photo = _backgrounds.crop((SIDE, SIDE, 3), words, originals())
    alpha = mask[..., None] / 255
    literal = alpha * np.array([220, 40, 30]) + (1 - alpha) * photo  # the object on the photo itself
    far = np.abs(image(edited("background_replaced", WHITE, 5.0)) - literal)
    assert far.max() <= 1.01
    half = np.abs(image(edited("background_replaced", WHITE, 2.5)) - (literal + image(WHITE)) / 2)
    assert half.max() <= 1.01


@pytest.fixture(scope="module")
def gravel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of the photos, each of which shows coarse noise."""
    home = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for path in _backgrounds.listed():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.repeat(5, axis=0).repeat(5, axis=1)).save(home / path)
    return {_backgrounds.SOURCE: home}


@pytest.mark.parametrize("sample", [WHITE, SCENE, GREY], ids=["white", "scene", "grey"])
def test_complexity_rises_with_every_level(sample: Sample, gravel: dict[str, Path]) -> None:
    shift = registry.find("shifts", "background_complexity")
    found = [
        complexity(image(shift.apply(sample, s, RandomStream(0, "b", "d", "1"), sources=gravel))) for s in range(6)
    ]
    assert found == sorted(set(found))


@pytest.mark.parametrize(("options", "sign"), [({"way": "down"}, -1), ({"texture": "own"}, 1)])
@pytest.mark.parametrize("sample", [SCENE, GREY], ids=["scene", "grey"])
def test_own_texture_is_removed_or_amplified(sample: Sample, options: dict[str, str], sign: int) -> None:
    found = [sign * complexity(image(edited("background_complexity", sample, s, **options))) for s in range(6)]
    assert found == sorted(set(found))


def test_no_place_is_in_both_parts_of_the_photos() -> None:
    with Path(_backgrounds.__file__).with_name(_backgrounds.ASSETS[0]).open() as file:
        rows = list(csv.DictReader(file))
    first, second = ({row["place"] for row in rows if row["part"] == part} for part in ("first", "second"))
    assert first
    assert second
    assert not first & second
    listed = [set(_backgrounds.listed(part)) for part in ("first", "second", "all")]
    assert listed[0] | listed[1] == listed[2]
    assert not listed[0] & listed[1]


def test_crops_are_of_the_part_that_was_asked_for(tmp_path: Path) -> None:
    for part, level in (("first", 40), ("second", 200)):
        for path in _backgrounds.listed(part):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 20), (level, level, level)).save(tmp_path / path)
    sources = {_backgrounds.SOURCE: tmp_path}
    seen = {
        part: {
            int(_backgrounds.crop((8, 9), RandomStream(0, "b", "d", str(key)), sources, part)[3, 3])
            for key in range(30)
        }
        for part in _backgrounds.PARTS
    }
    assert seen == {"first": {40}, "second": {200}, "all": {40, 200}}


def test_hole_is_filled_from_around() -> None:
    height, width = 61, 84
    ramp = np.add.outer(np.arange(height), 2 * np.arange(width)).astype(np.uint8)
    mask = oval(height, width)
    hidden = np.where(mask > 0, 255, ramp).astype(np.uint8)
    filled = _masks.behind(hidden, mask)
    assert np.array_equal(filled[mask == 0], ramp[mask == 0])
    assert np.abs(filled.astype(int) - ramp)[mask > 0].mean() < 12  # of 227 grey levels
    assert (_masks.behind(np.full((5, 7, 3), 9, np.uint8), mask[:5, :7]) == 9).all()


# --- the object --------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", [WHITE, SCENE, GREY], ids=["white", "scene", "grey"])
@pytest.mark.parametrize("name", OBJECTS)
def test_object_stays_inside_and_background_stays(name: str, sample: Sample) -> None:
    for severity, key in ((0.5, "a"), (3.0, "b"), (5.0, "c"), (5.0, "d")):
        result = edited(name, sample, severity, key)
        new, old = result.fields["mask"], sample.fields["mask"]
        assert new.shape == old.shape
        untouched = (new == 0) & (old == 0)
        assert np.array_equal(image(result)[untouched], image(sample)[untouched])
        if name != "object_size":  # nothing is cut off: edges of one pixel are smeared at most
            assert _masks.rate(new) == pytest.approx(_masks.rate(old), rel=0.01)


@pytest.mark.parametrize("sample", [WHITE, SCENE, GREY], ids=["white", "scene", "grey"])
def test_size_meets_the_share_as_the_page_demands(sample: Sample) -> None:
    levels = registry.find("shifts", "object_size").LEVELS
    own = _masks.rate(sample.fields["mask"])
    for level, share in levels.items():
        result = edited("object_size", sample, level)
        found = _masks.rate(result.fields["mask"])
        assert abs(found - min(share, own)) <= 0.015
        assert found == pytest.approx(literal_share(own, share), abs=0.02)
    middles = [np.argwhere(s.fields["mask"] > 127).mean(axis=0) for s in (sample, result)]
    assert np.abs(middles[0] - middles[1]).max() <= 1
    between = [_masks.rate(edited("object_size", sample, s).fields["mask"]) for s in (0, 0.5, 1)]
    assert between == sorted(between, reverse=True)


def literal_share(rate: float, p: float) -> float:
    """Return the share that the page's rule ends with: scale by sqrt(p / rate) until it is near."""
    for _ in range(50):
        if abs(rate - p) <= 0.015 or p > rate:
            break
        rate *= math.sqrt(p / rate) ** 2
    return rate


def test_small_object_keeps_its_size() -> None:
    sample = cut_out(picture(SIDE, SIDE, 3), oval(high=0.15, wide=0.15))  # 7 percent
    assert np.array_equal(image(edited("object_size", sample, 4.0)), image(sample))
    assert not np.array_equal(image(edited("object_size", sample, 5.0)), image(sample))


@pytest.mark.parametrize("place", ["anywhere", "corner"])
def test_position_is_the_literal_paste(place: str) -> None:
    mask = WHITE.fields["mask"]
    box = _masks.box("shift", mask)
    down, right = (int(word) for word in RandomStream(0, "object_position", "d", "1").words16(2))
    room = SIDE - box.height, SIDE - box.width
    goals = {
        "anywhere": (down * (room[0] + 1) // 65536, right * (room[1] + 1) // 65536),
        "corner": (room[0] * (down >= 32768), room[1] * (right >= 32768)),
    }
    for severity in (1.0, 2.5, 5.0):
        top, left = (
            round(own + (goal - own) * severity / 5)
            for own, goal in zip((box.top, box.left), goals[place], strict=True)
        )
        literal = np.full_like(image(WHITE), 255)
        object_ = image(WHITE)[box.top : box.bottom, box.left : box.right]
        literal[top : top + box.height, left : left + box.width] = object_
        result = edited("object_position", WHITE, severity, place=place)
        assert np.array_equal(image(result), literal)
        assert _masks.box("shift", result.fields["mask"])[:2] == (top, left)


def test_direction_is_the_literal_rotation() -> None:
    for severity, key in ((2.0, "a"), (5.0, "b"), (5.0, "c")):
        angle = math.radians(9 * severity) * (
            1 if RandomStream(0, "object_direction", "d", key).words16(1)[0] & 1 else -1
        )
        result = edited("object_direction", WHITE, severity, key)
        literal = turned(image(WHITE), angle, middle(WHITE), middle(result))
        far = np.abs(image(result).astype(float) - literal)
        assert far.mean() < 0.15
        assert math.degrees(lean(result) - lean(WHITE) - angle) == pytest.approx(0, abs=0.7)


def test_a_uniform_direction_is_uniform() -> None:
    """What ImageNet-E calls a random direction: from -45 to 45 degrees, not always 45."""
    angles = []
    for key in map(str, range(48)):
        result = edited("object_direction", WHITE, 5.0, key, angle="uniform")
        turn = (lean(result) - lean(WHITE) + math.pi / 2) % math.pi - math.pi / 2
        word = int(RandomStream(0, "object_direction", "d", key).words16(1)[0])
        assert math.degrees(turn) == pytest.approx(45 * ((2 * word + 1) / 65536 - 1), abs=0.7)
        angles.append(math.degrees(turn) / 90 + 0.5)
    assert scipy.stats.kstest(angles, "uniform").pvalue > 0.01
    with pytest.raises(ParamsError, match="angle is 'any'; allowed are end and uniform"):
        edited("object_direction", WHITE, 3.0, angle="any")


def middle(sample: Sample) -> tuple[float, float]:
    """Return the centre of mass of the mask: of an oval, what it is turned about."""
    mask = sample.fields["mask"].astype(float)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    return float((y * mask).sum() / mask.sum()), float((x * mask).sum() / mask.sum())


def lean(sample: Sample) -> float:
    """Return the direction of the mask's longer axis, in radians."""
    mask = sample.fields["mask"].astype(float)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(float)
    y, x = y - middle(sample)[0], x - middle(sample)[1]
    long = 0.5 * math.atan2(2 * (x * y * mask).sum(), ((x * x - y * y) * mask).sum())
    return long % math.pi


def turned(pixels: np.ndarray, angle: float, old: tuple[float, float], new: tuple[float, float]) -> np.ndarray:
    """Turn about a point, pixel by pixel, bilinear; white outside."""
    result = np.full(pixels.shape, 255.0)
    for row in range(SIDE):
        for column in range(SIDE):
            y, x = row - new[0], column - new[1]
            at_y = old[0] - x * math.sin(angle) + y * math.cos(angle)
            at_x = old[1] + x * math.cos(angle) + y * math.sin(angle)
            top, left = math.floor(at_y), math.floor(at_x)
            if 0 <= top < SIDE - 1 and 0 <= left < SIDE - 1:
                v, u = at_y - top, at_x - left
                four = pixels[top : top + 2, left : left + 2].astype(float)
                rows = four[0] * (1 - v) + four[1] * v
                result[row, column] = rows[0] * (1 - u) + rows[1] * u
    return result


def test_long_object_is_made_to_fit_when_turned() -> None:
    bar = cut_out(np.full((40, 90, 3), 255, np.uint8), oval(40, 90, 0.2, 0.36))
    result = edited("object_direction", bar, 5.0)
    box = _masks.box("shift", result.fields["mask"])
    assert box.height >= 36
    assert _masks.rate(result.fields["mask"]) < _masks.rate(bar.fields["mask"])


@pytest.mark.parametrize("name", ["object_position", "object_direction"])
def test_object_can_be_made_smaller_first(name: str) -> None:
    result = edited(name, WHITE, 3.0, size=0.1)
    assert _masks.rate(result.fields["mask"]) == pytest.approx(0.1, abs=0.015)
    with pytest.raises(ParamsError, match=f"{name}: size is -1; allowed are 0 .as it is. to 1"):
        edited(name, WHITE, 3.0, size=-1.0)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OBJECTS, "background_replaced", "background_complexity"])
def test_sample_that_does_not_fit_is_refused(name: str) -> None:
    pixels = picture(20, 30, 3)
    with pytest.raises(DataError, match=f"1: no field 'mask', which the shift '{name}' .*twelve_"):
        edited(name, Sample("1", {"image": pixels}), 2.0)
    for mask in (np.zeros((30, 20), np.uint8), np.zeros((20, 30), np.float32)):
        with pytest.raises(DataError, match=r"the mask is .*; expected uint8 \(20, 30\)"):
            edited(name, Sample("1", {"image": pixels, "mask": mask}), 2.0)
    empty = Sample("1", {"image": pixels, "mask": np.zeros((20, 30), np.uint8)})
    if name in OBJECTS:
        with pytest.raises(DataError, match=f"'{name}': the mask shows no object .*value is 0"):
            edited(name, empty, 2.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("background_replaced", {"photos": "third"}, "photos is 'third'; allowed are all, first"),
        ("background_complexity", {"way": "left"}, "way is 'left'; allowed are up and down"),
        ("background_complexity", {"texture": "x"}, "texture is 'x'; allowed are photo and own"),
        ("object_position", {"place": "x"}, "place is 'x'; allowed are anywhere and corner"),
    ],
)
def test_wrong_option_is_refused(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        edited(name, WHITE, 2.0, **options)


def test_missing_originals_are_told(tmp_path: Path) -> None:
    rng = RandomStream(0, "x", "d", "1")
    background = registry.find("shifts", "background_replaced")
    with pytest.raises(DataError, match="not there; run `shiftbench fetch background_photos`"):
        background.apply(WHITE, 2.0, rng, sources={})
    with pytest.raises(DataError, match="cannot be read .* `shiftbench fetch background_photos` a"):
        background.apply(WHITE, 2.0, rng, sources={_backgrounds.SOURCE: tmp_path})
    stamps = registry.find("shifts", "occlusion_stamps")
    with pytest.raises(DataError, match="not there; run `shiftbench fetch tuxpaint_stamps`"):
        stamps.apply(picture(9, 9), 2.0, rng, sources={})
    with pytest.raises(DataError, match="cannot be read .* `shiftbench fetch tuxpaint_stamps` aga"):
        stamps.apply(picture(9, 9), 2.0, rng, sources={_cutouts.SOURCE: tmp_path})


def test_photos_are_needed_only_for_their_texture() -> None:
    shift = registry.find("shifts", "background_complexity")
    assert [ref.name for ref in shift.needs(defaults(shift))] == ["background_photos"]
    assert shift.needs({**defaults(shift), "way": "down"}) == []
    assert shift.needs({**defaults(shift), "texture": "own"}) == []
    assert edited("background_complexity", SCENE, 2.0, way="down").key == SCENE.key


def test_tall_picture_is_resized_the_same_by_every_pillow() -> None:
    tall = Image.fromarray(picture(300, 90, 3))
    found = [resize(tall, 30, 90).tobytes(), resize_array(np.asarray(tall), 30, 90).tobytes()]
    assert {hashlib.sha256(pixels).hexdigest()[:16] for pixels in found} == {"7a792c0b09a6182f"}
