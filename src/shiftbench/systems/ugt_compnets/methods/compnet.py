"""CompNet and UGT: explain a frozen model's feature map by parts, classes by the parts' places, the rest as outliers.

| `dictionary` | parts are learned from |
| --- | --- |
| source | the source's images (CompNet) |
| target | unlabelled target images, from nothing: what the released commands of UGT run |
| warm | unlabelled target images, beginning with the source's parts |
| temper | the same, responsibilities tempered by the source's (`weight`, lambda) |
| map | the same, directions drawn to the source's (`eta`) |

Spatial coefficients are learned from the source's labels with that dictionary. `refine: true` takes the target images
whose largest softmax of `factor` x score is at least `confidence` under their predicted class, learns coefficients from
these, and then trains both (`_refinement`). Logits are `factor` x score. No label of the target is read: its shards are
decoded without (`methods/_targets.py`), and what is adapted on may be another part of the target than what is answered
(`target`).

Source: Kaushik, Kortylewski and Yuille 2024, "A Bayesian Approach to OOD Robustness in Image Classification",
arXiv:2403.07277, section 3, with the constants of toshi2k2/CompnetDA; CompNets are of Kortylewski et al., CVPR 2020,
arXiv:2003.04490. Differs: all images have the size that the model takes, also where the dictionary is learned; of each
domain `images` are drawn, where the code takes up to 1,000 of each class and so looks at the target's labels; see
`_vmf`, `_coefficients`, `_scoring`, `_clutter` and `_refinement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.methods import _targets
from shiftbench.systems.ugt_compnets.methods import _clutter, _coefficients, _features, _refinement, _scoring, _vmf
from shiftbench.systems.ugt_compnets.methods._scoring import Head

SEES = "sample"
NEEDS = ("net",)
TASKS = ("classification",)
DICTIONARIES = ("source", "target", "warm", "temper", "map")


class Options(declare.Options):
    layer: str = Field("body.10", description="layer whose feature map is explained")
    dictionary: Literal["source", "target", "warm", "temper", "map"] = Field(
        "source", description="images that the parts are learned from, and how"
    )
    target: str = Field("", description="data set that is adapted to; empty: the tested one")
    kernels: int = Field(512, ge=1, description="parts of the dictionary")
    kappa: float = Field(30.0, gt=0, description="concentration of a part's distribution of directions")
    positions: int = Field(20, ge=1, description="positions of each image that parts are learned from")
    border: int = Field(3, ge=0, description="positions at the map's border that parts are not learned from")
    images: int = Field(12_000, ge=1, description="target images that parts are learned from, at most")
    weight: float = Field(0.3, ge=0, description="lambda of `temper`: weight of the source's responsibilities")
    eta: float = Field(16.0, ge=0, description="weight of the source's directions in `map`")
    source_images: int = Field(50_000, ge=1, description="source images that are learned from, at most")
    mixtures: int = Field(4, ge=1, description="components of each class")
    grouping: Literal["spectral", "kmeans"] = Field(
        "spectral", description="clustering that gives the first components"
    )
    update: Literal["mean", "released"] = Field(
        "mean", description="update of the coefficients: ours, or the released one"
    )
    outliers: bool = Field(True, description="explain positions by outliers where these fit better than the class")
    share: float = Field(0.6, ge=0, le=1, description="prior probability that an outlier explains a position")
    factor: float = Field(2.0, gt=0, description="factor of the scores in the logits")
    scenes: str = Field("", description="data set of pictures without objects, for outliers; empty: none")
    scene_images: int = Field(200, ge=0, description="its images that outliers are learned from, at most")
    noise_images: int = Field(200, ge=0, description="images of noise that outliers are learned from")
    refine: bool = Field(
        False, description="train parts and coefficients on target images that are answered with confidence"
    )
    confidence: float = Field(0.5, ge=0, le=1, description="largest softmax from which an image counts as such")
    q: float = Field(0.8, gt=0, le=1, description="exponent of the generalised cross-entropy of the refinement")
    part_weight: float = Field(3.0, ge=0, description="weight of the parts' loss in the refinement")
    score_weight: float = Field(3.0, ge=0, description="weight of the predicted class's score in the refinement")
    epochs: int = Field(60, ge=0, description="epochs of the refinement")
    batch_size: fields.BatchSize = 64
    lr: fields.LearningRate = 0.01
    decay: float = Field(0.98, gt=0, le=1, description="factor of the learning rate after each epoch")
    seed: fields.Seed = 0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The source's train shards, the scenes, and the target of the condition if it is learned from."""
    inputs = _fixed(params["dataset"], params["scenes"])
    return [*inputs, *(_targets.needs(params) if adapts(params) else ())]


