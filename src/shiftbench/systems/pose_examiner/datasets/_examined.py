"""The bodies that are examined: a prior of poses and pictures of them; helper of PoseExaminer's data sets and search.

A pose is the sixteen angles of a body (`datasets/_bodies.py`), in radians. The prior stands for VPoser: the principal
components of plausible poses (`_bodies.drawn`, spread 0.5) in `prior.json`, in degrees, each as long as poses deviate
along it; a latent of 16 standard normal coordinates is decoded as mean + sum of z_k axis_k, brought to the joints'
limits. A pose whose latent has more than 2 of 16 coordinates beyond |2| is implausible (in the paper more than 5 of
32).

A body is turned to the camera, as in the paper (no global rotation), on white or, for fine-tuning, on pieces of
photos, turned about its axes by up to `TILT` (the release tilts the camera up by as much).

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`render_pose.py`, `train_advTraining.py`); the prior is ours.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _bodies, capsule_bodies

Floats = NDArray[np.float64]
ASSETS = ("prior.json",)
BOUND, BEYOND = 2.0, 2
"""Of a latent's coordinates, and how many may lie beyond."""
SPREAD = 0.5
TILT = 9.0
"""Degrees, 0.05 pi."""
DEGREE = math.pi / 180
LOW, HIGH = (np.array([_bodies.LIMITS[name][end] for name in _bodies.ANGLES]) * DEGREE for end in (0, 1))
DIMS = len(_bodies.ANGLES)
WHITE = 255


@cache
def prior() -> tuple[Floats, Floats]:
    """The mean pose (16,) and the axes (16, 16), one a row, in radians."""
    asset = json.loads(Path(__file__).with_name(ASSETS[0]).read_text())
    return np.array(asset["mean"]) * DEGREE, np.array(asset["axes"]) * DEGREE


def decode(latent: Floats) -> Floats:
    """The pose of a latent (16,), float64 (16,), within the joints' limits."""
    mean, axes = prior()
    pose = mean.copy()
    for value, axis in zip(latent, axes, strict=True):  # single operations: the same on every CPU
        pose += value * axis
    return np.clip(pose, LOW, HIGH)


def encode(poses: Floats) -> Floats:
    """The latents of poses (n, 16), float64 (n, 16)."""
    mean, axes = prior()
    latents: Floats = np.linalg.solve(axes.T, (poses - mean).T).T  # type: ignore[assignment]
    return latents


def plausible(poses: Floats) -> NDArray[np.bool_]:
    """Whether the prior accepts each of poses (n, 16)."""
    mask: NDArray[np.bool_] = (np.abs(encode(poses)) > BOUND).sum(axis=1) <= BEYOND
    return mask


def from_prior(words: RandomStream) -> Floats:
    """A random pose of the prior, its latent brought to |2|."""
    return decode(np.clip(words.normal(DIMS).astype(np.float64), -BOUND, BOUND))


def body(pose: Floats, **appearance: Any) -> _bodies.Body:
    """The body of a pose."""
    degrees = np.clip(pose, LOW, HIGH) / DEGREE
    return _bodies.Body(dict(zip(_bodies.ANGLES, degrees.tolist(), strict=True)), **appearance)


def plain(key: str, pose: Floats, size: tuple[int, int], share: float) -> Sample:
    """The picture (h, w) of a pose on white, as the search sees it."""
    figure = body(pose)
    ground = np.full((*size, 3), WHITE, dtype=np.uint8)
    rendered = _bodies.render(figure, _bodies.fitted(figure, *size, share), ground)
    return Sample(key, {"image": rendered.image, "poses": [rendered.pose]})


def on_photo(key: str, pose: Floats, split: str, sources: dict[str, Path], params: dict[str, Any]) -> Sample:
    """The picture of a pose on a piece of a photo, in random colours, turned a little.

    Args:
        key: of the sample, which decides what is drawn.
        pose: float64 (16,).
        split: whose photos.
        sources: where the photos are.
        params: options of `capsule_bodies`.
    """
    words = RandomStream(0, "body", "pose_examiner", key)
    looks = _bodies.drawn(words, 0.0, TILT, TILT)
    one = body(pose, yaw=looks.yaw, roll=looks.roll, colours=looks.colours, girth=looks.girth)
    return capsule_bodies.sample(key, one, words, sources, params[f"{split}_photos"], params)
