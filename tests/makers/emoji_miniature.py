"""Sources of MMDT's scenes, laid out like the originals: sixteen shapes in place of emoji, and photos of ours."""

from pathlib import Path

import numpy as np
from PIL import Image

from shiftbench.contracts import shift_digests
from shiftbench.systems.mmdt.datasets import _pictures, _words


def sources(folder: Path) -> dict[str, Path]:
    """Write the emoji below a folder; return where all sources lie."""
    place = folder / _pictures.EMOJI
    (place / "img/twitter/64").mkdir(parents=True)
    y, x = np.mgrid[:64, :64]
    for number, file in enumerate(_words.KINDS.values()):
        stripes = ((x * (1 + number % 4) + y * (number // 4)) // 16 % 2)[..., None]
        colours = np.where(stripes, [40 * (number % 7), 200, 60], [230, 20 * number % 256, 90])
        cover = (x - 32) ** 2 + (y - 32) ** 2 < 30**2
        rgba = np.concatenate([colours, 255 * cover[..., None]], axis=2).astype(np.uint8)
        Image.fromarray(rgba).save(place / "img/twitter/64" / f"{file}.png")
    return {**shift_digests.originals(), _pictures.EMOJI: place}
