"""Stage score, analyses: measurements other than a model on shards, as observations that aggregate averages.

An analysis gives one number per unit (a matrix, an image, a pair) and condition. The bootstrap resamples units. Numbers
are rounded once, to billionths, so that later steps only add integers.
"""

from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from shiftbench.base import registry
from shiftbench.base.errors import ModelError
from shiftbench.base.files import scratch
from shiftbench.data import formats, schema
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.provenance.recipe import Artifact, Run

LIMIT = 1e6
"""Largest absolute value: keeps sums of weighted billionths exact."""


def run(run: Run, artifact: Artifact, device: str = "auto") -> None:
    """Write the observations of one analysis of a benchmark."""
    spec = artifact.recipe
    analysis = registry.find("analyses", spec["analysis"]["use"])
    job = Measurement(
        {**spec["analysis"]["options"], **spec["context"]}, run.inputs(artifact), spec["seed"], spec["models"], device
    )
    observed = table(analysis.measure(job), artifact.ref.name)
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        schema.write(observed, temporary, artifact.fingerprint, formats.OBSERVATIONS)
        run.commit(artifact, {output.name: temporary})


def table(observations: Iterable[Observation], name: str) -> pa.Table:
    """Observations as a table of format OBSERVATIONS.

    Raises:
        ModelError: a value is not finite or too large; the message names metric, model and unit.
    """
    rows = []
    for observation in observations:
        if not abs(observation.value) <= LIMIT:
            raise ModelError(
                f"analysis {name}: {observation.metric} of {observation.model}, unit {observation.key!r}, is "
                f"{observation.value}; expected a finite number of at most {LIMIT:g} in size"
            )
        row = asdict(observation)
        row["value_e9"] = int(np.rint(row.pop("value") * formats.E9))
        rows.append(row)
    return schema.table(rows, formats.OBSERVATIONS)
