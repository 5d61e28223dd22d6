"""SyncNet as released: a judge of lip sync, with five frames of a face and 0.2 s of sound in one space of 1,024 values.

    models: {syncnet: {}}
    trainers: {given: {path: /weights/syncnet_v2.model}}

The file is the released one, a state dict with the tensor names of joonson/syncnet_python. Frames are face crops of
224 x 224 pixels, 0 to 255, in the order blue, green, red of its OpenCV. The sound is 13 mel-frequency cepstral
coefficients (MFCC), 100 a second. Windows begin at each frame but the last five. Distances are at offsets -15 to 15.
Sound beyond the ends of the clip counts as zero vectors.

Source: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016; layers, windows,
padding and `vshift` of joonson/syncnet_python (`SyncNetModel.py`, `SyncNetInstance.py`, `run_syncnet.py`). MFCC are
those of James Lyons' python_speech_features 0.6 (`mfcc` with its defaults): windows of 25 ms every 10 ms without a
taper, the last one filled with zeros, pre-emphasis 0.97, FFT of 512, 26 triangles from 0 to 8 kHz on the HTK scale,
orthonormal DCT-II, 13 coefficients, lifter 22, the first one replaced by the log of the energy. Differs: an offset is
above 0 if the sound is late, there below.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from scipy.fft import dct
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.data.audio import RATE, Wave
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models._boxes import ragged

TASK = "audio_visual"
SIDE, SPAN, HEARD = 224, 5, 20  # pixels; frames of a window; MFCC of a window
OFFSETS = 15
WIDTH = 1024
LENGTH, STEP, FFT = 400, 160, 512  # of the MFCC: samples of a window, samples between windows, size of the FFT
TRIANGLES, KEPT, LIFTER = 26, 13, 22
TINY = float(np.finfo(np.float64).eps)
Floats = NDArray[np.float64]


class Options(declare.Options):
    batch: int = Field(20, ge=1, description="windows that go through the network at once")


class SyncNet(nn.Module):
    """Two encoders, their layers numbered as in the released file."""

    def __init__(self) -> None:
        super().__init__()
        pool, flat = nn.MaxPool2d, nn.BatchNorm2d
        self.netcnnaud = nn.Sequential(
            *(nn.Conv2d(1, 64, 3, padding=1), flat(64), nn.ReLU(), pool(1, 1)),
            *(nn.Conv2d(64, 192, 3, padding=1), flat(192), nn.ReLU(), pool(3, (1, 2))),
            *(nn.Conv2d(192, 384, 3, padding=1), flat(384), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), flat(256), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), flat(256), nn.ReLU(), pool(3, 2)),
            *(nn.Conv2d(256, 512, (5, 4)), flat(512), nn.ReLU()),
        )
        self.netfcaud, self.netfclip = _head(), _head()
        self.netcnnlip = nn.Sequential(
            *(nn.Conv3d(3, 96, (5, 7, 7), (1, 2, 2)), nn.BatchNorm3d(96), nn.ReLU()),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *(nn.Conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            *(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            *(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *(nn.Conv3d(256, 512, (1, 6, 6)), nn.BatchNorm3d(512), nn.ReLU()),
        )

    def adopt(self, state: nets.State) -> nets.State:
        """A released state dict with the counters of its norms, which files of that age do not have."""
        counters = {name: value for name, value in self.state_dict().items() if name.endswith("tracked")}
        return {**counters, **state}

    def of_sound(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Map MFCC float32 (n, 1, 13, 20) to (n, 1024)."""
        return self.netfcaud(self.netcnnaud(coefficients).flatten(1))  # type: ignore[no-any-return]

    def of_face(self, faces: torch.Tensor) -> torch.Tensor:
        """Map faces float32 (n, 3, 5, 224, 224) to (n, 1024)."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))  # type: ignore[no-any-return]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, WIDTH))


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network."""
    return SyncNet()


