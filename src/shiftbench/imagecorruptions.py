"""For users of the package `imagecorruptions`: change the import, nothing else.

    from shiftbench.imagecorruptions import corrupt, get_corruption_names

The nineteen corruptions with the package's constants, in its order, for images of any size: sizes in pixels are as
published, whatever the image's (`scale: none`), where shiftbench's shifts scale them with it. (They are ImageNet-C's
but for elastic_transform, for which the package has its own, and frost, where it draws from six images instead of
five.)
Differs: the noise of an image follows from its pixels and `seed`, so that a call can be repeated and no
global generator is touched (there every call draws anew); a grey image (h, w) still comes back as
(h, w, 3). Errors are of the package's classes and of shiftbench's, with shiftbench's messages.
The distance of each corruption to that package's is in docs/shifts.md.

Source: Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261, and Michaelis et al. 2019,
https://arxiv.org/abs/1907.07484 (the package).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.data import codecs
from shiftbench.evaluation.corruption import content_key
from shiftbench.evaluation.corruption import corrupt as shifted

NAMES = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
)
PLAIN = {"scale": "none"}
OPTIONS = {
    **dict.fromkeys(("defocus_blur", "glass_blur", "motion_blur", "gaussian_blur"), PLAIN),
    **dict.fromkeys(("snow", "spatter"), PLAIN),
    "elastic_transform": {**PLAIN, "profile": "continuous"},
    "frost": {**PLAIN, "texture": "photo6"},
    "pixelate": {"enlarge": "nearest"},
}
"""Sizes as published; and where the package's constants, images and filters are not ImageNet-C's."""
SUBSETS = {
    "common": NAMES[:15],
    "validation": NAMES[15:],
    "all": NAMES,
    "noise": NAMES[:3],
    "blur": NAMES[3:7],
    "weather": NAMES[7:11],
    "digital": NAMES[11:15],
}


class ImageError(DataError, AttributeError):
    """No uint8 image; the package raises AttributeError."""


class SeverityError(RangeError, AttributeError):
    """A severity other than 1, 2, 3, 4 and 5; the package raises AttributeError."""


class ChoiceError(ParamsError, ValueError):
    """No subset of this name, or no corruption given; the package raises ValueError."""


class UnknownNameError(ParamsError, KeyError):
    """No corruption of this name; the package raises KeyError."""

    __str__ = Exception.__str__  # that of KeyError writes quotes around the message


class NumberError(ParamsError, IndexError):
    """No corruption of this number; the package raises IndexError."""


def get_corruption_names(subset: str = "common") -> list[str]:
    """Return the names of `common`, `validation`, `all`, `noise`, `blur`, `weather` or `digital`.

    Raises:
        ChoiceError: no such subset.
    """
    if subset not in SUBSETS:
        raise ChoiceError(f"no subset {subset!r}; {suggest(subset, SUBSETS)}")
    return list(SUBSETS[subset])


def corrupt(
    image: NDArray[np.uint8],
    severity: int = 1,
    corruption_name: str | None = None,
    corruption_number: int = -1,
    *,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Return a corrupted copy of an image, uint8 (h, w, 3).

    Args:
        image: uint8 (h, w), (h, w, 1) or (h, w, 3), RGB; of any size.
        severity: 1 to 5.
        corruption_name: one of `get_corruption_names("all")`.
        corruption_number: its position in that list, where no name is given.
        seed: another seed draws other noise for the same image.

    Raises:
        ImageError: not a uint8 image.
        SeverityError: a severity other than 1, 2, 3, 4 and 5.
        UnknownNameError, NumberError: no such corruption.
        ChoiceError: no corruption given.

    Example:
        >>> corrupt(np.zeros((32, 32, 3), dtype=np.uint8), 3, "fog").shape
        (32, 32, 3)
    """
    name = _name(corruption_name, corruption_number)
    if severity not in (1, 2, 3, 4, 5):
        raise SeverityError(f"severity is {severity!r}; expected 1, 2, 3, 4 or 5")
    colour = _colour(image)
    key, options = content_key(colour), OPTIONS.get(name, {})
    result: NDArray[np.uint8] = shifted(colour, name, float(severity), seed, key, **options)
    return result


def _name(name: str | None, number: int) -> str:
    if name is None and number == -1:
        raise ChoiceError("give corruption_name or corruption_number")
    if name is None:
        if not 0 <= number < len(NAMES):
            raise NumberError(f"corruption_number is {number}; allowed are 0 to {len(NAMES) - 1}")
        return NAMES[number]
    if name not in NAMES:
        raise UnknownNameError(f"no corruption {name!r}; {suggest(name, NAMES)}")
    return name


def _colour(image: object) -> NDArray[np.uint8]:
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    try:
        checked = codecs.image(image)
    except DataError as error:
        raise ImageError(str(error)) from None
    return np.repeat(checked[..., None], 3, axis=2) if checked.ndim == 2 else checked
