"""Top-down pose networks: the crop of a person, heatmaps and joints (UDP), and the predictor around a network.

A network has `heatmaps(images) -> float32 (n, K, h, w)` for images uint8 (n, 3, H, W), `crop` (H, W), `heat` (h, w),
`sigma` of its targets in cells and `blur`, the side of the kernel that smooths its maps before joints are refined (11
fits a sigma of 2 and 5 one of 1). Coordinates of
the input and of heatmaps are those of the middles of pixels, from 0 to size - 1, and the box of a person goes from the
first to the last (the unbiased convention). In pictures the middle of the first pixel is at `middle`: 0.5 where joints
are measured from the picture's corner, 0 as MMPose reads COCO's files.

Source: Huang et al. 2020, "The Devil Is in the Details: Delving Into Unbiased Data Processing for Human Pose
Estimation", arXiv:1911.07524; MMPose as vendored in T-S-Liang/SDPose-OOD: `UDPHeatmap`, `get_udp_warp_matrix`,
`refine_keypoints_dark_udp` (Zhang et al. 2020, arXiv:1910.06278), `oks_nms`, the scores of `CocoMetric`
(`bbox_keypoint`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.data import skeletons
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxes, _images, _published
from shiftbench.plugins.models._placed import PlacedNet
from shiftbench.plugins.models._published import identity
from shiftbench.statistics import pose_errors

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
PADDING = 1.25
"""Of a box, before it is cropped."""
CONFIDENT, SAME = 0.2, 0.9
"""Confidence from which a joint counts in the score of a person; OKS from which two persons are one."""
Middle = Annotated[
    float, Field(ge=0, le=1, description="coordinate of the middle of a picture's first pixel; 0: as MMPose reads COCO")
]


class Options(declare.Options):
    flip_test: bool = Field(True, description="take the mean of the heatmaps of the picture and of its mirror image")
    middle: Middle = 0.5
    detections: str = Field(
        "", description="JSON file with boxes of persons in COCO's layout, to crop; empty: the true boxes"
    )


class Crop(NamedTuple):
    """Where an input lies in its picture.

    Attributes:
        centre: x, y in the picture.
        size: width and height in the picture, float64 (2,).
        turn: degrees by which it is turned.
    """

    centre: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    turn: float = 0.0

    @classmethod
    def around(cls, box: Sequence[float], shape: tuple[int, int]) -> Crop:
        """The padded crop of a box x, y, w, h, as wide for its height as an input (h, w)."""
        x, y, w, h = box
        aspect = shape[1] / shape[0]
        wide, high = PADDING * w, PADDING * h
        size = (wide, wide / aspect) if wide > aspect * high else (aspect * high, high)
        return cls(np.array([x + w / 2, y + h / 2]), np.array(size))

    def matrix(self, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Matrix from places in the picture to places in an input (h, w), float64 (2, 3)."""
        angle = math.radians(self.turn)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        scale = (np.array(shape[::-1]) - 1) / self.size
        linear = scale[:, None] * turn
        offset = scale * self.size / 2 - linear @ self.centre
        return np.concatenate([linear, offset[:, None]], axis=1)


def cut(image: Pixels, crop: Crop, shape: tuple[int, int], middle: float) -> Pixels:
    """The pixels of a crop, uint8 (h, w, 3); black where it leaves the picture."""
    matrix = crop.matrix(shape)
    matrix[:, 2] += matrix[:, :2] @ np.full(2, middle)  # from pixels, whose middles are whole numbers
    colour = _images.to_colour(image)
    warped: Any = cv2.warpAffine(colour, matrix, shape[::-1], flags=cv2.INTER_LINEAR)
    pixels: Pixels = warped
    return pixels