def faces(sample: Sample) -> NDArray[np.uint8]:
    """A clip's frames as the network's input, uint8 (t, 3, 224, 224): blue, green, red."""
    pictures = frames.pictures(sample)
    colour = pictures if pictures.ndim == 4 else np.repeat(pictures[..., None], 3, axis=3)
    sized = [
        one if one.shape[:2] == (SIDE, SIDE) else cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for one in colour
    ]
    return np.stack(sized)[..., ::-1].transpose(0, 3, 1, 2)


def curve(face: torch.Tensor, sound: torch.Tensor, offsets: int = OFFSETS) -> NDArray[np.float64]:
    """Mean distance at offsets -k to k of vectors float32 (n, d) each, float64 (2k + 1,)."""
    wide = F.pad(sound, (0, 0, offsets, offsets))
    spans = wide.unfold(0, 2 * offsets + 1, 1).transpose(1, 2)
    distances = F.pairwise_distance(face[:, None], spans).mean(dim=0)
    return nets.to_numpy(distances).astype(np.float64)


class Judge:
    """The model with its weights, in evaluation mode: clips with frames -> distances of sound and face over offsets."""

    def __init__(
        self,
        network: nn.Module,
        model: ModuleType,
        params: Mapping[str, Any],
        device: str = "auto",
        precision: str = "float32",  # noqa: ARG002 - as released
    ) -> None:
        self.device = nets.pick_device(device)
        self.net: Any = network.to(self.device).eval()  # `nets.place` knows no 3D convolutions
        self.model, self.params = model, params

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Judge clips one by one.

        Raises:
            ModelError: a clip without frames, or with six or fewer.
        """
        return {"sync": ragged([self._judged(sample) for sample in samples])}

    def _judged(self, sample: Sample) -> NDArray[np.float64]:
        if "frames" not in sample.fields:
            raise ModelError(f"{sample.key} has no frames; SyncNet looks at face crops")
        face_frames, coefficients = faces(sample), mfcc(sample.fields["audio"])
        count = min(len(face_frames), len(sample.fields["audio"]) // frames.SAMPLES) - SPAN
        if count < 1:
            raise ModelError(f"{sample.key} has {len(face_frames)} frames; SyncNet needs {SPAN + 1} at least")
        face, sound = [], []
        with torch.inference_mode():
            for start in range(0, count, self.params["batch"]):
                rows = range(start, min(count, start + self.params["batch"]))
                windows = np.stack([face_frames[row : row + SPAN].transpose(1, 0, 2, 3) for row in rows])
                sounds = np.stack([coefficients[4 * row : 4 * row + HEARD].T[None] for row in rows])
                face.append(self.net.of_face(torch.from_numpy(windows).float().to(self.device)))
                sound.append(self.net.of_sound(torch.from_numpy(sounds).float().to(self.device)))
        return curve(torch.cat(face), torch.cat(sound))


predictor = Judge


def mfcc(wave: Wave) -> Floats:
    """Coefficients of audio int16 (n,), float64 (windows, 13)."""
    values = np.append(wave[:1], wave[1:] - 0.97 * wave[:-1].astype(np.float64)).astype(np.float64)
    count = 1 + max(0, -(-(len(values) - LENGTH) // STEP))
    wide = np.pad(values, (0, max(0, (count - 1) * STEP + LENGTH - len(values))))
    parts = wide[STEP * np.arange(count)[:, None] + np.arange(LENGTH)]
    power = np.square(np.abs(np.fft.rfft(parts, FFT))) / FFT
    energy = np.maximum(power.sum(axis=1), TINY)
    bands = np.maximum(power @ _triangles().T, TINY)
    coefficients = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :KEPT]
    coefficients *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(KEPT) / LIFTER)
    coefficients[:, 0] = np.log(energy)
    return np.asarray(coefficients, np.float64)


@lru_cache(maxsize=1)
def _triangles() -> Floats:
    """Filters, float64 (26, 257), whose corners are whole bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), TRIANGLES + 2)
    bins = np.floor((FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE).astype(int)
    filters = np.zeros((TRIANGLES, FFT // 2 + 1))
    for row, (low, middle, high) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        filters[row, low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        filters[row, middle:high] = (high - np.arange(middle, high)) / max(high - middle, 1)
    return filters
