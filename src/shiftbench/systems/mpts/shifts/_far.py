"""A sinusoid is replaced by one outside of the training range, at the same inputs: a further amplitude or phase.

The task at the share u of the range goes to the share u of a band that begins at the range's upper end and is as wide
as LEVELS says: at severity 5 amplitudes are 5 to 7, or phases pi to 1.5 pi. Takes no random words.

Source: ours; MPTS (arXiv 2501.11039) tests its sinusoids within the training range alone.
"""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.mpts.datasets import _sinusoids

FIELD = None
TASK = "few_shot_regression"
RANGE = _levels.RANGE
WIDTHS: dict[str, dict[int, float | tuple[float, ...]]] = {
    "amplitude": {level: 0.4 * level for level in range(1, 6)},
    "phase": {level: 0.1 * math.pi * level for level in range(1, 6)},
}
"""Width of the band at each level, in units of the number."""


class Options(declare.Options):
    of: Literal["amplitude", "phase"] = Field("amplitude", description="number of a sinusoid that is moved")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Levels of the number that is moved.

    Raises:
        ParamsError: an identifier has no such number.
    """
    name = str(options["of"])
    if name not in WIDTHS:
        raise ParamsError(f"of = {name!r} is no number of a sinusoid; {suggest(name, WIDTHS)}")
    return {"LEVELS": WIDTHS[name]}


def apply(sample: Sample, severity: float, rng: RandomStream, *, of: str) -> Sample:
    """Task of the same inputs whose amplitude or phase lies outside.

    Raises:
        RangeError: the severity lies outside 0 to 5.
        DataError: the sample is no sinusoid.
    """
    (width,) = _levels.at(f"sinusoid_{of}", WIDTHS[of], severity, zero=0.0)
    if severity == 0:
        return sample
    identifier = _identifier(sample)
    at = _sinusoids.NAMES.index(of)
    low, high = _sinusoids.BOUNDS[at]
    identifier[at] = high + (identifier[at] - low) / (high - low) * width
    fields = {name: _sinusoids.at(identifier, sample.fields[name][:, 0]) for name in ("support", "query")}
    meta = {**sample.fields["meta"], "identifier": identifier.tolist()}
    return Sample(sample.key, {**sample.fields, **fields, "meta": meta})


def _identifier(sample: Sample) -> _sinusoids.Floats:
    missing = [name for name in ("support", "query", "meta") if name not in sample.fields]
    if missing:
        raise DataError(f"no field {missing[0]!r}: this is no sample of the task `few_shot_regression`")
    identifier = np.array(sample.fields["meta"].get("identifier") or (), np.float64)
    if identifier.shape != (len(_sinusoids.NAMES),):
        raise DataError(f"the identifier is {identifier.tolist()}; expected amplitude and phase")
    return identifier