def encode(
    joints: npt.NDArray[Any], shape: tuple[int, int], heat: tuple[int, int], sigma: float
) -> tuple[Floats, Floats]:
    """The targets of joints: Gaussians (K, h, w) of height 1, cut off at three sigma, and weights (K,).

    Args:
        joints: x, y, v in the input, (K, 3); those with v of 0 get the weight 0, as do those that are out of sight.
        shape: of the input, (H, W).
        heat: of the heatmaps, (h, w).
        sigma: in cells of the heatmap.
    """
    places = joints[:, :2] * (np.array(heat[::-1]) - 1) / (np.array(shape[::-1]) - 1)
    nearest = (places + 0.5).astype(np.int64)
    reach = sigma * 3
    inside = ((nearest - reach < heat[::-1]) & (nearest + reach + 1 >= 0)).all(axis=1)
    weights = ((joints[:, 2] > 0) & inside).astype(np.float32)
    lines = []
    for axis, length in enumerate(heat[::-1]):
        steps = np.arange(length)
        line = np.exp(-((steps - places[:, axis, None]) ** 2) / (2 * sigma**2))
        lines.append(line * (np.abs(steps - nearest[:, axis, None]) <= reach))
    maps = lines[1][:, :, None] * lines[0][:, None, :] * weights[:, None, None]
    return maps.astype(np.float32), weights


