"""A shift that grows step by step, without a reset in between, for methods that adapt.

Source: the "gradually changing" setting of Wang et al. 2022, "Continual test-time domain adaptation" (CVPR), section 4.
"""

from typing import Any

from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.streams._steps import Step

TITLE = "Rising severity"


class Options(declare.Options):
    dataset: str = Field("fashion_mnist", description="dataset of the samples")
    split: str = Field("test", description="split of the dataset")
    shift: str = Field("gaussian_noise", description="a plugin of type shifts, or a name under `shifts:`")
    severities: list[float] = Field([0.5, 1.0, 2.0, 3.0, 4.0, 5.0], description="severity at each step")


def steps(params: dict[str, Any]) -> list[Step]:
    """The shift at each severity, in order."""
    return [
        Step(params["dataset"], params["split"], params["shift"], float(severity)) for severity in params["severities"]
    ]
