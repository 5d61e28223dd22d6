"""Errors of predicted joints: OKS, distances relative to the torso, and mean errors in space.

Source: OKS, Lin et al. 2014, arXiv:1405.0312, and pycocotools 2.0.11, `COCOeval.computeOks` (equal, tested); MPJPE,
Ionescu et al. 2014, Human3.6M, doi:10.1109/TPAMI.2013.248 (both poses are centred on the middle of the hips); PA-MPJPE,
the same after the similarity that brings the prediction nearest, Gower 1975 and Umeyama 1991,
doi:10.1109/34.88573.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_EPS = np.spacing(1)
TORSO = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))


def oks(predicted: Floats, true: Floats, areas: Floats, xywh: Floats, sigmas: Floats) -> Floats:
    """Object keypoint similarity of each prediction and each person, 0 to 1, float64 (p, g).

    Of a person without a labelled joint it is how near the predicted joints are to a box twice as wide and high.

    Args:
        predicted: x, y, (p, K, 2).
        true: x, y, v, (g, K, 3); joints with v of 0 do not count.
        areas: (g,) in pixels.
        xywh: boxes, (g, 4).
        sigmas: of the joints, (K,).
    """
    result = np.zeros((len(predicted), len(true)))
    variances = (2 * sigmas) ** 2
    for j, (person, area, box) in enumerate(zip(true, areas, xywh, strict=True)):
        counts = person[:, 2] > 0
        if counts.any():
            offsets = predicted[:, counts] - person[counts, :2]
        else:
            low, high = box[:2] - box[2:], box[:2] + 2 * box[2:]
            offsets = np.maximum(0, low - predicted) + np.maximum(0, predicted - high)
            counts[:] = True
        squares = (offsets**2).sum(axis=2) / variances[counts] / (area + _EPS) / 2
        result[:, j] = np.exp(-squares).mean(axis=1) if counts.any() else 0
    return result


def torso(joints: Floats, names: Sequence[str]) -> float:
    """Longer of the diagonals from a shoulder to the other hip, in pixels; NaN where none is labelled."""
    index = {name: place for place, name in enumerate(names)}
    lengths = [
        float(np.hypot(*(joints[index[a], :2] - joints[index[b], :2])))
        for a, b in TORSO
        if a in index and b in index and joints[index[a], 2] and joints[index[b], 2]
    ]
    return max(lengths, default=np.nan) or np.nan


def mpjpe(predicted: Floats, true: Floats, names: Sequence[str]) -> float:
    """Mean distance of joints of two poses that are centred on the middle of their hips, in units of the joints.

    Args:
        predicted: (K, d).
        true: (K, d).
        names: of the joints; without hips, poses are centred on the mean of all joints.
    """
    hips = [place for place, name in enumerate(names) if name in ("left_hip", "right_hip")]
    root = hips if len(hips) == 2 else list(range(len(names)))
    offsets = (predicted - predicted[root].mean(axis=0)) - (true - true[root].mean(axis=0))
    return float(np.linalg.norm(offsets, axis=1).mean())


def pa_mpjpe(predicted: Floats, true: Floats) -> float:
    """Mean distance of joints after the rotation, scale and translation that bring `predicted` nearest to `true`."""
    return float(np.linalg.norm(align(predicted, true) - true, axis=1).mean())


def align(points: Floats, target: Floats) -> Floats:
    """Points (K, d) after the similarity, without mirroring, that is nearest to `target` in squares."""
    centred = points - points.mean(axis=0)
    centred_target = target - target.mean(axis=0)
    u, values, v = np.linalg.svd(centred.T @ centred_target)
    signs = np.ones(len(values))
    signs[-1] = np.sign(np.linalg.det(u @ v)) or 1.0
    spread = float((centred**2).sum())
    scale = float((values * signs).sum()) / spread if spread else 1.0
    aligned: Floats = scale * centred @ (u * signs) @ v + target.mean(axis=0)
    return aligned
