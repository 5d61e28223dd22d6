"""Small WebP pictures for pages: small pictures without loss, larger ones shrunk and with little loss."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EXACT = 64
"""The longest side, in pixels, of a picture that is kept as it is: each of its pixels can be seen."""


def webp(pixels: NDArray[np.uint8], side: int) -> str:
    """A picture as WebP in base64.

    Args:
        pixels: uint8 (h, w) or (h, w, 3).
        side: the longest side that a larger picture is shrunk to, in pixels.
    """
    picture = Image.fromarray(pixels).convert("RGB")
    buffer = io.BytesIO()
    if max(picture.size) <= EXACT:
        picture.save(buffer, "WEBP", lossless=True, method=4, quality=50)
    else:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        picture.save(buffer, "WEBP", method=4, quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
