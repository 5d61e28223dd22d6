"""Sound and picture of a clip belong together: a model moves a face to a sound, or judges whether they fit.

A sample has `audio`, and per frame `targets`, pictures (`frames`), both or neither (`data/frames.py`). A model that
moves a face gives `motion`, object (n,) of float (t, d): for each frame as many numbers as there are targets, in 0 to
1. What judges gives `sync`, object (n,) of float (2k + 1,): the mean distance of picture and sound, where the sound
is taken 0 to k frames earlier or later, from -k to k. Both may be given, of a method that judges a model's motion.

Measures are of one clip (`statistics/motion.py`), and clips are what is resampled, not frames. Those that ask for the
truth are null for clips without targets, or whose first target stands still; those of sync without `sync`.
"""

import math
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.data.formats import E9, Column, Format
from shiftbench.plugins.tasks import _classified, _shown
from shiftbench.plugins.tasks._classes import LabelSpace
from shiftbench.statistics import motion

FIELDS = {"audio": "wav", "targets": "targets.json", "frames": "frames.png", "text": "txt", "meta": "json"}
REQUIRED = ("audio",)
METRICS = (
    *("mouth_correlation", "mouth_concordance", "amplitude_ratio"),
    *("lse_c", "lse_d", "av_offset", "offset_hit_share", "offset_moved"),
    *("accuracy_drop", "accuracy_drop_relative"),
)
LARGEST = 1000 * E9

RECORDS = Format(
    "records/audio_visual/full",
    "One row per clip of an evaluation artifact: how its motion follows the true one, and how it fits the sound.",
    ("key",),
    (
        Column("key", pa.string(), "", "sample key"),
        Column("frames", pa.int32(), "frame", "frames of the clip", 1),
        Column("correlation_e9", pa.int64(), "1e-9", "of the first target with the true one", -E9, E9, nullable=True),
        Column("concordance_e9", pa.int64(), "1e-9", "Lin's, likewise", -E9, E9, nullable=True),
        Column("amplitude_e9", pa.int64(), "1e-9", "its standard deviation as a share of the true one's", 0, LARGEST,
               nullable=True),
        Column("lse_d_e9", pa.int64(), "1e-9", "least mean distance of sound and picture over offsets", 0, LARGEST,
               nullable=True),
        Column("lse_c_e9", pa.int64(), "1e-9", "median of these distances less the least", 0, LARGEST, nullable=True),
        Column("offset", pa.int32(), "frame", "where the least is; above 0: the sound is late", nullable=True),
        Column("motion", pa.list_(pa.float32()), "range", "the model's numbers, frame by frame", nullable=True),
        Column("width", pa.int32(), "", "how many for each frame", 0),
        Column("group", pa.string(), "", "subgroup that metrics are also given for", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together; null: the clip", nullable=True),
    ),
)  # fmt: skip
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, whatever the outputs mode."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a clip whose parts do not belong together (DataError, RangeError); see `frames.check`."""
    frames.check(sample)


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a clip: the beginning of its sound, and the spoken text."""
    row = _shown.shown(sample)
    row.pop("label")
    return row


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per clip, in their order.

    `outputs`: `motion`, `sync`, or both; see above.
    """
    known = [name for name in ("motion", "sync") if name in outputs]
    if not known or any(len(outputs[name]) != len(samples) for name in known):
        lengths = {name: len(value) for name, value in outputs.items()}
        raise ModelError(
            f"expected motion or sync, one entry for each of {len(samples)} clips; "
            f"the model gives {lengths or 'nothing'}"
        )
    made = [_row(sample, {name: outputs[name][at] for name in known}) for at, sample in enumerate(samples)]
    columns = {name: [row.get(name) for row in made] for name in RECORDS.names}
    return pa.table({**columns, **_classified.metas(samples)}, schema=RECORDS.arrow)


def _row(sample: Sample, answer: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": sample.key, "frames": frames.count(sample), "width": 0}
    if "motion" in answer:
        track = _motion(sample, np.asarray(answer["motion"], dtype=np.float64))
        row |= {"motion": track.astype(np.float32).ravel(), "width": track.shape[1]}
        row |= _compared(sample, track)
    if "sync" in answer:
        row |= _sync(sample.key, np.asarray(answer["sync"], dtype=np.float64))
    return row


def _motion(sample: Sample, track: NDArray[np.float64]) -> NDArray[np.float64]:
    expected = (frames.count(sample), len(frames.names(sample)) if "targets" in sample.fields else 0)
    fits = track.ndim == 2 and len(track) == expected[0] and track.shape[1] >= max(expected[1], 1)
    if not fits or not np.isfinite(track).all():
        raise ModelError(
            f"sample {sample.key!r}: expected finite motion of shape {expected} (frames, targets), found "
            f"{track.shape}{'' if np.isfinite(track).all() else ' with numbers that are not finite'}"
        )
    return track


def _compared(sample: Sample, track: NDArray[np.float64]) -> dict[str, int | None]:
    if "targets" not in sample.fields:
        return {}
    own, truth = track[:, 0], frames.targets(sample)[:, 0]
    measures = {
        "correlation_e9": motion.correlation,
        "concordance_e9": motion.concordance,
        "amplitude_e9": motion.amplitude_ratio,
    }
    return {name: _e9(measure(own, truth)) for name, measure in measures.items()}


def _sync(key: str, distances: NDArray[np.float64]) -> dict[str, int | None]:
    if distances.ndim != 1 or len(distances) % 2 == 0 or not np.isfinite(distances).all():
        raise ModelError(
            f"sample {key!r}: sync is {distances.shape}; expected an odd number of finite distances, -k to k frames"
        )
    low, above, offset = motion.sync(distances)
    return {"lse_d_e9": _e9(low), "lse_c_e9": _e9(above), "offset": offset}


def _e9(value: float) -> int | None:
    return None if math.isnan(value) else max(-LARGEST, min(round(value * E9), LARGEST))
