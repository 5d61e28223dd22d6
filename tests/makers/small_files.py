"""Pictures and archives that originals in small are made of."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Made = tuple[dict[str, Path], dict[str, Any]]
"""Sources (name -> folder) and options."""


def picture(seed: int, size: tuple[int, int] = (12, 9)) -> Image.Image:
    """Return an image of noise, `size` being width and height."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """Return the bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    """Write an archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def listed(root: Path, file: str, images: str, rows: list[tuple[str, int]], first: int) -> None:
    """Write a list of images (path, label) and the images, which no other `first` has."""
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("".join(f"{path} {label}\n" for path, label in rows))
    for at, (path, _) in enumerate(rows):
        (root / images / path).parent.mkdir(parents=True, exist_ok=True)
        picture(1000 * first + at, (40, 36)).save(root / images / path)
