"""Two views of each image that may be drawn by different rules, with blur, solarisation and noise.

    views: [{crop: [0.08, 1.0], blur_share: 1.0}, {crop: [0.08, 1.0], blur_share: 0.1, solarise_share: 0.2}]

One rule is both views'. What a rule does not say is as in DEFAULT.

Source: Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, appendix B, as solo-learn has it: crop, colour jitter,
grey, Gaussian blur, solarisation (values from 128 up are turned round), mirroring. Differs: crops are bilinear where
solo-learn's are bicubic, and the blur is a true Gaussian where Pillow's is three boxes. `noise` is ours: normal, in
grey levels, for grey images whose colour cannot be jittered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _views

DEFAULT: dict[str, object] = {
    **registry.defaults(_views),
    "blur_share": 0.0,
    "blur": [0.1, 2.0],
    "solarise_share": 0.0,
    "noise": 0.0,
}
"""`blur_share` and `solarise_share`, of the images that are blurred and solarised; `blur`, the standard deviation from
and to, in pixels; `noise`, its standard deviation in grey levels."""
REACH = 3
"""How far the kernel goes, in its largest standard deviations."""
Rule = Mapping[str, Any]


def rules(views: Sequence[Rule]) -> tuple[Rule, Rule]:
    """The rule of each view, with what it does not say.

    Raises:
        ParamsError: neither one rule nor two, or an unknown option.
    """
    if len(views) not in (1, 2):
        raise ParamsError(f"views has {len(views)} rules; expected one for both views, or one for each")
    unknown = [name for rule in views for name in rule if name not in DEFAULT]
    if unknown:
        raise ParamsError(f"views: {unknown[0]!r} is unknown; {suggest(unknown[0], DEFAULT)}")
    first, *rest = ({**DEFAULT, **rule} for rule in views)
    return first, rest[0] if rest else first


def view(images: torch.Tensor, rng: RandomStream, rule: Rule) -> torch.Tensor:
    """One random view of each image, uint8 (n, 1 or 3, h, w), on the device where they are."""
    seen = _views.augment(images, rng, rule)
    if rule["blur_share"]:
        met = rng.uniform(len(seen)) < rule["blur_share"]
        low, high = rule["blur"]
        seen = _on(met, seen, blurred(seen, low + (high - low) * rng.uniform(len(seen)), high))
    if rule["solarise_share"]:
        met = rng.uniform(len(seen)) < rule["solarise_share"]
        seen = _on(met, seen, torch.where(seen < 128, seen, 255 - seen))
    if rule["noise"]:
        normal = torch.from_numpy(rng.normal(tuple(seen.shape))).to(seen.device)
        seen = (seen + rule["noise"] * normal).round().clamp(0, 255).to(torch.uint8)
    return seen


def blurred(images: torch.Tensor, deviations: npt.NDArray[np.float32], largest: float) -> torch.Tensor:
    """Images, each under a Gaussian of its own; edges are repeated.

    Args:
        images: uint8 (n, c, h, w).
        deviations: float32 (n,), in pixels, above 0.
        largest: of all that could be drawn, by which the kernel's size goes.
    """
    reach = int(np.ceil(REACH * largest))
    steps = np.arange(-reach, reach + 1)
    kernels = np.exp(-0.5 * np.square(steps / deviations[:, None]))
    kernels = (kernels / kernels.sum(1, keepdims=True)).astype(np.float32)
    count, channels = images.shape[:2]
    weights = torch.from_numpy(np.repeat(kernels, channels, axis=0)).to(images.device)
    pixels = images.float().reshape(1, count * channels, *images.shape[2:])
    pixels = F.pad(pixels, (reach,) * 4, mode="replicate")
    pixels = F.conv2d(pixels, weights[:, None, None, :], groups=count * channels)
    pixels = F.conv2d(pixels, weights[:, None, :, None], groups=count * channels)
    return pixels.reshape(images.shape).round().clamp(0, 255).to(torch.uint8)


def _on(met: npt.NDArray[np.bool_], images: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.from_numpy(met).to(images.device)[:, None, None, None], changed, images)
