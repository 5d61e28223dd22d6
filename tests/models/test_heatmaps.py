"""UDP there and back, targets and decoding as released, crops, the flip test, scores and who is the same person."""

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data.skeletons import COCO_17, SIGMAS
from shiftbench.plugins.models import _heatmaps
from shiftbench.plugins.models._heatmaps import Crop

SIZES = [((1024, 768), (256, 192), 6.0, 11), ((256, 192), (64, 48), 2.0, 11), ((64, 48), (32, 24), 1.5, 5)]


@pytest.mark.parametrize(("shape", "heat", "sigma", "blur"), SIZES)
def test_joints_come_back_to_a_twentieth_of_a_cell(
    shape: tuple[int, int], heat: tuple[int, int], sigma: float, blur: int
) -> None:
    random = np.random.default_rng(0)
    scale = (np.array(shape[::-1]) - 1) / (np.array(heat[::-1]) - 1)
    places = random.uniform(0.1, 0.9, (100, 2)) * (np.array(shape[::-1]) - 1)
    maps, weights = _heatmaps.encode(np.column_stack([places, np.full(100, 2)]), shape, heat, sigma)
    found = _heatmaps.decode(maps, shape, blur)
    assert np.hypot(*((found[:, :2] - places) / scale).T).max() < 0.05
    assert weights.all()
    assert found[:, 2].min() > 0.6


