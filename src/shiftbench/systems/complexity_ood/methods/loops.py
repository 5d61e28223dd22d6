"""Another depth at test time: a looped model runs its block `depth` times, whatever the question is.

Source: the depth that is swept at test time in arXiv 2510.06274's model classes, reconstructed; with `plain` a looped
model takes as many loops as the question has steps.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare

SEES = "sample"
TASKS = ("free_text",)


class Options(declare.Options):
    depth: int = Field(2, ge=1, description="how often the block is applied")


def wrap(predictor: Any, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> Any:
    """The predictor at that depth.

    Raises:
        ModelError: the model has no depth to choose.
        ParamsError: no depth.
    """
    if not hasattr(predictor, "at_depth"):
        raise ModelError("loops stands around looped_decoder alone; this model has one depth")
    if params["depth"] < 1:
        raise ParamsError(f"loops: depth is {params['depth']}; expected 1 at least")
    return predictor.at_depth(params["depth"])
