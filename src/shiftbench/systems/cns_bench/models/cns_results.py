"""The results that CNS-Bench ships as a model: `theirs: {use: cns_results, path: results.zip, name: resnet18.a1_in1k}`.

It answers for the images of `cns_bench` with the class that `results.zip` states, so that accuracy, failure points
and everything else come out of the same aggregate as for models that are run here; that the file's own column of
correctness follows from its predictions is checked. It cannot be evaluated on anything else (`REEVALUABLE` is False);
logits are 1 for the class and 0 for others.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651, `benchmark/results.zip` of doi:10.17617/3.MAGNKP: MODEL__NUISANCE.csv.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given
from shiftbench.systems.cns_bench.datasets import _cns

TASK = "classification"
REEVALUABLE = False


class Options(declare.Options):
    path: str = Field("", description="the released `results.zip`")
    name: str = Field("", description="model in that file, such as `resnet18.a1_in1k`")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each sample's path and scale.

    Raises:
        ModelError: the file's column of correctness does not follow from its predictions; a sample without a row.
        DataError: the archive has no results of that model and nuisance.
    """
    file = _given.check(weights, params["path"])
    cache: dict[str, dict[tuple[int, int, float], int]] = {}

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        answers = [_answer(sample, file, params["name"], cache) for sample in samples]
        return {"logits": np.eye(len(classes), dtype=np.float32)[answers]}

    return predict


def _answer(sample: Sample, file: Path, name: str, cache: dict[str, dict[tuple[int, int, float], int]]) -> int:
    meta = sample.fields.get("meta") or {}
    nuisance = str(meta.get("nuisance"))
    if nuisance not in cache:
        cache[nuisance] = answers(file, name, nuisance)
    place = meta.get("class"), meta.get("seed"), meta.get("scale")
    if place not in cache[nuisance]:
        raise ModelError(f"{file} has no row of {name} for {sample.key} at scale {meta.get('scale')}")
    return cache[nuisance][place]


def answers(file: Path, name: str, nuisance: str) -> dict[tuple[int, int, float], int]:
    """Predictions of a model: (class, seed, scale) -> class.

    Raises:
        ModelError: the shipped correctness is another than that of the predictions.
    """
    rows = _cns.results(file, name, nuisance)
    wrong = [row for row in rows if row.correct != (row.predicted == row.label)]
    if wrong:
        raise ModelError(
            f"{file}: {name} under {nuisance}: {len(wrong)} of {len(rows)} rows are called right or wrong against "
            f"their prediction, first {wrong[0]}"
        )
    return {(row.label, row.seed, row.scale): row.predicted for row in rows}
