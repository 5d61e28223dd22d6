"""Silhouette: the object fades into one grey and all around it into another, so that the outline alone is left.

Source: Geirhos et al. 2019, https://arxiv.org/abs/1811.12231 (black on white), which Chen, Agarwal and Nguyen 2020,
arXiv:2006.09373, test with. The object is the sample's mask, or, without one, what is brighter than `edge`, as of
pictures on black. Levels are the share of the silhouette in the mixture, ours. Takes no random words.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks
from shiftbench.systems.shape_bias_robust_cnns.shifts._blend import blend

FIELD = None
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE


def apply(
    value: Sample,
    severity: float,
    rng: RandomStream,
    *,
    inside: Annotated[int, Field(ge=0, le=255, description="grey level of the object")] = 0,
    outside: Annotated[int, Field(ge=0, le=255, description="grey level around it")] = 255,
    edge: Annotated[
        int, Field(ge=0, le=255, description="grey level above which pixels are the object, without a mask")
    ] = 20,
) -> Sample:
    """The sample with an image mixed with its silhouette, uint8 (h, w) or (h, w, 3).

    Args:
        value: `image`, and perhaps `mask`.
        severity: 0 to 5.
        rng: not used.
        inside: grey level of the object.
        outside: grey level around it.
        edge: what is brighter is the object, where there is no mask.

    Raises:
        RangeError: severity outside 0 to 5.
        ParamsError: a level that is none.
        DataError: no image, or a mask of another size or type.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if not all(0 <= level <= 255 for level in (inside, outside, edge)):
        raise ParamsError(
            f"silhouette: inside {inside}, outside {outside} and edge {edge}; expected levels of 0 to 255"
        )
    silhouette = np.where(object_of(value, edge), inside, outside).astype(np.uint8)
    return value.with_field("image", blend(value.fields["image"], silhouette, share))


def object_of(sample: Sample, edge: int) -> NDArray[np.bool_]:
    """Mask of the object, bool (h, w).

    Raises:
        DataError: no image, or a mask of another size or type.
    """
    if "mask" in sample.fields or "image" not in sample.fields:
        masked: NDArray[np.bool_] = _masks.fields(__name__, sample)[1] >= _masks.VISIBLE
        return masked
    image = sample.fields["image"]
    brightest: NDArray[np.bool_] = (image.max(axis=2) if image.ndim == 3 else image) > edge
    return brightest
