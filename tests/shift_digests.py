"""Digests of what every shift and encoder makes; run as a script, it prints them as JSON.

The script is run under emulated CPUs as well, so it imports no more than it needs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import cv2
import numpy as np

from shiftbench import codecs, plugins, rng

TEXT = "The quick brown Fox didn't jump over 13 lazy dogs. Très bien, Straße!"
SEVERITIES = (0.4, 1.0, 2.5, 3.0, 4.0, 5.0)


def picture(*shape: int) -> np.ndarray:
    """Return a smooth picture with edges and some texture, from integers only."""
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width]
    base = (255 * y) // height + 64 * ((x * 5 // width) % 2) + (x * x + 3 * x * y) % 13
    layers = np.stack([base, 255 - base // 2, (x * 255) // width + (y * y) % 7], axis=-1)
    pixels: np.ndarray = np.clip(layers, 0, 255).astype(np.uint8)
    return pixels if len(shape) == 3 else pixels[..., 0].copy()


PICTURES = (picture(28, 28), picture(33, 57, 3), picture(224, 224, 3))


def applied() -> list[str]:
    """Return the names of all shifts that can be applied (that are no domain shifts)."""
    names = plugins.names("shifts")
    return [name for name in names if not hasattr(plugins.find("shifts", name), "DOMAIN")]


def values(field: str | None) -> tuple[Any, ...]:
    """Return what a shift of `field` is tried on."""
    return (TEXT,) if field == "text" else PICTURES


def shift_digest(name: str) -> str:
    """Return one digest over all inputs and severities of a shift."""
    module = plugins.find("shifts", name)
    state = hashlib.sha256()
    for number, value in enumerate(values(module.FIELD)):
        for severity in SEVERITIES if module.LEVELS else (0.0,):
            words = rng.Words(0, name, "golden", str(number))
            state.update(codecs.pixel_digest(module.apply(value, severity, words)).encode())
    return state.hexdigest()[:32]


def encoder_digest() -> str:
    """Return a digest of the PNG bytes of clean and noisy pictures."""
    noise = plugins.find("shifts", "gaussian_noise")
    state = hashlib.sha256()
    for value in PICTURES:
        state.update(codecs.encode("png", value))
        noisy = noise.apply(value, 3.0, rng.Words(0, "gaussian_noise", "golden", "png"))
        state.update(codecs.encode("png", noisy))
    return state.hexdigest()[:32]


def table_digest() -> str:
    """Return a digest of the random tables."""
    state = hashlib.sha256(rng.normal_table().astype("<i4").tobytes())
    for rate in (0.01, 1.0, 3.7, 60.0, 1000.0):
        state.update(rng.poisson_table(rate).astype("<i8").tobytes())
    return state.hexdigest()[:32]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    digests = {name: shift_digest(name) for name in applied()}
    others = {"png": encoder_digest(), "tables": table_digest()}
    sys.stdout.write(json.dumps({**digests, **others}))
