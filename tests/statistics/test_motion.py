"""Measures of one clip, beside NumPy and scikit-image, and by hand."""

import numpy as np
import pytest

from shiftbench.statistics import motion

SSIM = (0.8263123542836232, 0.7904585257299653, 0.8722569600045295)
PSNR = (16.78877512327415, 17.370531432086555)
RANDOM = np.random.default_rng(0)
TRUTH = np.sin(np.arange(60) / 4)
FOUND = 0.5 * TRUTH + 0.2 * RANDOM.normal(size=60) + 0.1


def test_correlation_and_size() -> None:
    assert motion.correlation(FOUND, TRUTH) == pytest.approx(np.corrcoef(FOUND, TRUTH)[0, 1])
    assert motion.amplitude_ratio(2 * TRUTH, TRUTH) == pytest.approx(2)
    assert motion.correlation(TRUTH * 0, TRUTH) == 0
    for measure in (motion.correlation, motion.concordance, motion.amplitude_ratio):
        assert np.isnan(measure(FOUND, TRUTH * 0))


def test_concordance() -> None:
    # Lin 1989: 2 s12 / (s1^2 + s2^2 + (m1 - m2)^2). Of 1, 2, 3 and 2, 3, 4: 2 (2/3) / (2/3 + 2/3 + 1) = 4/7.
    assert motion.concordance(np.array([1.0, 2, 3]), np.array([2.0, 3, 4])) == pytest.approx(4 / 7)
    covariance = np.cov(FOUND, TRUTH, bias=True)
    apart = (FOUND.mean() - TRUTH.mean()) ** 2
    expected = 2 * covariance[0, 1] / (covariance.trace() + apart)
    assert motion.concordance(FOUND, TRUTH) == pytest.approx(expected)
    assert motion.concordance(TRUTH, TRUTH) == pytest.approx(1)
    assert motion.concordance(-TRUTH + 2 * TRUTH.mean(), TRUTH) == pytest.approx(-1)


def released_lmd(found: np.ndarray, truth: np.ndarray) -> float:
    """LMD as the released `LMDMeter` reckons it, frame by frame: centred, not scaled, a mean over frames."""
    total = 0.0
    for own, other in zip(found, truth, strict=True):
        apart = (own - own.mean(0)) - (other - other.mean(0))
        total += np.sqrt((apart**2).sum(1)).mean(0)
    return total / len(found)


def test_landmarks() -> None:
    found, truth = RANDOM.normal(size=(2, 9, 20, 2))
    assert motion.landmark_distance(found, truth) == pytest.approx(released_lmd(found, truth))
    assert motion.landmark_distance(truth + np.array([5.0, -3.0]), truth) == pytest.approx(0)
    square = np.array([[[0.0, 0], [2, 0], [2, 2], [0, 2]]])
    assert motion.landmark_distance(2 * square, square) == pytest.approx(2**0.5)
    # One landmark at 0, 3, 0, 0 on x and 0, 4, 0, 0 on y: second differences (-6, -8) and (3, 4).
    path = np.array([[[0.0, 0]], [[3, 4]], [[0, 0]], [[0, 0]]])
    assert motion.jitter(path) == pytest.approx((10 + 5) / 2)
    assert motion.jitter(np.arange(8.0).reshape(4, 1, 2)) == pytest.approx(0)
    assert np.isnan(motion.jitter(path[:2]))


def test_pictures_agree_with_scikit_image() -> None:
    """Values of scikit-image 0.26, `structural_similarity` and `peak_signal_noise_ratio` with data_range=255."""
    y, x = np.mgrid[:40, :48]
    a = ((x * 7 + y * 3) % 256).astype(np.uint8)
    b = ((x * 7 + y * 3 + ((x * y) % 17)) % 256).astype(np.uint8)
    c = (a // 2 + 60).astype(np.uint8)
    assert motion.ssim(b[None], a[None]) == pytest.approx(SSIM[0], abs=1e-9)
    assert motion.ssim(c[None], a[None]) == pytest.approx(SSIM[1], abs=1e-9)
    colour, other = np.stack([a, b, c], -1), np.stack([b, b, a], -1)
    assert motion.ssim(other[None], colour[None]) == pytest.approx(SSIM[2], abs=1e-9)
    assert motion.psnr(b[None], a[None]) == pytest.approx(PSNR[0], abs=1e-9)
    both = motion.psnr(np.stack([b, c]), np.stack([a, a]))  # a mean over frames
    assert both == pytest.approx(np.mean(PSNR), abs=1e-9)
    assert motion.psnr(a[None], a[None]) == 100


def test_sync_by_hand() -> None:
    # Over offsets -2 to 2: least 0.2 at +1, median 0.8.
    low, above, offset = motion.sync(np.array([0.9, 0.8, 0.7, 0.2, 1.0]))
    assert (low, offset) == (0.2, 1)
    assert above == pytest.approx(0.6)
    assert motion.sync(np.ones(5)) == (1.0, 0.0, -2)
