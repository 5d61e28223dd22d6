"""The interface of the package `imagecorruptions`."""

import numpy as np
import pytest

from shiftbench import corrupt as ours
from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.contracts.shift_digests import picture
from shiftbench.imagecorruptions import NAMES, corrupt, get_corruption_names

IMAGE = picture(40, 50, 3)


def test_names_stand_in_the_packages_order() -> None:
    sizes = {"common": 15, "validation": 4, "all": 19, "noise": 3, "blur": 4, "weather": 4, "digital": 4}
    assert {subset: len(get_corruption_names(subset)) for subset in sizes} == sizes
    assert get_corruption_names() == list(NAMES[:15])
    assert get_corruption_names("validation") == "speckle_noise gaussian_blur spatter saturate".split()


@pytest.mark.filterwarnings("ignore:.*frost")
@pytest.mark.parametrize("number", range(19))
def test_a_number_is_its_name(number: int) -> None:
    named = corrupt(IMAGE, corruption_name=NAMES[number], severity=2)
    assert np.array_equal(corrupt(IMAGE, 2, corruption_number=number), named)
    assert (named.dtype, named.shape) == (np.uint8, IMAGE.shape)


def test_the_image_is_the_identity() -> None:
    one = corrupt(IMAGE, 3, "gaussian_noise")
    assert np.array_equal(one, corrupt(IMAGE.copy(), 3, "gaussian_noise"))
    assert not np.array_equal(one, corrupt(IMAGE, 3, "gaussian_noise", seed=1))
    assert np.array_equal(corrupt(IMAGE, 3, "contrast"), ours(IMAGE, "contrast", 3.0))


@pytest.mark.parametrize("grey", [IMAGE[..., 0], IMAGE[..., :1]])
def test_grey_comes_back_with_three_channels(grey: np.ndarray) -> None:
    result = corrupt(grey, 1, "pixelate")
    assert result.shape == (40, 50, 3)
    assert np.array_equal(result[..., 0], result[..., 2])


@pytest.mark.parametrize(
    ("call", "error", "package_error", "message"),
    [
        (lambda: corrupt(IMAGE, 3), ParamsError, ValueError, "give corruption_name or corruption_number"),
        (lambda: corrupt(IMAGE, 3, "foq"), ParamsError, KeyError, "^no corruption 'foq'.*fog"),
        (lambda: corrupt(IMAGE, 3, corruption_number=19), ParamsError, IndexError, "allowed are 0 to 18"),
        (lambda: corrupt(IMAGE, 6, "fog"), RangeError, AttributeError, "severity is 6; expected 1, 2, 3, 4 or 5"),
        (lambda: corrupt(IMAGE / 255, 3, "fog"), DataError, AttributeError, "uint8 array"),
        (lambda: corrupt(IMAGE.tolist(), 3, "fog"), DataError, AttributeError, "uint8 array"),
        (lambda: get_corruption_names("nois"), ParamsError, ValueError, "no subset 'nois'.*noise"),
    ],
)
def test_wrong_calls_raise_the_errors_of_the_package_too(  # type: ignore[no-untyped-def]
    call, error: type[Exception], package_error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, package_error)
