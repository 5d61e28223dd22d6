"""A shift that grows step by step and is not reset in between: what a method that adapts has to live with.

Source: the "gradually changing" setting of Wang et al. 2022, "Continual test-time domain adaptation" (CVPR), section 4.
"""

from typing import Any

from shiftbench.plugins.streams._steps import Step

TITLE = "Rising severity"
PARAMS: dict[str, object] = {
    "dataset": "fashion_mnist",
    "split": "test",
    "shift": "gaussian_noise",
    "severities": [0.5, 1.0, 2.0, 3.0, 4.0, 5.0],
}


def steps(params: dict[str, Any]) -> list[Step]:
    """Return the shift at each severity, in the order given."""
    return [
        Step(params["dataset"], params["split"], params["shift"], float(severity)) for severity in params["severities"]
    ]
