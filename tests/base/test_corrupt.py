"""The Python interface to the shifts: one value, or a batch of tensors."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import shiftbench
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, PluginError, RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.contracts.shift_digests import picture
from shiftbench.evaluation.corruption import Corrupt, content_key, corrupt
from shiftbench.plugins.shifts import motion_blur

IMAGE = picture(33, 57, 3)


def batch(dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    images = torch.from_numpy(np.stack([IMAGE, IMAGE[::-1]])).permute(0, 3, 1, 2)
    return images if dtype == torch.uint8 else images.to(dtype) / 255


def test_a_samples_key_gives_the_shards_bytes() -> None:
    key = "mnist/test/000001"
    rng = RandomStream(3, "fog", "mnist", key)
    expected = registry.find("shifts", "fog").apply(IMAGE, 2.0, rng)
    assert np.array_equal(corrupt(IMAGE, "fog", severity=2.0, seed=3, key=key), expected)


def test_defaults_seeds_keys_and_options_count() -> None:
    results = [
        corrupt(IMAGE, "occlusion"),
        corrupt(IMAGE, "occlusion", severity=2.0),
        corrupt(IMAGE, "occlusion", seed=1),
        corrupt(IMAGE, "occlusion", key="b"),
        corrupt(IMAGE, "occlusion", fill=0),
        corrupt(IMAGE, "occlusion", kind="bars"),
    ]
    assert len({result.tobytes() for result in results}) == len(results)
    assert np.array_equal(results[0], corrupt(IMAGE, "occlusion", severity=3, seed=0, key=content_key(IMAGE)))


def test_identity_is_a_copy() -> None:
    same = corrupt(IMAGE, "identity", severity=0)
    assert np.array_equal(same, IMAGE)
    assert not np.shares_memory(same, IMAGE)


@pytest.mark.parametrize("image", [IMAGE, IMAGE[..., 0]])
def test_jpeg_is_what_pillow_makes(image: np.ndarray) -> None:
    """ImageNet-C was made with Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=15)
    with Image.open(buffer) as opened:
        assert np.array_equal(corrupt(image, "jpeg_compression", severity=3), np.asarray(opened))


@pytest.mark.parametrize("level", [1, 3, 5])
def test_motion_blur_is_near_the_published_kernel(level: int) -> None:
    """The float kernel of ImageNet-C along the same line, at 224 px, where no size is scaled."""
    photo = picture(224, 224, 3)
    radius, sigma = (int(constant) for constant in motion_blur.LEVELS[level])
    turn = float(RandomStream(0, "motion_blur", "", "a").uniform())
    weights = np.exp(-((np.arange(2 * radius + 1) / sigma) ** 2) / 2)
    padded = np.pad(photo.astype(float), ((40, 40), (0, 40), (0, 0)), mode="edge")
    steps = motion_blur.line(turn, 2 * radius)
    seen = [padded[40 + down : 264 + down, right : right + 224] for down, right in steps]
    expected = np.tensordot(weights / weights.sum(), seen, 1)
    distance = np.abs(corrupt(photo, "motion_blur", severity=level, key="a") - expected)
    assert distance.mean() < 0.5
    assert distance.max() < 4


def test_text_is_shifted_too() -> None:
    assert corrupt("a good film", "char_noise", severity=5) != "a good film"
    assert corrupt("a good film", "identity", severity=0) == "a good film"


