"""Tiny-ImageNet as it is unpacked: 200 synsets out of order, of which some hold pictures; renditions of 62."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SYNSETS = tuple(f"n{number:08d}" for number in range(200))
UNSORTED = SYNSETS[1:] + SYNSETS[:1]


def picture(path: Path, seed: int) -> None:
    """Write a picture of 64 px."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def tiny_imagenet(tmp: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """Return no sources, and where the miniature lies."""
    root, lines = tmp / "tiny-imagenet-200", []
    root.mkdir()
    (root / "wnids.txt").write_text("\n".join(UNSORTED) + "\n")
    for at, synset in enumerate(UNSORTED[::10]):
        for number in range(2):
            picture(root / "train" / synset / "images" / f"{synset}_{number}.JPEG", 2 * at + number)
        picture(root / "val" / "images" / f"val_{at}.JPEG", 1000 + at)
        lines.append(f"val_{at}.JPEG\t{synset}\t0\t0\t62\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return {}, {"root": str(root)}


def renditions(tmp: Path) -> dict[str, Any]:
    """Return the options of 62 folders with a picture each."""
    for at, synset in enumerate(SYNSETS[1:125:2]):
        picture(tmp / "tiny-imagenet-r" / synset / "art_0.jpg", 2000 + at)
    return {"root": str(tmp / "tiny-imagenet-r"), "renditions": True}
