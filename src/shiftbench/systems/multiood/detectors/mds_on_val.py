"""Mahalanobis fitted on the ID validation split, as of Kinetics-600: means of classes and one covariance; else `mds`.

Source: donghao51/MultiOOD, `eval_video_flow_near_ood.py`; the detector's own is named in `mds`.
"""

from typing import Any

from shiftbench.plugins.detectors import mds
from shiftbench.plugins.detectors._rows import Known
from shiftbench.systems.multiood.detectors import _on_val

NEEDS = mds.NEEDS
FIT = ("val",)
score = mds.score


class Options(mds.Options):
    pass


def fit(known: Known, params: dict[str, Any]) -> Any:
    """The state of `mds`, fitted on validation rows."""
    return mds.fit(_on_val.val_as_train(known), params)
