"""Analyses: measurements that are not model x shards, as observations that aggregate averages.

An analysis states one number per unit (a matrix, an image, a pair) and place; the unit is what is resampled. Numbers
are rounded once, to billionths, so that all behind only adds integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shiftbench import plugins
from shiftbench.data import schema, shards
from shiftbench.errors import ModelError
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Cell, Run
from shiftbench.refs import Ref
from shiftbench.sample import Sample

if TYPE_CHECKING:
    from shiftbench.inference.nets import TorchPredictor

LIMIT = 1e6
"""Largest size of a value: keeps sums of weighted billionths exact."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One number of one unit.

    Attributes:
        metric: what it is a value of; the mean over units is the metric row.
        key: the unit, unique in its place.
        value: finite, at most 10^6 in size.
        weights: `dataset/model-trainer-sN`, so that means over training seeds are taken; any other name where there
            are none.
        dataset, split, method, detector, shift, severity, group, step: the row's place, as in METRICS.
    """

    metric: str
    key: str
    value: float
    weights: str
    dataset: str
    split: str = "test"
    method: str = "plain"
    detector: str | None = None
    shift: str | None = None
    severity: float | None = None
    group: str | None = None
    step: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What an analysis measures with.

    Attributes:
        params: its options, and what its campaign is: `campaign`, `dataset`, `split`, `weights` (names), `methods`.
        inputs: where its `needs` lie.
        seed: key of all random words.
        models: weights' name -> the model behind it (`use`, `options`).
        device: where nets compute.
    """

    params: Mapping[str, Any]
    inputs: Mapping[Ref, Path]
    seed: int
    models: Mapping[str, Mapping[str, Any]]
    device: str = "cpu"

    def samples(self, of: Ref) -> list[Sample]:
        """Return the samples of shards that it needs, in the order of the shards."""
        return list(shards.read(self.folder(of)))

    def folder(self, of: Ref) -> Path:
        """Return the folder of shards that it needs."""
        return next(
            path.parent
            for ref, path in self.inputs.items()
            if ref.kind == of.kind and ref.name == of.name
        )

    def records(self, of: Ref) -> pa.Table:
        """Return records that it needs."""
        return schema.read(self.inputs[of])

    def predictor(self, weights: Ref) -> TorchPredictor:
        """Return the net of weights that it needs, in evaluation mode: samples -> features and logits.

        Raises:
            ModelError: a black box.
        """
        from shiftbench.inference import nets  # imports torch

        model = self.models[weights.name]
        plugin, file = plugins.find("models", model["use"]), self.inputs[weights]
        found = nets.load_predictor(
            plugin,
            file,
            model["options"],
            nets.classes_of(file),
            self.device,
            inputs=self.inputs,
        )
        if not isinstance(found, nets.TorchPredictor):
            raise ModelError(f"{weights.name} is a black box, and an analysis wants to see its net")
        return found


def run(run: Run, cell: Cell, device: str = "auto") -> None:
    """Make the observations of one analysis of a campaign."""
    spec = cell.recipe
    analysis = plugins.find("analyses", spec["analysis"]["use"])
    job = Measurement(
        {**spec["analysis"]["options"], **spec["context"]},
        run.inputs(cell),
        spec["seed"],
        spec["models"],
        device,
    )
    observed = table(analysis.measure(job), cell.ref.name)
    output = run.path(cell.ref)
    with recipe.scratch(output) as temporary:
        schema.write(observed, temporary, cell.fingerprint, schema.OBSERVATIONS)
        run.commit(cell, {output.name: temporary})


def table(observations: Iterable[Observation], name: str) -> pa.Table:
    """Return observations as a table of format OBSERVATIONS.

    Raises:
        ModelError: a value is not finite or too large; names metric, weights and unit.
    """
    rows = []
    for one in observations:
        if not abs(one.value) <= LIMIT:
            raise ModelError(
                f"analysis {name}: {one.metric} of {one.weights}, unit {one.key!r}, is {one.value}; expected a finite "
                f"number of at most {LIMIT:g} in size"
            )
        row = asdict(one)
        row["value_e9"] = int(np.rint(row.pop("value") * schema.E9))
        rows.append(row)
    return schema.table(rows, schema.OBSERVATIONS)
