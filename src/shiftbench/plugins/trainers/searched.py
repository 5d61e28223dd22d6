"""Choice among checkpoints of several trainers: the one that separates validation OOD best from ID val.

    trainers:
      weak: {use: ascood, alpha_max: 1, alpha_min: 1}
      strong: {use: ascood, alpha_max: 10, alpha_min: 10}
      ascood_searched: {use: searched, among: [weak, strong], val_ood: [animal_shape]}

So an option of training is chosen as detectors' options are: by the AUROC of a detector of logits (the mean over
the sets), the first best wins. Nothing is trained; candidates are those of the same model, dataset and seed. The log
has each candidate's `auroc`, numbered from 0 by its step, and the number that was `chosen`. Name the sets under the
benchmark's `val_ood`, too: then it is proved that none of their samples is tested on.

Source: the search on validation OOD of OpenOOD v1.5, arXiv:2306.09301 (section 3), of which training methods' settings
are a part; ASCOOD's alpha (arXiv:2411.10794) is chosen so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.metrics.ood_detection import auroc
from shiftbench.statistics.thresholds import Sides

TITLE = "search"
TASKS = ("classification", "modalities")


class Options(declare.Options):
    among: list[str] = Field([], description="trainers whose checkpoints are the candidates")
    val_ood: list[str] = Field([], description="data sets of validation OOD, by which a candidate is chosen")
    detector: str = Field("msp", description="detector of logits whose AUROC is compared")
    batch_size: int = Field(256, ge=1, description="samples that are scored at once")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The candidates, ID val and validation OOD."""
    candidates = [refs.checkpoint(params["dataset"], params["model"], name, params["seed"]) for name in params["among"]]
    sets = [params["dataset"], *params["val_ood"]]
    return [*candidates, *(refs.shards(name, "val") for name in sets)]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The detector that separates the sets."""
    return [("detectors", params["detector"])]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the best candidate."""
    detector = _detector(job)
    files = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    sets = {ref.parts[0]: _samples(path) for ref, path in job.inputs.items() if ref.kind == "shards"}
    inside = sets.pop(job.dataset)
    areas = [_separation(job, detector, file, inside, list(sets.values())) for file in files]
    for number, area in enumerate(areas):
        job.log(number, "auroc", area)
    best = int(np.argmax(areas))  # the first of equals
    job.log(0, "chosen", best)
    return nets.read_state(files[best])


def _detector(job: TrainJob) -> Any:
    params = job.params
    if not params["among"] or not params["val_ood"]:
        raise ParamsError("searched: name trainers under `among` and datasets under `val_ood`")
    if not hasattr(job.plugin, "build"):
        raise ModelError(f"searched: model {job.model!r} is a black box, which nothing was trained of")
    detector = registry.find("detectors", params["detector"])
    if detector.NEEDS != ("logits",) or getattr(detector, "FIT", ()):
        raise ParamsError(
            f"searched: detector {params['detector']!r} needs more than logits; use msp, max_logit or energy"
        )
    return detector


def _samples(manifest: Path) -> list[Sample]:
    samples = list(shards.read(manifest.parent))
    if not samples:
        raise DataError(f"{manifest.parent} is empty; searched needs samples of ID val and of val_ood")
    return samples


def _separation(job: TrainJob, detector: Any, weights: Path, inside: list[Sample], sets: list[list[Sample]]) -> float:
    """The mean over the OOD sets of the AUROC against ID val."""
    network: torch.nn.Module = job.plugin.build(job.model_params, len(job.classes))
    nets.load_into(network, nets.read_state(weights), weights)
    predictor = nets.TorchPredictor(network, job.plugin, job.model_params, job.device)

    def scores(samples: list[Sample]) -> np.ndarray:
        size = job.params["batch_size"]
        parts = [predictor(samples[at : at + size])["logits"] for at in range(0, len(samples), size)]
        keys = pa.table({"key": [sample.key for sample in samples]})
        ood_scores: np.ndarray = detector.score(
            Rows(keys, kept_logits=np.concatenate(parts)), None, dict(registry.defaults(detector))
        )
        return ood_scores

    low = scores(inside)
    areas = []
    for samples in sets:
        high = scores(samples)
        ones = [np.ones((len(side), 1), np.uint8) for side in (low, high)]
        areas.append(float(auroc(Sides.of_ood(low, high, *ones))[0]))
    return float(np.mean(areas))
