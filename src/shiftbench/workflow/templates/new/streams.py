"""NAME: a shift that grows and goes back again, without a reset: does a method that adapts recover?

Source: the setting of Wang et al. 2022, "Continual test-time domain adaptation" (CVPR), section 4.
Differs: ends where it began.
"""

from typing import Any

from shiftbench.plugins.streams._steps import Step

PARAMS: dict[str, object] = {"dataset": "digits", "split": "test", "shift": "contrast", "severities": [1.0, 3.0, 5.0]}


def steps(params: dict[str, Any]) -> list[Step]:
    """Return one step per severity, up and then down."""
    up = [float(severity) for severity in params["severities"]]
    return [Step(params["dataset"], params["split"], params["shift"], severity) for severity in [*up, *up[-2::-1]]]