@pytest.mark.parametrize(
    ("value", "name", "options", "error", "message"),
    [
        (IMAGE, "foq", {}, PluginError, "did you mean fog"),
        (IMAGE, "fog", {"fil": 3}, ParamsError, "shift 'fog' has no option 'fil'"),
        (IMAGE, "occlusion", {"fil": 3}, ParamsError, "did you mean fill"),
        (IMAGE, "occlusion", {"kind": "dots"}, ParamsError, "allowed are patches and bars"),
        (IMAGE, "occlusion", {"grid": 0}, ParamsError, "grid is 0; it must be 1 or more"),
        (IMAGE, "occlusion", {"fill": 256}, ParamsError, "fill is 256; allowed are 0 to 255"),
        (IMAGE, "fog", {"severity": 6}, RangeError, "severity 6 lies outside 0 to 5"),
        (IMAGE / 255, "fog", {}, DataError, "uint8 array .* got float64"),
        ("text", "fog", {}, DataError, "uint8 array .* got str"),
        (IMAGE, "char_noise", {}, DataError, "takes a text"),
        (IMAGE, "mnist_to_digits", {}, ParamsError, r"domain shift: other data \(digits\)"),
    ],
)
def test_wrong_calls_are_told(
    value: object, name: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        corrupt(value, name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fog", "contrast", "gaussian_noise"])
def test_batch_equals_its_images(name: str) -> None:
    shifted = Corrupt(name, severity=2.0, seed=3)(batch(), ["a", "b"])
    one = corrupt(IMAGE, name, severity=2.0, seed=3, key="a")
    assert shifted.dtype == torch.uint8
    assert np.array_equal(shifted[0].permute(1, 2, 0).numpy(), one)
    alone = Corrupt(name, severity=2.0, seed=3)(batch()[1], "b")
    assert torch.equal(alone, shifted[1])


def test_batch_keeps_dtype_shape_and_input() -> None:
    images = batch(torch.float32)
    before = images.clone()
    shifted = Corrupt("fog")(images, ["a", "b"])
    assert torch.equal(images, before)
    assert (shifted.dtype, shifted.shape) == (images.dtype, images.shape)
    assert torch.equal((shifted * 255).round().to(torch.uint8), Corrupt("fog")(batch(), ["a", "b"]))
    grey = torch.zeros((0, 1, 28, 28), dtype=torch.uint8)
    assert Corrupt("fog")(grey).shape == grey.shape


def test_without_keys_the_pixels_are_the_identity() -> None:
    shift = Corrupt("gaussian_noise")
    shifted = shift(batch())
    assert torch.equal(shifted.flip(0), shift(batch().flip(0)))
    assert torch.equal(shifted[0], shift(batch()[0]))
    assert repr(shift) == "Corrupt('gaussian_noise', severity=3, seed=0)"


@pytest.mark.parametrize("name", ["gaussian_noise", "occlusion"])
def test_without_a_key_two_images_have_noise_of_their_own(name: str) -> None:
    one, other = (np.full((64, 64, 3), grey, dtype=np.uint8) for grey in (100, 101))
    noise = [corrupt(image, name).astype(int) - image for image in (one, other)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.5
    np.testing.assert_array_equal(corrupt(one, name), corrupt(one.copy(), name))
    single = Corrupt(name)(torch.from_numpy(one).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(corrupt(one, name), single)


def test_without_a_key_a_text_and_a_sound_have_their_own_changes() -> None:
    texts = ["a good film", "a good film."]
    assert corrupt(texts[0], "keyboard_typos") == corrupt(texts[0], "keyboard_typos")
    assert corrupt(texts[0], "keyboard_typos", 5.0) + "." != corrupt(texts[1], "keyboard_typos", 5.0)
    sound = np.zeros(16_000, dtype=np.int16)
    noise = [corrupt(value, "audio_noise") for value in (sound + 1000, sound + 1001)]
    assert not np.array_equal(noise[0] - 1000, noise[1] - 1001)


def test_dir_shows_the_public_functions() -> None:
    shown = {name for name in dir(shiftbench) if not name.startswith("__")}
    assert shown == {"Corrupt", "Detector", "calibrate", "corrupt", "evaluate", "ood_metrics"}


@pytest.mark.parametrize(
    ("images", "keys", "error", "message"),
    [
        (torch.zeros(3, 4, dtype=torch.uint8), None, DataError, r"\(n, c, h, w\) .* got \(3, 4\)"),
        (torch.zeros(2, 4, 5, 5), None, DataError, "c 1 or 3"),
        (torch.zeros(1, 5, 5, dtype=torch.int64), None, DataError, "got torch.int64"),
        (torch.full((1, 5, 5), 1.5), None, RangeError, "shift before normalising"),
        (torch.full((1, 5, 5), torch.nan), None, RangeError, "lie in 0 to 1"),
        (torch.zeros(2, 1, 5, 5), ["a"], DataError, "2 images need as many keys; got 1"),
    ],
)
def test_wrong_batches_are_told(
    images: torch.Tensor, keys: list[str] | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Corrupt("contrast")(images, keys)


def test_a_wrong_transform_is_told_at_once() -> None:
    with pytest.raises(RangeError, match="severity 7"):
        Corrupt("fog", severity=7)
    with pytest.raises(ParamsError, match="changes texts"):
        Corrupt("char_noise")
    with pytest.raises(ParamsError, match="allowed are patches"):
        Corrupt("occlusion", kind="dots")


def test_one_image_needs_no_torch() -> None:
    code = (
        "import sys, numpy; from shiftbench import corrupt;"
        "corrupt(numpy.zeros((9, 9), dtype=numpy.uint8), 'fog'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
