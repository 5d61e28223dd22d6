"""KNN fitted on the ID validation split, as of Kinetics-600: scores are squared distances of directions; else `knn`.

Source: donghao51/MultiOOD, `eval_video_flow_near_ood.py`; the detector's own is named in `knn`.
"""

from typing import Any

from shiftbench.plugins.detectors import knn
from shiftbench.plugins.detectors._rows import Known
from shiftbench.systems.multiood.detectors import _on_val

NEEDS = knn.NEEDS
FIT = ("val",)
score = knn.score


class Options(knn.Options):
    pass


def fit(known: Known, params: dict[str, Any]) -> Any:
    """The state of `knn`, fitted on validation rows."""
    return knn.fit(_on_val.val_as_train(known), params)
