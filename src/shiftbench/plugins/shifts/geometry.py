"""Geometry: an image is turned, scaled, leaned, moved or tilted as a whole.

Each shift reads the image bilinearly in integers, so that its bytes are the same on every CPU. Images are uint8 (h, w)
or (h, w, 3).
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _geometry, _levels, _warp
from shiftbench.plugins.shifts._geometry import ONE, Pixels

Border = Annotated[Literal["reflect", "replicate", "constant"], Field(description="what lies outside of the image")]
Fill = Annotated[int, Field(ge=0, le=255, description="grey level of what lies outside under `border: constant`")]


@declare.image_shift(_levels.Linear((6.0, 12.0, 18.0, 24.0, 30.0), zero=0.0), moves=True, title="Rotation")
def rotate(image: Pixels, degrees: float, rng: RandomStream, *, border: Border = "reflect", fill: Fill = 0) -> Pixels:
    """Rotate: the image is turned about its middle, to the left or to the right.

    Source: Engstrom et al. 2019, "Exploring the Landscape of Spatial Robustness", https://arxiv.org/abs/1712.02779,
    whose rotations go up to 30 degrees, as AugMix's do (Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781);
    ImageNet-P turns by up to 15. Levels are degrees: five equal steps (ours) to 30. Differs: the angle is the level's,
    only its sign is drawn; bilinear in integers; outside of the image lies its mirror image (`border: constant` fills
    with `fill`, as they do with black).

    Takes one 16-bit word (the sign).
    """
    return _geometry.affine(image, _geometry.rotation(degrees, _geometry.sign(rng)), border, fill)


@declare.image_shift(_levels.Direct(_geometry.DEGREES), moves=True, title="Rotation in degrees")
def rotate_degrees(
    image: Pixels, degrees: float, rng: RandomStream, *, border: Border = "constant", fill: Fill = 0
) -> Pixels:
    """Rotation by as many degrees as the severity says, to the left: a drift whose strength is an angle.

    Source: the turning test sets of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness", ICLR 2019
    (https://arxiv.org/abs/1903.12261), section 3 (ImageNet-P), here with the angle as severity, 0 to 180. Differs from
    `rotate`: the angle is no level, the side is not drawn, and what lies outside is black (`border: constant`), as the
    background of silhouettes and clothes is. Every angle goes through the same bilinear resampler, 0 included, which
    gives the image back unchanged.

    Takes no random words.
    """
    return _geometry.affine(image, _geometry.rotation(degrees, 1), border, fill)


@declare.image_shift(_levels.Linear((1.15, 1.3, 1.5, 1.75, 2.0), zero=1.0), moves=True)
def scale(image: Pixels, factor: float, rng: RandomStream, *, border: Border = "reflect", fill: Fill = 0) -> Pixels:
    """Scale: the image is seen from nearer or from farther away.

    Source: ImageNet-P (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261), whose `scale` goes from
    0.4 to 1.15 times the size in `make_imagenet_p.py`, a factor of 2.5 away; Azulay & Weiss 2019,
    https://arxiv.org/abs/1805.12177, on what small ones do. Levels are factors (ours), up to half or double the size.
    Differs: the factor is the level's, nearer or farther is drawn; bilinear in integers without smoothing before, as
    there; outside of the image lies its mirror image (`border: constant` fills with `fill`).

    Takes one 16-bit word (nearer or farther).
    """
    step = round((1 / factor if _geometry.sign(rng) > 0 else factor) * ONE)
    return _geometry.affine(image, ((step, 0), (0, step)), border, fill)


@declare.image_shift(_levels.Linear((0.06, 0.12, 0.18, 0.24, 0.3), zero=0.0), moves=True)
def shear(image: Pixels, slope: float, rng: RandomStream, *, border: Border = "reflect", fill: Fill = 0) -> Pixels:
    """Shear: rows slide past each other, or columns, as in a leaning letter.

    Source: AugMix (Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781), whose shears go up to a slope of 0.3;
    ImageNet-P's go up to 15 degrees, a slope of 0.27 (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261).
    Levels are slopes: five equal steps (ours) to 0.3. Differs: about the image's middle; the slope is the level's,
    which sides lean and to where is drawn; bilinear in integers; outside of the image lies its mirror image
    (`border: constant` fills with `fill`).

    Takes two 16-bit words (rows or columns, the sign).
    """
    rows, back = rng.uniform(2) < 0.5
    lean = round((-slope if back else slope) * ONE)
    return _geometry.affine(image, ((ONE, lean), (0, ONE)) if rows else ((ONE, 0), (lean, ONE)), border, fill)


@declare.image_shift(_levels.Linear((12.0, 24.0, 36.0, 48.0, 60.0), zero=0.0), moves=True)
def translate(
    image: Pixels, distance: float, rng: RandomStream, *, border: Border = "reflect", fill: Fill = 0
) -> Pixels:
    """Translate: the image is moved in one direction.

    Source: Engstrom et al. 2019, "Exploring the Landscape of Spatial Robustness", https://arxiv.org/abs/1712.02779,
    whose translations of ImageNet go up to 24 of 224 px; AugMix's go up to a third of the side (Hendrycks et al. 2020,
    https://arxiv.org/abs/1912.02781). Levels are pixels of a 224 px image: steps of 12 (ours), so that level 2 is
    Engstrom's limit and level 5 lies below AugMix's. Differs: the distance is the level's and scales with
    min(h, w) / 224, the direction is drawn from the circle; bilinear in integers; outside of the image lies its mirror
    image (`border: constant` fills with `fill`).

    Takes one 16-bit word (the direction).
    """
    length = distance * _levels.scale(image.shape)
    right, down = (round(length * part / _warp.ONE) for part in _geometry.unit(360 * float(rng.uniform())))
    columns, rows = (np.arange(size, dtype=np.int32) * _warp.ONE for size in image.shape[1::-1])
    across, along = np.broadcast_arrays(columns - right, (rows - down)[:, None])
    return _geometry.read(image, across, along, border, fill)


@declare.image_shift(_levels.Linear((7.0, 14.0, 21.0, 28.0, 35.0), zero=0.0), moves=True)
def perspective(
    image: Pixels, degrees: float, rng: RandomStream, *, border: Border = "reflect", fill: Fill = 0
) -> Pixels:
    """Perspective: the image is tilted in space, about a line through its middle.

    Source: the `tilt` of ImageNet-P (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261;
    `make_imagenet_p.py`): the image as a plane at a distance of its own diagonal from a pinhole, turned by up
    to 15 degrees about both axes, 21 together. Levels are degrees: steps of 7 (ours), so that level 3 is that
    limit. Differs: about one line, whose direction is drawn from the circle; bilinear in integers; outside of
    the image lies its mirror image (`border: constant` fills with `fill`).

    Takes one 16-bit word (the direction). Floats: float64 sums, products and quotients of single numbers.
    """
    places = _geometry.tilted_places(image.shape, degrees, 360 * float(rng.uniform()))
    return _geometry.read(image, *places, border, fill)
