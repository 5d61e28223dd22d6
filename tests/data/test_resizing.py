"""Images of another size: the same bytes whichever way Pillow goes first."""

import numpy as np
import pytest
from PIL import Image

from shiftbench.contracts.shift_digests import disk, picture
from shiftbench.data import codecs
from shiftbench.data.resizing import resize, resize_array


@pytest.mark.parametrize("size", [(40, 150), (150, 40)])
def test_one_way_after_the_other(size: tuple[int, int]) -> None:
    """As Pillow's own within a rounding; the digests were the same under Pillow 11.0 and 13.0."""
    tall = picture(*size, 3)
    ours = resize_array(tall, 33, 21)
    pillows = np.asarray(Image.fromarray(tall).resize((33, 21), Image.Resampling.BILINEAR))
    assert np.abs(ours.astype(int) - pillows).max() <= 1
    known = {(40, 150): "a8fcc2036eec3736", (150, 40): "3ce490b29aa86f16"}
    assert codecs.pixel_digest(ours)[:16] == known[size]


def test_what_is_transparent_does_not_shine_through() -> None:
    cut_out = Image.fromarray(np.full((90, 30, 3), 200, np.uint8))
    cut_out.putalpha(Image.fromarray(disk(90, 30)))
    small = np.asarray(resize(cut_out, 10, 31))
    assert np.abs(small[..., :3][small[..., 3] > 20].astype(int) - 200).max() <= 6
