"""Training of a network of heatmaps on the joints of persons, with reconstruction as a second task if asked.

`steps` batches of persons are drawn from shuffled passes over the train split, each cropped around its box as at test
time. The changes of a person, in this order: mirrored (1 in 2); the crop turned by up to `turn` degrees, scaled by
up to `scale` and moved by up to `move` of its size; brightness and colour of each channel times 1 - `jitter` to 1 +
`jitter`; and then, after the picture was kept as what reconstruction should give, blurred (1 in 10), smoothed by a
median (1 in 10), and a grey hole of 20 to 40% of each side (`hole`). Loss: the mean squared error of heatmaps, each
joint times its weight, and `reconstruction` times that of the latents of the kept picture.

Source: SDPose, 2025, arXiv:2509.24980, section 3, and its pipeline of augmentations (T-S-Liang/SDPose-OOD,
`dataset_loader.py`); no half bodies, and milder turns. The schedule is Smith and Topin's (one cycle) unless `schedule`
names another.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards, skeletons
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _heatmaps
from shiftbench.plugins.trainers import _steps

TASKS = ("keypoints",)
GREY = 128
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Person = tuple[Sample, dict[str, Any]]


class Options(declare.Options):
    steps: _steps.Steps = 1000
    batch_size: int = Field(8, ge=1, description="persons of a batch")
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.008
    weight_decay: fields.WeightDecay = 0.0001
    schedule: fields.Schedule = "one_cycle"
    reconstruction: float = Field(0.0, ge=0, description="weight of the loss on reconstructed latents; 0: none")
    start: _steps.Start = ""
    extra: _steps.Extra = ""
    extra_share: _steps.ExtraShare = 0.5
    turn: float = Field(10.0, ge=0, description="largest rotation of a crop, in degrees")
    scale: float = Field(0.1, ge=0, lt=1, description="largest change of a crop's size, as a share of the size")
    move: float = Field(0.04, ge=0, description="largest shift of a crop, as a share of its size")
    jitter: float = Field(0.2, ge=0, le=1, description="largest change of each channel's brightness, as a share")
    hole: bool = Field(True, description="cover a rectangle of each crop with grey")


class Batch(NamedTuple):
    """Images that the network sees and those behind them, uint8 (n, 3, H, W); heatmaps (n, K, h, w), weights (n, K)."""

    seen: torch.Tensor
    clean: torch.Tensor
    maps: torch.Tensor
    weights: torch.Tensor


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, those of the extra persons, and the weights to begin with."""
    return _steps.needs(params)


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step."""
    if not hasattr(job.plugin, "build"):
        raise ModelError(f"model {job.model!r} is a black box and cannot be trained on joints")
    network: Any = _steps.begun(job)
    if not hasattr(network, "heatmaps"):
        raise ModelError(f"model {job.model!r} has no heatmaps; take a net of joints")
    if job.params["reconstruction"] and not hasattr(network, "reconstruct"):
        raise ModelError(f"model {job.model!r} reconstructs nothing; set reconstruction: 0")
    fit(job, network)
    return dict(network.state_dict())


def fit(job: TrainJob, network: Any) -> None:
    """Train a network in place; logs the mean training loss of every 50 steps and the loss on val at the end."""
    device = nets.pick_device(job.device)
    weight = job.params["reconstruction"]
    _steps.fit(job, network, _drawn(job, network, device), lambda batch: loss(network, batch, weight))
    job.log(job.params["steps"], "val_loss", _on_val(job, network, device))


def _drawn(job: TrainJob, network: Any, device: torch.device) -> Iterator[Batch]:
    """Yield `steps` batches, changed as the options say."""
    for step, persons in enumerate(_batches(job)):
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"augment/{step}")
        yield batch_of(network, persons, job, rng, device)


def loss(network: Any, batch: Batch, reconstruction: float) -> torch.Tensor:
    """The loss of a batch: that of the heatmaps, and `reconstruction` times that of the latents."""
    apart = (network.heatmaps(batch.seen) - batch.maps) ** 2
    value: torch.Tensor = (apart * batch.weights[..., None, None]).mean()
    if reconstruction:
        made = network.reconstruct(network.latents(batch.seen))
        value = value + reconstruction * ((made - network.latents(batch.clean)) ** 2).mean()
    return value


def _on_val(job: TrainJob, network: Any, device: torch.device) -> float:
    held, size = people(job.samples("val")), job.params["batch_size"]
    values = []
    network.eval()
    with torch.inference_mode():
        for at in range(0, len(held), size):
            batch = batch_of(network, held[at : at + size], job, None, device)
            values.append(float(loss(network, batch, 0.0)))
    return float(np.mean(values)) if values else float("nan")


def people(samples: Sequence[Sample]) -> list[Person]:
    """Each person of some samples that has a labelled joint and is no crowd."""
    return [
        (sample, pose)
        for sample in samples
        for pose in sample.fields["poses"]
        if not pose.get("crowd") and any(joint[2] for joint in pose["joints"])
    ]


def _batches(job: TrainJob) -> Iterator[list[Person]]:
    """Yield `steps` batches; the last places of each are of the extra persons."""
    folder = _steps.extra(job)
    own = people(job.samples("train"))
    if not own:
        raise ParamsError(f"poses: no person of {job.dataset} has a labelled joint")
    return _steps.mixed(job, own, people(list(shards.read(folder))) if folder else [])


def batch_of(
    network: Any, persons: Sequence[Person], job: TrainJob, rng: RandomStream | None, device: torch.device
) -> Batch:
    """A batch of persons; `rng` draws what is changed in each, None: nothing is."""
    names, middle = job.plugin.names(job.model_params), job.model_params["middle"]
    rows: list[tuple[Any, ...]] = []
    for sample, pose in persons:
        crop = _heatmaps.Crop.around(pose["box"], network.crop)
        words = [float(word) for word in rng.uniform(16)] if rng else None
        if words:
            crop = _moved(crop, words, job.params)
        image = _heatmaps.cut(sample.fields["image"], crop, network.crop, middle)
        joints = _in_input(np.array(pose["joints"], dtype=np.float64), crop, network.crop)
        if words and words[0] < 0.5:
            image, joints = _mirrored(image, joints, names)
        clean = _recoloured(image, words, job.params["jitter"]) if words else image
        seen = _damaged(clean, words, hole=job.params["hole"]) if words else clean
        rows.append((seen, clean, *_heatmaps.encode(joints, network.crop, network.heat, network.sigma)))
    stacked = [np.stack(values) for values in zip(*rows, strict=True)]
    images = [torch.from_numpy(values.transpose(0, 3, 1, 2).copy()) for values in stacked[:2]]
    tensors = images + [torch.from_numpy(values) for values in stacked[2:]]
    return Batch(*(tensor.to(device) for tensor in tensors))


def _moved(crop: _heatmaps.Crop, words: Sequence[float], params: Mapping[str, Any]) -> _heatmaps.Crop:
    signed = [2 * word - 1 for word in words]
    turn, size = params["turn"] * signed[1], crop.size * (1 + params["scale"] * signed[2])
    return _heatmaps.Crop(crop.centre + params["move"] * np.array(signed[3:5]) * size, size, turn)


def _in_input(joints: npt.NDArray[np.float64], crop: _heatmaps.Crop, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    matrix = crop.matrix(shape)
    places = joints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([places, joints[:, 2:]], axis=1)


def _mirrored(
    image: Pixels, joints: npt.NDArray[np.float64], names: Sequence[str]
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    turned = joints[skeletons.mirror_indices(names)]
    turned[:, 0] = image.shape[1] - 1 - turned[:, 0]
    return np.ascontiguousarray(image[:, ::-1]), turned


def _recoloured(image: Pixels, words: Sequence[float], jitter: float) -> Pixels:
    factors = np.array([1 + jitter * (2 * word - 1) for word in words[5:8]], dtype=np.float32)
    changed: Pixels = np.rint(np.minimum(image * factors, 255)).astype(np.uint8)
    return changed


def _damaged(image: Pixels, words: Sequence[float], *, hole: bool) -> Pixels:
    """An image blurred or smoothed, seldom, and with a hole."""
    pixels: Any = image
    if words[8] < 0.1:
        pixels = cv2.blur(pixels, (3, 3))
    if words[9] < 0.1:
        pixels = cv2.medianBlur(pixels, 3)
    pixels = pixels.copy()
    if hole:
        height, width = pixels.shape[:2]
        tall, wide = (int(side * (0.2 + 0.2 * w)) for side, w in zip((height, width), words[10:12], strict=True))
        top, left = int(words[12] * (height - tall + 1)), int(words[13] * (width - wide + 1))
        pixels[top : top + tall, left : left + wide] = GREY
    done: Pixels = pixels
    return done
