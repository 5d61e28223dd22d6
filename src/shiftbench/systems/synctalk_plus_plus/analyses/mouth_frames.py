"""Mouths as they would be seen: landmarks, pictures, and whether a motion is one that faces make, for each clip.

From the records of a benchmark's weights, with the true targets beside:

- `lmd` (pixels of the 96 x 96 crop): distance of the mouth's 20 landmarks to the true ones, each set less its
  centroid;
- `landmark_jitter` (pixels): mean second difference over time;
- `upper_face_correlation`: Pearson's correlation with the true brow, lids and cheeks, mean of those that move;
- `off_manifold`: share of the motion's snippets of 8 frames that are farther from the nearest snippet of the training
  motions than 99% of the true snippets of val are;
- `psnr` (dB) and `ssim` of the rendered crop with the one rendered from the truth, of every `every`-th frame, under
  `pictured`.

Source: LMD, PSNR and SSIM as in `statistics/motion.py`; the manifold test is ours, for the claim that a codebook's
motion is plausible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.statistics import motion
from shiftbench.systems.synctalk_plus_plus.analyses import _face
from shiftbench.systems.synctalk_plus_plus.models.mouth_codebook import SNIPPET

SHARE = 99.0  # percentile of ID motions
MOUTH = 2  # openness and width come first
STRIDE = 4  # frames between a motion's snippets
Floats = NDArray[np.float64]


class Options(declare.Options):
    conditions: dict[str, float | str] = Field({}, description="shift -> severity, or data set of a domain shift")
    pictured: list[str] = Field([], description="shifts whose frames are rendered and compared")
    every: int = Field(12, ge=1, description="rendered frames: one of so many")
    method: str = Field("sync_judge", description="method whose records are read")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records and clips of each condition, the training clips, and the photo."""
    places = _places(params)
    records = [_record(params, name, shift) for name in params["checkpoints"] for shift in places]
    training_clips = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*records, *dict.fromkeys(places.values()), *training_clips, refs.sources(_scikit_photos.SOURCE)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield each clip's measures, for all weights and conditions."""
    params = job.params
    manifold = Manifold.of(job)
    photo = job.inputs[refs.sources(_scikit_photos.SOURCE)].parent
    square = _face.crop({_scikit_photos.SOURCE: photo})
    for shift, ref in _places(params).items():
        clips = {sample.key: sample for sample in job.samples(ref)}
        true_faces = {}
        if shift in params["pictured"]:
            true_faces = {
                key: _face.render(square, _pictured_frames(job, frames.targets(clip))) for key, clip in clips.items()
            }
        for name in params["checkpoints"]:
            for key, curves in _motions(job, _record(params, name, shift)):
                measures = _measures(clips[key], curves, manifold)
                if true_faces:
                    rendered = _face.render(square, _pictured_frames(job, curves))
                    measures |= {
                        "psnr": motion.psnr(rendered, true_faces[key]),
                        "ssim": motion.ssim(rendered, true_faces[key]),
                    }
                for metric, value in measures.items():
                    yield _observation(params, name, shift, metric, key, value)


def _measures(clip: Sample, curves: Floats, manifold: Manifold) -> dict[str, float]:
    true_curves = frames.targets(clip)
    points, true_points = (_face.landmarks(mouth_curves[:, :2]) for mouth_curves in (curves, true_curves))
    return {
        "upper_face_correlation": upper_face(curves, true_curves),
        "lmd": motion.landmark_distance(points, true_points),
        "landmark_jitter": motion.jitter(points),
        "off_manifold": manifold.off(curves),
    }


def upper_face(curves_of_model: Floats, true_curves: Floats) -> float:
    """The mean correlation of the curves after the mouth's two, (t, d) both, of which one moves at least."""
    curves = zip(curves_of_model.T[MOUTH:], true_curves.T[MOUTH:], strict=True)
    return float(np.nanmean([motion.correlation(curve, true_curve) for curve, true_curve in curves]))


class Manifold:
    """The snippets of the training motions, and how far ID motions are from them.

    Args:
        known: of training motions, float64 (n, 8 d).
        held: of ID motions that were not learned from, which set the bound.
    """

    def __init__(self, train_snippets: Floats, val_snippets: Floats) -> None:
        self._tree = cKDTree(train_snippets)
        self.bound = float(np.percentile(self._tree.query(val_snippets)[0], SHARE))

    @classmethod
    def of(cls, job: Measurement) -> Manifold:
        """The manifold of a job's training clips, its bound set by those of val."""
        train_snippets, val_snippets = (
            np.concatenate(
                [snippets(frames.targets(clip)) for clip in job.samples(refs.shards(job.params["dataset"], split))]
            )
            for split in ("train", "val")
        )
        return cls(train_snippets, val_snippets)

    def off(self, curves: Floats) -> float:
        """The share of a motion's snippets that are farther than the bound."""
        return float(np.mean(self._tree.query(snippets(curves)[::STRIDE])[0] > self.bound))


def snippets(curves: Floats) -> Floats:
    """All windows of 8 frames of a motion (t, d), float64 (t - 7, 8 d)."""
    spans = np.lib.stride_tricks.sliding_window_view(curves, SNIPPET, axis=0)
    return spans.transpose(0, 2, 1).reshape(len(spans), -1)


def _pictured_frames(job: Measurement, curves: Floats) -> Floats:
    return curves[:: job.params["every"], :2]


def _motions(job: Measurement, record: Ref) -> Iterator[tuple[str, Floats]]:
    """Yield each clip's key and its motion, float64 (t, d)."""
    for row in job.records(record).select(["key", "motion", "width"]).to_pylist():
        yield row["key"], np.array(row["motion"], dtype=np.float64).reshape(-1, row["width"])


def _places(params: Mapping[str, Any]) -> dict[str, Ref]:
    """Each condition's clips, the clean ones first."""
    dataset, split = params["dataset"], params["split"]
    places = {"identity": refs.shards(dataset, split)}
    for shift, severity_or_dataset in params["conditions"].items():
        domain = isinstance(severity_or_dataset, str)
        places[shift] = (
            refs.shards(severity_or_dataset, split)
            if domain
            else refs.shards(dataset, split, shift, severity_or_dataset)
        )
    return places


def _severity(params: Mapping[str, Any], shift: str) -> float | None:
    severity_or_dataset = 0 if shift == "identity" else params["conditions"][shift]
    return None if isinstance(severity_or_dataset, str) else float(severity_or_dataset)


def _record(params: Mapping[str, Any], weights: str, shift: str) -> Ref:
    severity = _severity(params, shift)
    step = "1" if severity is None else f"{severity:g}"
    stream = f"{params['dataset']}/{params['split']}/{shift}"
    return refs.records(Ref("checkpoints", weights), params["method"], stream, step)


def _observation(
    params: Mapping[str, Any], weights: str, shift: str, metric: str, key: str, value: float
) -> Observation:
    return Observation(
        metric, key, value, weights, params["dataset"], params["split"], params["method"], shift=shift,
        severity=_severity(params, shift),
    )  # fmt: skip