def _fixed(dataset: str, scenes: str) -> list[Ref]:
    return [refs.shards(name, "train") for name in (dataset, scenes) if name]


def adapts(params: Mapping[str, Any]) -> bool:
    """Whether something is learned from the target."""
    return bool(params["dictionary"] != "source" or params["refine"])


def wrap(predictor: Any, params: dict[str, Any], inputs: Mapping[Ref, Path]) -> CompNet:
    """The predictor with `at`.

    Raises:
        ParamsError: an option is another word, or the model has no such layer.
        ModelError: a black box.
    """
    if params["dictionary"] not in DICTIONARIES:
        raise ParamsError(
            f"compnet: dictionary is {params['dictionary']!r}; {suggest(params['dictionary'], DICTIONARIES)}"
        )
    _coefficients.check(params["grouping"], params["update"])
    return CompNet(predictor, params)


class CompNet:
    """A predictor with the head of the condition's target; it keeps the heads that it learned."""

    def __init__(self, predictor: Any, params: Mapping[str, Any]) -> None:
        self.extract = _features.Extractor(predictor, params["layer"])
        self.predictor, self.params = predictor, params
        self.head: Head | None = None
        self._heads: dict[Path | None, Head] = {}
        self._learner: Learner | None = None

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a condition: learn the head for its target, or take the one that was learned for it."""
        checkpoint = CheckpointName.of(next(ref for ref in inputs if ref.kind == "checkpoints"))
        source, *scenes = _fixed(checkpoint.dataset, self.params["scenes"])
        folders = {(ref.kind, ref.name): path.parent for ref, path in inputs.items()}
        if self._learner is None:
            image_folders = [folders[one.kind, one.name] for one in (source, *scenes)]
            self._learner = Learner(
                self.extract, self.params, image_folders[0], *image_folders[1:], seed=checkpoint.seed
            )
        target = None
        if adapts(self.params):
            target = _targets.find(inputs, self.params["target"], (source, *scenes)).folder
        if target not in self._heads:
            self._heads[target] = self._learner.head(target)
        self.head = self._heads[target]

    def prepare(self, samples: Sequence[Sample]) -> np.ndarray[Any, Any]:
        """The model's input for samples, one row each."""
        return self.extract.prepare(samples)

    def predict_prepared(self, batch: np.ndarray[Any, Any]) -> nets.Outputs:
        """`logits`, float32 (n, classes), of a batch that `prepare` made."""
        return {"logits": (self.params["factor"] * self.scores(batch)).numpy()}

    def scores(self, batch: np.ndarray[Any, Any]) -> torch.Tensor:
        """Scores (n, classes) of prepared images."""
        return torch.cat([scored(self.extract.of_prepared(rows), self._now) for rows in parts(batch)])

    def occlusion(self, batch: np.ndarray[Any, Any]) -> torch.Tensor:
        """The occlusion maps (n, H, W) of prepared images, above 0 where a position is an outlier."""
        maps = []
        for rows in parts(batch):
            cosines = _scoring.cosines(self.extract.of_prepared(rows), self._now.mu)
            maps.append(_scoring.occlusion(cosines, self._now))
        return torch.cat(maps)

    @property
    def _now(self) -> Head:
        if self.head is None:
            raise ParamsError("compnet has no head before `at` told it the position")
        return self.head

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Prepare and predict."""
        return self.predict_prepared(self.prepare(samples))


def parts(batch: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """A batch in pieces of at most 128 images."""
    return [batch[start : start + _targets.BATCH] for start in range(0, len(batch), _targets.BATCH)]


def scored(maps: torch.Tensor, head: Head) -> torch.Tensor:
    """The scores (n, C) of feature maps."""
    with torch.no_grad():
        return _scoring.scores(_scoring.cosines(maps, head.mu), head)


class Learner:
    """Learns heads for one model; the parts that depend on the source alone are learned once.

    Args:
        extract: makes feature maps.
        params: the method's options.
        source: shards of the source's train split.
        scenes: shards of ordinary scenes, if there are some.
        seed: of the training that made the model; each has draws of its own.
    """

    def __init__(
        self,
        extract: _features.Extractor,
        params: Mapping[str, Any],
        source: Path,
        scenes: Path | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self._extract, self._params = extract, params
        self._words = RandomStream(params["seed"], "compnet", "", str(seed))
        self._source = source
        rows = _targets.some(source, params["source_images"], self._words.of("source"))
        labels = [int(sample.fields["label"]) for sample in shards.read(source, ["label"])]
        self._labels = torch.tensor(labels)[torch.from_numpy(rows)]
        self._maps = extract.all(_targets.images(source, rows))
        self._classes = len(shards.manifest(source)["classes"])
        self._clutter = _clutter.Clutter(extract, _clutter.first(source), scenes, params, self._words)
        self._own: _vmf.Mixture | None = None

    def head(self, target: Path | None) -> Head:
        """The head for a target; None where nothing is learned from one."""
        params = self._params
        mixture = self._dictionary(target)
        cosines = _scoring.cosines(self._maps, mixture.mu)
        coefficients = self._coefficients(cosines, self._labels)
        head = Head(
            mixture.mu, coefficients, self._clutter(mixture.mu), params["kappa"], params["share"], params["outliers"]
        )
        return self._refined(head, target) if params["refine"] and target else head

    def _coefficients(self, cosines: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        params = self._params
        return _coefficients.learn(
            cosines,
            labels,
            self._classes,
            params["kappa"],
            params["mixtures"],
            self._words.of("groups"),
            params["grouping"],
            params["update"],
        )

    def _source_mixture(self) -> _vmf.Mixture:
        if self._own is None:
            self._own = self._mixture(self._source)
        return self._own

    def _dictionary(self, target: Path | None) -> _vmf.Mixture:
        params, kind = self._params, self._params["dictionary"]
        if kind == "source" or target is None:
            return self._source_mixture()
        if kind == "target":
            return self._mixture(target)
        source = self._source_mixture()
        options: dict[str, Any] = {}
        if kind == "temper":
            options = {"source": source, "weight": params["weight"]}
        if kind == "map":
            options = {"settle": _vmf.settled(source, params["eta"])}
        return self._mixture(target, source, **options)

    def _mixture(self, folder: Path, start: _vmf.Mixture | None = None, **options: Any) -> _vmf.Mixture:
        """The mixture of a folder's images, from `start` or, without it, from directions that are drawn."""
        params, directions = self._params, self._directions(folder)
        if start is None:
            start = _vmf.initial_mixture(directions, params["kernels"], self._words.of("kernels"))
        return _vmf.fit(directions, start, params["kappa"], **options)[0]

    def _directions(self, folder: Path) -> torch.Tensor:
        params, words = self._params, self._words.of("positions")
        rows = _targets.some(folder, params["images"], self._words.of("images"))
        return torch.cat(
            [
                _features.directions(self._extract(batch), params["positions"], params["border"], words)
                for batch in _targets.images(folder, rows)
            ]
        )

    def _refined(self, head: Head, target: Path) -> Head:
        params = self._params
        maps, labels = self._pseudo(head, target)
        if not len(labels):
            return head
        coefficients = self._coefficients(_scoring.cosines(maps, head.mu), labels)
        missing = torch.bincount(labels, minlength=self._classes) == 0
        coefficients[missing] = head.coefficients[missing]
        start = head._replace(coefficients=coefficients)
        return _refinement.refine(maps, labels, start, self._clutter, params, self._words.of("epochs"))

    def _pseudo(self, head: Head, target: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """The maps of target images that the head is confident of, and their predicted classes int64 (n,)."""
        confident_maps, labels = [], []
        for batch in _targets.images(target):
            maps = self._extract(batch)
            confidence, predicted = (self._params["factor"] * scored(maps, head)).softmax(1).max(1)
            is_confident = confidence >= self._params["confidence"]
            confident_maps.append(maps[is_confident])
            labels.append(predicted[is_confident])
        return torch.cat(confident_maps), torch.cat(labels)