def released_targets(joints: np.ndarray, heat: tuple[int, int], sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Literally what MMPose's `generate_udp_gaussian_heatmaps` does, of joints in cells."""
    height, width = heat
    maps = np.zeros((len(joints), height, width), np.float32)
    weights = (joints[:, 2] > 0.5).astype(np.float32)
    radius = sigma * 3
    x = np.arange(0, 2 * radius + 1, 1, dtype=np.float32)
    for k in range(len(joints)):
        if not weights[k]:
            continue
        mu = (joints[k, :2] + 0.5).astype(np.int64)
        left, top = (mu - radius).astype(np.int64)
        right, bottom = (mu + radius + 1).astype(np.int64)
        if left >= width or top >= height or right < 0 or bottom < 0:
            weights[k] = 0
            continue
        x0, y0 = (2 * radius + 1) // 2 + joints[k, :2] - mu
        own = np.exp(-((x - x0) ** 2 + (x[:, None] - y0) ** 2) / (2 * sigma**2))
        rows, columns = (
            slice(max(0, low), min(size, high)) for low, high, size in ((top, bottom, height), (left, right, width))
        )
        inner = own[max(0, -top) : min(height, bottom) - top, max(0, -left) : min(width, right) - left]
        maps[k, rows, columns] = np.maximum(maps[k, rows, columns], inner)
    return maps, weights


def released_decoding(heatmaps: np.ndarray, kernel: int) -> np.ndarray:
    """Literally `refine_keypoints_dark_udp` of MMPose, one joint after the other; in cells."""
    count, height, width = heatmaps.shape
    found = np.zeros((count, 2))
    border = (kernel - 1) // 2
    for k in range(count):
        y, x = np.unravel_index(heatmaps[k].argmax(), (height, width))
        frame = np.zeros((height + 2 * border, width + 2 * border), np.float32)
        frame[border:-border, border:-border] = heatmaps[k]
        smooth = cv2.GaussianBlur(frame, (kernel, kernel), 0)[border:-border, border:-border]
        smooth = smooth * (heatmaps[k].max() / smooth.max())
        log = np.pad(np.log(np.clip(smooth, 1e-3, 50.0)), 1, mode="edge")
        x, y = x + 1, y + 1
        d = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
        xx, yy = (log[y, x + 1] - 2 * log[y, x] + log[y, x - 1], log[y + 1, x] - 2 * log[y, x] + log[y - 1, x])
        xy = 0.5 * (
            log[y + 1, x + 1]
            - log[y, x + 1]
            - log[y + 1, x]
            + 2 * log[y, x]
            - log[y, x - 1]
            - log[y - 1, x]
            + log[y - 1, x - 1]
        )
        hessian = np.array([[xx, xy], [xy, yy]]) + np.finfo(np.float32).eps * np.eye(2)
        found[k] = np.array([x - 1, y - 1]) - np.linalg.inv(hessian) @ d
    return found


@pytest.mark.parametrize("sigma", [1.0, 2.0])  # whole radii, as released
def test_targets_and_decoding_are_those_of_the_released_code(sigma: float) -> None:
    random = np.random.default_rng(1)
    shape, heat = (256, 192), (64, 48)
    scale = (np.array(shape[::-1]) - 1) / (np.array(heat[::-1]) - 1)
    joints = np.column_stack([random.uniform(-30, 220, 200), random.uniform(-30, 290, 200), random.integers(0, 3, 200)])
    joints[:, :2] = np.where(joints[:, :2] < 0, np.round(joints[:, :2]), joints[:, :2])
    ours, weights = _heatmaps.encode(joints, shape, heat, sigma)
    cells = np.column_stack([joints[:, :2] / scale, joints[:, 2]])
    theirs, expected = released_targets(cells, heat, sigma)
    inside = ((joints[:, :2] >= 0) & (joints[:, :2] < np.array(shape[::-1]))).all(axis=1)
    assert np.allclose(ours[inside], theirs[inside], atol=1e-6)
    assert np.array_equal(weights[inside], expected[inside])
    noisy = theirs[inside & (expected > 0)] + random.normal(scale=0.02, size=(1, 64, 48)).astype(np.float32)
    found = _heatmaps.decode(noisy, shape, 11)[:, :2] / scale
    assert np.allclose(found, released_decoding(noisy, 11), atol=1e-3)


def test_a_crop_takes_places_there_and_back_and_pixels_with_them() -> None:
    crop = Crop.around([20.0, 10.0, 40.0, 60.0], (64, 48))
    assert crop.size.tolist() == [56.25, 75.0]  # 60 x 1.25 high, and as wide for it as the input
    assert Crop.around([0.0, 0.0, 60.0, 40.0], (64, 48)).size.tolist() == [75.0, 100.0]
    turned = Crop(crop.centre, crop.size, 25.0)
    for one, middle in product((crop, turned), (0.0, 0.5)):
        place = np.array([[31.2, 44.7, 1.0]], np.float32)
        matrix = one.matrix((64, 48))
        there = place[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        back = _heatmaps.in_picture(np.column_stack([there, [1.0]]).astype(np.float32), one, (64, 48))
        assert np.allclose(back, place, atol=1e-3)
        columns, rows = (np.arange(90) + middle - place[0, 0], np.arange(100)[:, None] + middle - place[0, 1])
        blob = np.rint(255 * np.exp(-(columns**2 + rows**2) / 18)).astype(np.uint8)
        seen = _heatmaps.cut(blob, one, (64, 48), middle)[..., 0].astype(float)
        down, right = (float((seen * at).sum() / seen.sum()) for at in np.indices(seen.shape))
        assert np.allclose([right, down], there[0], atol=0.1)


class Blobs(nn.Module):
    """Heatmaps of three joints: what is red is a nose, what is green a left eye in the left half, else a right one."""

    crop, heat, blur = (64, 48), (32, 24), 5

    def heatmaps(self, images: torch.Tensor) -> torch.Tensor:
        red, green, _ = nn.functional.interpolate(images.float() / 255, self.heat, mode="area").unbind(1)
        left = torch.arange(self.heat[1]) < self.heat[1] // 2
        return torch.stack([red, green * left, green * ~left], dim=1)


def predictor(**params: Any) -> _heatmaps.PosePredictor:
    named = SimpleNamespace(names=lambda _: ("nose", "left_eye", "right_eye"))
    return _heatmaps.PosePredictor(Blobs(), named, {**defaults(_heatmaps), **params}, "cpu")  # type: ignore[arg-type]


def symmetric() -> np.ndarray:
    """Return a picture that is its mirror image."""
    image = np.zeros((64, 48, 3), np.uint8)
    image[20:26, 22:26, 0] = 200
    image[40:46, 8:14, 1] = 200
    image[40:46, 34:40, 1] = 200
    return image


def test_the_flip_test_is_exact_on_what_is_symmetric() -> None:
    images = torch.from_numpy(symmetric().transpose(2, 0, 1)[None].copy())
    both, plain = predictor(), predictor(flip_test=False)
    assert torch.equal(both._heatmaps(images), plain._heatmaps(images))
    lopsided = torch.arange(24.0)  # what a net adds that is no mirror image of itself
    for one in (both, plain):
        one.net.heatmaps = lambda images: Blobs().heatmaps(images) + lopsided
    assert torch.equal(plain._heatmaps(images)[0, :, 0], lopsided.expand(3, -1))
    assert torch.equal(both._heatmaps(images)[0, :, 0], torch.full((3, 24), 11.5))


def test_the_score_of_a_person_is_that_of_its_sure_joints() -> None:
    joints = np.array([[0, 0, 0.5], [0, 0, 0.9], [0, 0, 0.1]], np.float32)
    assert _heatmaps.person_score(joints, 0.5) == pytest.approx(0.35)
    assert _heatmaps.person_score(joints * 0, 0.5) == 0


def test_of_two_that_are_the_same_the_better_one_stays() -> None:
    random = np.random.default_rng(2)
    one, other = random.uniform(0, 100, (2, 17, 3)).astype(np.float32)
    people = np.stack([one + 0.1, other, one])
    sigmas = np.array(list(SIGMAS.values()))
    kept = _heatmaps.distinct(people, np.array([0.5, 0.7, 0.6], np.float32), np.full(3, 5000.0), sigmas)
    assert kept == [1, 2]
    assert len(COCO_17) == len(sigmas)


def test_true_boxes_are_those_that_mmpose_scores() -> None:
    """No crowd, nobody without a labelled joint, and of two that come out the same the better one."""
    labelled, hidden = [[24.0, 23.0, 2], *[[0.0, 0.0, 0]] * 2], [[0.0, 0.0, 0]] * 3
    one = {"box": [0.0, 0.0, 40.0, 60.0], "joints": labelled}
    others = [{**one, "crowd": True}, {**one, "joints": hidden}, {**one}]
    found = predictor()([Sample("mine/test/1", {"image": symmetric(), "poses": [*others, one]})])
    assert [len(scores) for scores in found["scores"]] == [1]
    assert found["joints"][0].shape == (1, 3, 3)


def test_boxes_of_a_detector_stand_for_the_true_ones(tmp_path: Path) -> None:
    file = tmp_path / "persons.json"
    rows = [{"image_id": 7, "bbox": [0, 0, 40, 60], "score": s} for s in (0.5, 0.25)]
    file.write_text(json.dumps(rows))
    some = [Sample(f"mine/test/{n}", {"image": symmetric(), "poses": []}) for n in ("000007", "8")]
    found = predictor(detections=str(file))(some)
    assert [len(scores) for scores in found["scores"]] == [1, 0]  # the same person twice; nobody
    assert found["joints"][1].shape == (0, 3, 3)
    file.write_text('[{"bbox": 1}]')
    with pytest.raises(ModelError, match="persons.json is no list of image_id, bbox and score"):
        predictor(detections=str(file))
