"""SDPose in small: a U-Net with a task switch that reconstructs its input or gives features to a head of heatmaps.

What stands for the frozen VAE is a rearrangement: squares of 4 x 4 pixels become 48 channels at a quarter of the size
(SD's latents have an eighth), so that nothing is lost and nothing is learned. Residual blocks (group normalisation,
SiLU, 3x3, twice) at widths w, 2w, 4w, each told the time step and the task c = [sin v, cos v], v = (1, 0) for pose and
(0, 1) for reconstruction; on the way up what was on the way down is put beside. Reconstruction is a 3x3 convolution on
the last block; the head reads that block, or the one before it.

The head is the paper's: a deconvolution of 4x4 at stride 2 and a 1x1 convolution, each with batch normalisation and
ReLU, and a 1x1 convolution to the joints; so heatmaps have twice the size
of latents.

Source: "SDPose", 2025, arXiv:2509.24980, section 3; its code, T-S-Liang/SDPose-OOD (`HeatmapHead.py`,
`ModifiedUNet.py`, `SDPose_D_Pipeline.py`). Differs: size, no attention, no text, one block a level; the step is told as
there (index 999).
"""

import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.data.skeletons import COCO_17
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _heatmaps

TASK = "keypoints"
FEATURES = ("last", "second")
CELL = 4
POSE, RECONSTRUCTION = (1.0, 0.0), (0.0, 1.0)


class Options(_heatmaps.Options):
    width: int = Field(16, ge=1, description="channels w of the first level")
    sigma: float = Field(2.0, gt=0, description="width of a joint's peak in a heatmap, in its pixels")
    blur: int = Field(
        7, ge=1, description="side of the Gaussian filter of heatmaps before their maximum, odd, in pixels"
    )
    height_px: int = Field(64, ge=16, multiple_of=16, description="height of the input, in pixels")
    width_px: int = Field(48, ge=16, multiple_of=16, description="width of the input, in pixels")
    timestep: int = Field(999, ge=0, le=999, description="time step of the diffusion that the U-Net is given")
    feature: Literal["last", "second"] = Field(
        "last", description="block that the head reads: the last one, or the one before"
    )


def names(params: Mapping[str, Any]) -> Sequence[str]:
    """The joints."""
    return COCO_17


class PoseUNet(nn.Module):
    """Images uint8 (n, 3, H, W) to heatmaps (n, K, H/2, W/2), or to their latents."""

    def __init__(self, params: Mapping[str, Any], joints: int) -> None:
        super().__init__()
        if params["feature"] not in FEATURES:
            raise ParamsError(f"pose_unet: feature is {params['feature']!r} ({suggest(params['feature'], FEATURES)})")
        w = params["width"]
        embedding, latent = 4 * w, 3 * CELL**2
        self.crop = params["height_px"], params["width_px"]
        self.heat = (2 * self.crop[0] // CELL, 2 * self.crop[1] // CELL)
        self.sigma, self.blur = params["sigma"], params["blur"]
        self.timestep, self.second = params["timestep"], params["feature"] == "second"
        self.time = nn.Sequential(nn.Linear(2 * w, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.task = nn.Sequential(nn.Linear(4, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.enter = nn.Conv2d(latent, w, 3, 1, 1)
        self.down = nn.ModuleList([Block(w, w, embedding), Block(w, 2 * w, embedding), Block(2 * w, 4 * w, embedding)])
        self.middle = Block(4 * w, 4 * w, embedding)
        self.up = nn.ModuleList(
            [Block(8 * w, 2 * w, embedding), Block(4 * w, w, embedding), Block(2 * w, w, embedding)]
        )
        self.leave = nn.Sequential(nn.GroupNorm(4, w), nn.SiLU(), nn.Conv2d(w, latent, 3, 1, 1))
        self.head = head(w, joints, 2 if self.second else 1)
        self.width = w

    def latents(self, images: torch.Tensor) -> torch.Tensor:
        """Latents float32 (n, 48, H/4, W/4), -1 to 1, of images uint8 or float of 0 to 255."""
        return F.pixel_unshuffle(images.float() / 127.5 - 1, CELL)

    def blocks(
        self, z: torch.Tensor, task: tuple[float, float], steps: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Outputs of the blocks on the way up, from small to large.

        Args:
            z: latents (n, 48, h, w).
            task: v, `POSE` or `RECONSTRUCTION`.
            steps: of the diffusion, 0 to 999, (n,); default: the fixed one.
        """
        if steps is None:
            steps = torch.full((len(z),), float(self.timestep), device=z.device)
        v = torch.tensor(task, device=z.device)
        switch = self.task(torch.cat([v.sin(), v.cos()])[None])
        embedding = self.time(_waves(steps, self.width)) + switch
        x, skips = self.enter(z), []
        for number, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if number else x, embedding)
            skips.append(x)
        x = self.middle(x, embedding)
        outputs = []
        for number, block in enumerate(self.up):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") if number else x
            x = block(torch.cat([x, skips.pop()], dim=1), embedding)
            outputs.append(x)
        return outputs

    def reconstruct(self, z: torch.Tensor, steps: torch.Tensor | None = None) -> torch.Tensor:
        """The latents that the U-Net makes of latents, under the task of reconstruction."""
        latents: torch.Tensor = self.leave(self.blocks(z, RECONSTRUCTION, steps)[-1])
        return latents

    def of_latents(self, z: torch.Tensor) -> torch.Tensor:
        """Heatmaps (n, K, 2h, 2w) of latents (n, 48, h, w)."""
        maps: torch.Tensor = self.head(self.blocks(z, POSE)[-2 if self.second else -1])
        return maps

    def heatmaps(self, images: torch.Tensor) -> torch.Tensor:
        """Heatmaps (n, K, H/2, W/2) of images (n, 3, H, W)."""
        return self.of_latents(self.latents(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Output (n, outputs, h, w)."""
        return self.heatmaps(images)


class Block(nn.Module):
    """Two normalised 3x3 convolutions beside what goes in, told a vector between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, 1, 1))
        self.conditioning = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        self.second = nn.Sequential(nn.GroupNorm(4, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, 1, 1))
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Output (n, outputs, h, w)."""
        output: torch.Tensor = self.shortcut(x) + self.second(
            self.first(x) + self.conditioning(embedding)[..., None, None]
        )
        return output


def head(width: int, joints: int, times: int = 1) -> nn.Sequential:
    """The head: features (n, width, h, w) to heatmaps (n, joints, 2 times h, 2 times w)."""
    layers: list[nn.Module] = []
    for _ in range(times):
        layers += [nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, joints, 1)]
    return nn.Sequential(*layers)


def _waves(steps: torch.Tensor, half: int) -> torch.Tensor:
    """Sines and cosines of time steps, (n, 2 half), as in DDPM."""
    rates = torch.exp(-math.log(10000) * torch.arange(half, device=steps.device) / half)
    angles = steps[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def build(params: Mapping[str, Any], classes: int) -> PoseUNet:
    """The untrained model."""
    return PoseUNet(params, classes)


def predictor(
    net: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """The predictor of a model."""
    return _heatmaps.PosePredictor(net, model, params, device, precision)
