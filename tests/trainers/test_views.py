"""Random views: crops, flips and jitters equal to torchvision's and Pillow's, the same for the same words."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from shiftbench.base import registry
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _jitter, _views

COLOUR = np.random.default_rng(0).integers(0, 256, (40, 3, 20, 24), dtype=np.uint8)


def words(key: str = "k") -> RandomStream:
    return RandomStream(0, "test", "d", key)


def test_views_of_the_same_words_are_equal_and_differ_from_each_other() -> None:
    for batch in (COLOUR, COLOUR[:, :1]):
        one, other = _views.two_views(batch, words(), registry.defaults(_views))
        again, _ = _views.two_views(batch, words(), registry.defaults(_views))
        assert one.shape == other.shape == batch.shape
        assert one.dtype == other.dtype == np.uint8
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)


def test_views_without_any_change_are_the_images() -> None:
    square = COLOUR[..., :20]
    boxes = np.tile([0, 0, 20, 20], (len(square), 1))
    same = _views.resized(torch.from_numpy(square), boxes, np.zeros(len(square), bool))
    assert np.array_equal(same.round().numpy(), square)


def test_crops_lie_within_and_cover_what_is_asked() -> None:
    boxes = _views.crops(words(), 2000, (20, 24), (0.2, 0.6))
    top, left, tall, wide = boxes.T
    assert min(top.min(), left.min()) == 0
    assert (top + tall).max() == 20
    assert (left + wide).max() == 24
    share = tall * wide / (20 * 24)
    assert share.min() == pytest.approx(0.2, abs=0.03)
    assert share.max() == pytest.approx(0.6, abs=0.03)
    assert share.mean() == pytest.approx(0.4, abs=0.02)


def test_a_crop_is_pillows_within_one_grey_level_mirrored_or_not() -> None:
    boxes = _views.crops(words(), len(COLOUR), (20, 24), (0.2, 1.0))
    mirrored = np.arange(len(COLOUR)) % 2 == 1
    found = _views.resized(torch.from_numpy(COLOUR), boxes, mirrored).numpy()
    for image, (top, left, tall, wide), flip, seen in zip(COLOUR, boxes, mirrored, found, strict=True):
        cut = Image.fromarray(image.transpose(1, 2, 0)[top : top + tall, left : left + wide])
        wanted = np.asarray(cut.resize((24, 20), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        wanted = wanted[..., ::-1] if flip else wanted
        assert np.abs(seen - wanted).max() <= 1.01


def test_jitters_are_torchvisions() -> None:
    images = torch.from_numpy(COLOUR[:6]).float()
    amounts = [-0.4, -0.24, -0.08, 0.08, 0.24, 0.4]
    column = torch.tensor(amounts)[:, None, None, None]
    pairs = [
        (_jitter.brightness, tv.adjust_brightness, 1),
        (_jitter.contrast, tv.adjust_contrast, 1),
        (_jitter.saturation, tv.adjust_saturation, 1),
        (_jitter.hue, tv.adjust_hue, 0),
    ]
    for ours, theirs, offset in pairs:
        found = ours(images, column)
        steps = zip(images, amounts, strict=True)
        wanted = torch.stack([theirs(image / 255, offset + by) for image, by in steps]) * 255
        assert (found - wanted).abs().max() < 0.02, ours.__name__


def test_a_share_of_the_images_is_mirrored_jittered_and_grey() -> None:
    many = np.tile(COLOUR[:1, :, :, :20], (2000, 1, 1, 1))
    options = {**registry.defaults(_views), "crop": [1.0, 1.0], "flip": False, "jitter": [0.4, 0, 0, 0]}
    flat = np.full((2000, 3, 8, 8), 100, np.uint8)
    seen = _views.two_views(flat, words(), options)[0]
    assert (seen[:, 0, 0, 0] != 100).mean() == pytest.approx(0.8, abs=0.04)
    assert seen.min() == 60
    assert seen.max() == 140
    grey = _views.two_views(many, words(), options)[0]
    assert (np.ptp(grey, axis=1).max(axis=(1, 2)) == 0).mean() == pytest.approx(0.2, abs=0.03)
