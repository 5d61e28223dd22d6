"""ViM fitted on the ID validation split, as of Kinetics-600: residual space and alpha; else `vim`.

Source: donghao51/MultiOOD, `eval_video_flow_near_ood.py`; the detector's own is named in `vim`.
"""

from typing import Any

from shiftbench.plugins.detectors import vim
from shiftbench.plugins.detectors._rows import Known
from shiftbench.systems.multiood.detectors import _on_val

NEEDS = vim.NEEDS
FIT = ("val",)
score = vim.score


class Options(vim.Options):
    pass


def fit(known: Known, params: dict[str, Any]) -> Any:
    """The state of `vim`, fitted on validation rows."""
    return vim.fit(_on_val.val_as_train(known), params)
