"""Few-shot adaptation without training: a few labelled target texts, embedded by the same network, join the database.

Texts are drawn again for each training seed; none of them is tested, which the splits of `support` must see to. The
release takes all of its file of ten shots (`shots: 0`), and nothing else is in its database (`mode: replace`). The
threshold stays that of the model: the AUROC does not depend on it.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 4 (few-shot adaptation by retrieval, 5 to 10 texts a side);
detree/cli/test_score_knn.py of heyongxin233/DETree, whose database is the file of labelled target texts and nothing
else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ModelError, ParamsError, suggest
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins import declare, fields
from shiftbench.systems.detree.models._database import Database, Voter

SEES = "sample"
TASKS = ("text_classification",)
MODES = ("add", "replace")


class Options(declare.Options):
    support: str = Field("", description="data set of the labelled target texts")
    split: Literal["train", "val", "test"] = Field("train", description="split of `support` that texts are drawn from")
    shots: int = Field(10, ge=0, description="texts of each side, human and machine; 0: all")
    mode: Literal["add", "replace"] = Field("add", description="add to the database, or leave nothing else in it")
    weight: float = Field(1.0, gt=0, description="vote of a target text, relative to that of a centre")
    seed: fields.Seed = 0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards that support is drawn from; none if no data set is named, which `wrap` refuses."""
    return [refs.shards(params["support"], params["split"])] if params["support"] else []


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Voter:
    """The predictor with another database.

    Raises:
        ModelError: the predictor has no database.
        ParamsError: no `support`, another `mode`, a weight that is not above 0, or a number of shots below 0.
        DataError: the support has fewer texts of a side than `shots`.
    """
    if not isinstance(predictor, Voter):
        raise ModelError("few_shot_database adds texts to a database, and this model has none")
    _check(params)
    support = refs.shards(params["support"], params["split"])
    folder = next((path.parent for ref, path in inputs.items() if ref == support), None)
    if folder is None:
        raise ParamsError("few_shot_database: name under `support` the dataset that target texts come from")
    checkpoint = next(ref for ref in inputs if ref.kind == "checkpoints")
    seed = str(CheckpointName.of(checkpoint).seed)
    words = RandomStream(params["seed"], "few_shot", params["support"], seed)
    texts = draw(list(shards.read(folder)), params["shots"], words)
    human = np.array([sample.fields["label"] == 0 for sample in texts])
    target = Database.of(predictor.embed(texts), human, params["weight"])
    adds = params["mode"] == "add"
    return replace(predictor, database=predictor.database.with_texts(target) if adds else target)


def _check(params: Mapping[str, Any]) -> None:
    if params["mode"] not in MODES:
        raise ParamsError(f"few_shot_database: mode is {params['mode']!r}; {suggest(params['mode'], MODES)}")
    if params["weight"] <= 0:
        raise ParamsError(f"few_shot_database: weight is {params['weight']}; expected more than 0")
    if params["shots"] < 0:
        raise ParamsError(f"few_shot_database: shots is {params['shots']}; expected 0 (all) or more")


def draw(samples: Sequence[Sample], shots: int, rng: RandomStream) -> list[Sample]:
    """`shots` texts of each side (0: all), in random order; human ones first.

    Raises:
        DataError: a side has fewer.
    """
    chosen = []
    for side in (0, 1):
        own = [sample for sample in samples if (sample.fields["label"] == 0) == (side == 0)]
        number = shots or len(own)
        if not 0 < number <= len(own):
            name = "machine" if side else "human"
            raise DataError(
                f"few_shot_database: {number or 'some'} {name} texts are wanted, and support has {len(own)}"
            )
        chosen += [own[at] for at in rng.choice(len(own), number)]
    return chosen
