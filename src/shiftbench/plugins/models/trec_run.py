"""Published ranked lists as a model: `theirs: {use: trec_run, path: theirs.run}`, with the trainer `given`.

A run in TREC's format (`trec`), whose query ids are the ends of the samples' keys. It answers for the queries in it,
without a shift: it cannot be evaluated under one (`REEVALUABLE`). Source: none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import trec
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given, _rankers

TITLE = "TREC run"
TASK = "ranking"
REEVALUABLE = False


class Options(declare.Options):
    path: str = Field("", description="your run, in TREC's format")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each query."""
    file = _given.check(weights, params["path"])
    run = trec.read_run(file)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        names = [sample.key.rpartition("/")[2] for sample in samples]
        missing = [name for name in names if name not in run]
        if missing:
            raise ModelError(
                f"{file} has no list for query {missing[0]!r} ({len(missing)} of {len(names)} queries of the batch)"
            )
        return {
            "documents": _rankers.ragged([[one for one, _ in run[name]] for name in names]),
            "scores": _rankers.ragged([[score for _, score in run[name]] for name in names]),
        }

    return predict
