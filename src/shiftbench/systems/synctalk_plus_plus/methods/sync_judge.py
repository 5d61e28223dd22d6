"""A judge listens: beside a model's motion its distance to the sound over offsets, by a judge that was trained apart.

The judge hears the sound that drove the model, shifted as it is. `judge` names its weights, DATASET/MODEL-TRAINER, of
seed 0 for every model, so that one judge has judged all.

Source: the protocol of SyncTalk++ (arXiv:2506.14742) for sound without true frames: LSE-D and LSE-C by a frozen
SyncNet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models._boxes import ragged
from shiftbench.systems.synctalk_plus_plus.models import mini_syncnet

SEES = "sample"
TASKS = ("audio_visual",)
MODEL = "mini_syncnet"


class Options(declare.Options):
    judge: str = Field("", description="model that judges, DATASET/MODEL-TRAINER, of seed 0")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The judge's checkpoint.

    Raises:
        ParamsError: none is named.
    """
    return [_judge(params)]


def _judge(params: Mapping[str, Any]) -> Ref:
    dataset, _, name = str(params["judge"]).rpartition("/")
    model, _, trainer = name.rpartition("-")
    if not dataset or model != MODEL or not trainer:
        raise ParamsError(f"sync_judge: judge is {params['judge']!r}; expected DATASET/{MODEL}-TRAINER")
    return refs.checkpoint(dataset, model, trainer, 0)


def wrap(
    predictor: Callable[[Sequence[Sample]], nets.Outputs], params: dict[str, Any], inputs: Mapping[Ref, Path]
) -> Judged:
    """The predictor, judged."""
    file = inputs[_judge(params)]
    model = mini_syncnet.build(registry.defaults(mini_syncnet), 0)
    nets.load_into(model, nets.read_state(file), file)
    return Judged(predictor, mini_syncnet.Judge(model, mini_syncnet, registry.defaults(mini_syncnet)))


class Judged:
    """A model and its judge."""

    def __init__(self, predictor: Callable[[Sequence[Sample]], nets.Outputs], judge: mini_syncnet.Judge) -> None:
        self.predictor, self.judge = predictor, judge

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """The motion, and how it fits the sound."""
        outputs = self.predictor(samples)
        pairs = zip(samples, outputs["motion"], strict=True)
        return {**outputs, "sync": ragged([self.judge.curve(sample, motion) for sample, motion in pairs])}