def decode(heatmaps: Floats, shape: tuple[int, int], kernel: int = 11) -> Floats:
    """Joints x, y and confidence in the input (H, W), float32 (K, 3), of heatmaps (K, h, w).

    The highest cell, moved by a step of Newton on the logarithm of the smoothed map; the confidence is the map's there.
    """
    count, height, width = heatmaps.shape
    best = heatmaps.reshape(count, -1).argmax(axis=1)
    confidence = heatmaps.reshape(count, -1)[np.arange(count), best]
    places = np.stack([best % width, best // width], axis=1).astype(np.float64)
    logs = np.log(np.clip(_smooth(heatmaps, kernel), 1e-3, 50.0)).astype(np.float64)
    padded = np.pad(logs, ((0, 0), (1, 1), (1, 1)), mode="edge")
    at, x, y = np.arange(count), best % width + 1, best // width + 1

    def value(right: int, down: int) -> npt.NDArray[np.float64]:
        joints: npt.NDArray[np.float64] = padded[at, y + down, x + right]
        return joints

    here = value(0, 0)
    slope = np.stack([value(1, 0) - value(-1, 0), value(0, 1) - value(0, -1)], axis=1) / 2
    xx, yy = value(1, 0) - 2 * here + value(-1, 0), value(0, 1) - 2 * here + value(0, -1)
    xy = (value(1, 1) - value(1, 0) - value(0, 1) + 2 * here - value(-1, 0) - value(0, -1) + value(-1, -1)) / 2
    curve = np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2) + np.finfo(np.float32).eps * np.eye(2)
    step = np.linalg.solve(np.where(np.linalg.det(curve)[:, None, None], curve, np.eye(2)), slope[..., None])[..., 0]
    step = np.where(confidence[:, None] > 0, step, 0)
    scale = (np.array(shape[::-1]) - 1) / (np.array([width, height]) - 1)
    return np.concatenate([(places - step) * scale, confidence[:, None]], axis=1).astype(np.float32)


def _smooth(heatmaps: Floats, kernel: int) -> Floats:
    """Maps smoothed by a Gaussian, each as high as it was; what lies outside is 0."""
    border = (kernel - 1) // 2
    smoothed = np.empty_like(heatmaps)
    for at, own in enumerate(heatmaps):
        smooth = cv2.GaussianBlur(np.pad(own, border), (kernel, kernel), 0)[border:-border, border:-border]
        highest = smooth.max()
        smoothed[at] = smooth * (own.max() / highest) if highest > 0 else smooth
    return smoothed


def person_score(joints: Floats, box: float) -> float:
    """The score of a person: that of the box times the mean confidence of the joints that are confident."""
    sure = joints[joints[:, 2] > CONFIDENT, 2]
    return float(box * sure.mean()) if len(sure) else 0.0


def distinct(
    joints: Floats, scores: Floats, areas: npt.NDArray[np.float64], sigmas: npt.NDArray[np.float64]
) -> list[int]:
    """Persons without duplicates, best score first: of two with an OKS above 0.9 the better one stays."""
    order, kept = list(np.argsort(-scores, kind="stable")), []
    while order:
        best = order.pop(0)
        kept.append(int(best))
        true = np.concatenate([joints[best, :, :2], np.ones((joints.shape[1], 1))], axis=1)[None]
        similar = [
            pose_errors.oks(
                joints[None, other, :, :2].astype(np.float64),
                true,
                (areas[[best]] + areas[[other]]) / 2,
                np.zeros((1, 4)),
                sigmas,
            )[0, 0]
            for other in order
        ]
        order = [other for other, same in zip(order, similar, strict=True) if same <= SAME]
    return kept


class PosePredictor(PlacedNet):
    """A network of heatmaps with its weights; the outputs are those of `tasks/keypoints.py`."""

    def __init__(
        self,
        network: torch.nn.Module,
        model: ModuleType,
        params: Mapping[str, Any],
        device: str = "auto",
        precision: str = "float32",
    ) -> None:
        super().__init__(network, model, params, device, precision)
        self.names: Sequence[str] = model.names(params)
        self.boxes = _detections(params["detections"]) if params["detections"] else None

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Crop each person, find its joints, and gather them by picture."""
        persons = [self._persons(sample) for sample in samples]
        crops = [crop for own in persons for crop, _ in own]
        images = [
            cut(sample.fields["image"], crop, self.net.crop, self.params["middle"])
            for sample, own in zip(samples, persons, strict=True)
            for crop, _ in own
        ]
        predicted = iter(self._joints(images, crops))
        joints, scores = [], []
        for own in persons:
            each = [next(predicted) for _ in own]
            marks = [person_score(one, score) for one, (_, score) in zip(each, own, strict=True)]
            areas = np.array([crop.size.prod() for crop, _ in own])
            both = self._kept(each, np.array(marks, dtype=np.float32), areas)
            joints.append(both[0])
            scores.append(both[1])
        return {"joints": _boxes.ragged(joints), "scores": _boxes.ragged(scores)}

    def _persons(self, sample: Sample) -> list[tuple[Crop, float]]:
        """The crops of a picture and the scores of their boxes.

        Of true boxes those of crowds and of persons without a labelled joint are left out, as in MMPose's CocoDataset.
        """
        if self.boxes is None:
            return [
                (Crop.around(pose["box"], self.net.crop), 1.0)
                for pose in sample.fields["poses"]
                if not pose.get("crowd") and any(joint[2] for joint in pose["joints"])
            ]
        own = self.boxes.get(identity(sample.key.rpartition("/")[2]), [])
        return [(Crop.around(box, self.net.crop), score) for box, score in own]

    def _joints(self, images: Sequence[Pixels], crops: Sequence[Crop]) -> list[Floats]:
        """The joints of each crop in its picture, float32 (K, 3)."""
        if not images:
            return []
        batch = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()).to(self.device)
        with self.computing():
            maps = nets.to_numpy(self._heatmaps(batch))
        return [
            in_picture(decode(own, self.net.crop, self.net.blur), crop, self.net.crop)
            for own, crop in zip(maps, crops, strict=True)
        ]

    def _heatmaps(self, batch: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.net.heatmaps(batch)
        if not self.params["flip_test"]:
            return maps
        other = self.net.heatmaps(batch.flip(3)).flip(3)
        turned = torch.from_numpy(skeletons.mirror_indices(self.names)).to(self.device)
        both: torch.Tensor = (maps + other[:, turned]) / 2
        return both

    def _kept(self, joints: list[Floats], scores: Floats, areas: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
        whole = np.array(joints, dtype=np.float32).reshape(-1, len(self.names), 3)
        has = np.array([name in skeletons.SIGMAS for name in self.names])
        if not len(whole) or not has.any():
            return whole, scores
        sigmas = np.array([skeletons.SIGMAS[name] for name in self.names if name in skeletons.SIGMAS])
        kept = sorted(distinct(whole[:, has], scores, areas, sigmas))
        return whole[kept], scores[kept]


def in_picture(joints: Floats, crop: Crop, shape: tuple[int, int]) -> Floats:
    """Joints of an input (h, w) as they lie in the picture that it was cropped from."""
    matrix = crop.matrix(shape)
    places = (joints[:, :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return np.concatenate([places, joints[:, 2:]], axis=1).astype(np.float32)


def _detections(path: str) -> dict[str, list[tuple[list[float], float]]]:
    """The boxes of persons of each image, by its id, and their scores."""
    return _published.by_image(
        Path(path).expanduser(),
        "image_id, bbox and score",
        lambda one: ([float(value) for value in one["bbox"]], float(one["score"])),
    )
