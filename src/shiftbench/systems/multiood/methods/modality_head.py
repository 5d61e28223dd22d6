"""One modality alone: the logits of its own head, and its part of the features.

Methods:
      rgb_head: {use: modality_head, modality: rgb}

So records hold each modality's logits, next to those of the joint head under `plain`; the analysis
`modality_disagreement` reads them. Detectors of the `head` are refused, since the joint head did not make these logits.
Heads are trained where `unimodal` or `a2d` of the trainer is on; of the baseline they are as they were initialised.

Source: Dong et al. 2024, arXiv:2405.17419, section 3 (the discrepancy of the modalities' predictions).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare

SEES = "sample"
TASKS = ("modalities",)
NEEDS = ("net",)
P = TypeVar("P", bound=Callable[..., Any])


class Options(declare.Options):
    modality: str = Field("rgb", description="modality of the network")


def wrap(predictor: P, params: dict[str, Any], inputs: dict[Ref, Path]) -> P:
    """A predictor of one modality; the predictor itself where its network has no modalities.

    Raises:
        ParamsError: the network has modalities, but not this one.
    """
    from shiftbench.evaluation import nets  # torch
    from shiftbench.systems.multiood.methods import _alone

    if not isinstance(predictor, nets.TorchPredictor) or not hasattr(predictor.net, "alone"):
        return predictor
    model: Any = predictor.net
    names = model.names
    if params["modality"] not in names:
        hint = suggest(params["modality"], names)
        raise ParamsError(f"modality_head: modality is {params['modality']!r}; {hint}")
    head_predictor: Any = nets.TorchPredictor(
        _alone.Alone(predictor.net, params["modality"]),
        predictor.model,
        predictor.params,
        str(predictor.device),
        predictor.precision,
    )
    head: P = head_predictor
    return head
