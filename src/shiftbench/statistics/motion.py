"""Measures of one clip: distance between two motions, picture quality, and agreement with the sound.

Curves are float64 (t,), landmarks float64 (t, k, 2) in pixels, pictures uint8 (t, h, w) or (t, h, w, 3).

Sources: Pearson's correlation; concordance: Lin, "A concordance correlation coefficient to evaluate reproducibility",
Biometrics 45(1), 1989; LMD: Chen et al., "Lip movements generation at a glance", ECCV 2018, each set less its
centroid, as ZiqiaoPeng/SyncTalk has it, in pixels; LSE-D, LSE-C and the offset: Chung and Zisserman, "Out of time:
automated lip sync in the wild", ACCV workshops 2016, as joonson/syncnet_python has them; PSNR and SSIM: Wang et al.,
"Image quality assessment: from error visibility to structural similarity", IEEE TIP 13(4), 2004, with a window of 7 x
7, as scikit-image.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
WINDOW = 7
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def correlation(predicted: Floats, truth: Floats) -> float:
    """Pearson's correlation of two curves; 0 where `predicted` is constant, NaN where `truth` is."""
    if np.ptp(truth) == 0:
        return float("nan")
    if np.ptp(predicted) == 0:
        return 0.0
    a, b = predicted - predicted.mean(), truth - truth.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def concordance(predicted: Floats, truth: Floats) -> float:
    """Lin's coefficient, which also requires the same mean and size; NaN where `truth` is constant."""
    if np.ptp(truth) == 0:
        return float("nan")
    covariance = ((predicted - predicted.mean()) * (truth - truth.mean())).mean()
    gap = (predicted.mean() - truth.mean()) ** 2
    return float(2 * covariance / (predicted.var() + truth.var() + gap))


def amplitude_ratio(predicted: Floats, truth: Floats) -> float:
    """Standard deviation of `predicted` as a share of that of `truth`; NaN where `truth` is constant."""
    return float(predicted.std() / truth.std()) if np.ptp(truth) else float("nan")


def landmark_distance(predicted: Floats, truth: Floats) -> float:
    """LMD: the mean distance of landmarks, each frame's set less its centroid, in pixels."""
    predicted_shapes, true_shapes = (points - points.mean(axis=1, keepdims=True) for points in (predicted, truth))
    return float(np.sqrt(np.square(predicted_shapes - true_shapes).sum(axis=2)).mean())


def jitter(landmarks: Floats) -> float:
    """Mean size of the second difference over time, in pixels; NaN below three frames."""
    bends = np.diff(landmarks, n=2, axis=0)
    return float(np.sqrt(np.square(bends).sum(axis=2)).mean()) if len(bends) else float("nan")


def psnr(predicted: Pixels, truth: Pixels) -> float:
    """-10 log10 of the mean squared error of frames in 0 to 1, mean over frames; equal ones have 100 dB."""
    error = np.square((predicted.astype(np.float64) - truth) / 255).reshape(len(truth), -1).mean(axis=1)
    return float((-10 * np.log10(np.maximum(error, 1e-10))).mean())


def ssim(predicted: Pixels, truth: Pixels) -> float:
    """Mean structural similarity of frames, of colour the mean over channels."""
    pairs = zip(_channels(predicted), _channels(truth), strict=True)
    return float(np.mean([_ssim(own, other) for own, other in pairs]))


def _channels(frames: Pixels) -> Floats:
    """Each channel of each frame, float64 (n, h, w)."""
    wide = frames if frames.ndim == 4 else frames[..., None]
    return np.moveaxis(wide, 3, 1).reshape(-1, *wide.shape[1:3]).astype(np.float64)


def _ssim(x: Floats, y: Floats) -> float:
    count = WINDOW * WINDOW
    mx, my = uniform_filter(x, WINDOW), uniform_filter(y, WINDOW)
    unbiased = count / (count - 1)
    vx = unbiased * (uniform_filter(x * x, WINDOW) - mx * mx)
    vy = unbiased * (uniform_filter(y * y, WINDOW) - my * my)
    vxy = unbiased * (uniform_filter(x * y, WINDOW) - mx * my)
    share = (2 * mx * my + C1) * (2 * vxy + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2))
    edge = WINDOW // 2
    return float(share[edge:-edge, edge:-edge].mean())


def sync(distances: Floats) -> tuple[float, float, int]:
    """LSE-D, LSE-C and the offset of a curve of mean distances over offsets -k to k, float64 (2k + 1,).

    LSE-D is its least value, LSE-C its median less that, the offset where that is (of equals, the first), in frames.
    """
    least = int(np.argmin(distances))
    low = float(distances[least])
    return low, float(np.median(distances)) - low, least - len(distances) // 2
