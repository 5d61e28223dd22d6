"""Models of outliers: white images, noise, and ordinary scenes without the classes of the task.

Source: `background_images` and `update_clutter_model` of the released code: one model of white, one of noise, five vMF
clusters of scenes. Differs: the images are of the options, not its photos of coasts and streets.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins.methods import _targets
from shiftbench.systems.ugt_compnets.methods import _coefficients, _scoring, _vmf
from shiftbench.systems.ugt_compnets.methods._features import Extractor

CLUSTERS = 5
MOST_VECTORS = 5000


class Clutter:
    """Feature maps of background images; with directions they give the clutter models (J, K).

    Args:
        extract: makes feature maps.
        like: a sample of the images that are scored, of whose shape white and noise are.
        scenes: shards of ordinary scenes; None: there are none.
        params: `noise_images`, how many; `scene_images`, at most how many; `kappa`.
        words: of noise, draws and clusters.
    """

    def __init__(
        self, extract: Extractor, like: Sample, scenes: Path | None, params: Mapping[str, Any], words: RandomStream
    ) -> None:
        self._kappa, self._words = params["kappa"], words
        shape = like.fields["image"].shape
        self.white = extract([Sample("white", {"image": np.full(shape, 255, dtype=np.uint8)})])
        self.noise = extract.all(noise(shape, params["noise_images"], words.of("noise")))
        self.scenes: torch.Tensor | None = None
        if scenes is not None:
            rows = _targets.some(scenes, params["scene_images"], words.of("scenes"))
            self.scenes = extract.all(_targets.images(scenes, rows))

    def __call__(self, mu: torch.Tensor) -> torch.Tensor:
        """Beta (J, K), rows sum to 1: white, noise, and up to five clusters of scenes."""
        models = [self._activations(maps, mu).mean(0)[None] for maps in (self.white, self.noise)]
        if self.scenes is not None:
            vectors = self._activations(self.scenes, mu)
            rows = torch.from_numpy(self._words.of("vectors").choice(len(vectors)))[:MOST_VECTORS]
            models.append(clustered(vectors[rows], self._kappa, self._words.of("clusters")))
        return torch.cat(models)

    def _activations(self, maps: torch.Tensor, mu: torch.Tensor) -> torch.Tensor:
        activations = _coefficients.maps(_scoring.cosines(maps, mu), self._kappa)
        return activations.permute(0, 2, 3, 1).reshape(-1, len(mu))


def clustered(vectors: torch.Tensor, kappa: float, words: RandomStream) -> torch.Tensor:
    """The mean of each cluster that has members, of activations (n, K) whose directions a vMF mixture sorts."""
    directions = torch.nn.functional.normalize(vectors, dim=1)
    count = min(CLUSTERS, len(vectors))
    mixture, _ = _vmf.fit(directions, _vmf.initial_mixture(directions, count, words), kappa)
    best = _vmf.log_joint(directions, mixture, kappa).argmax(1)
    return torch.stack([vectors[best == one].mean(0) for one in best.unique()])


def noise(shape: tuple[int, ...], count: int, words: RandomStream) -> Iterator[list[Sample]]:
    """Yield images whose values are uniform in 0 to 255, in batches."""
    for start in range(0, count, _targets.BATCH):
        size = min(_targets.BATCH, count - start)
        values = words.integers(0, 256, (size, *shape)).astype(np.uint8)
        yield [Sample(f"noise/{start + number}", {"image": image}) for number, image in enumerate(values)]


def first(folder: Path) -> Sample:
    """The first image of shards."""
    return next(shards.read(folder, ["image"]))
