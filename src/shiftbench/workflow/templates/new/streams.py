"""NAME: a shift that grows and goes back again, without a reset: does a method that adapts recover?

Source: the setting of Wang et al. 2022, "Continual test-time domain adaptation" (CVPR), section 4.
Differs: ends where it began.
"""

from typing import Any

from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.streams._steps import Step


class Options(declare.Options):
    dataset: str = Field("digits", description="data set of all steps")
    split: str = Field("test", description="split of the data set")
    shift: str = Field("contrast", description="shift of all steps")
    severities: list[float] = Field(
        [1.0, 3.0, 5.0], description="severities on the way up; they come again on the way down"
    )


def steps(params: dict[str, Any]) -> list[Step]:
    """One step per severity, up and then down."""
    up = [float(severity) for severity in params["severities"]]
    return [Step(params["dataset"], params["split"], params["shift"], severity) for severity in [*up, *up[-2::-1]]]
