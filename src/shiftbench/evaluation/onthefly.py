"""A shift that is applied while clean shards are read, instead of storing shifted shards.

Two records replace the stored shards: golden samples, the first few as the shift stage made them on the
CPU, which are made again here and compared; and the chained pixel digest of all evaluated samples, which
equals that of stored shards (`shards.chained_digest`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shiftbench.base.errors import ChecksumError, DataError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards
from shiftbench.evaluation import apply_torch
from shiftbench.evaluation.apply_shift import Shifter

Tolerance = tuple[float, float]  # largest and mean difference, grey levels


def build_shifter(recipe: Mapping[str, Any], dataset: str, inputs: Mapping[Ref, Path], held: str) -> OnTheFly:
    """Function that shifts the samples of a records artifact.

    Args:
        recipe: of the records.
        dataset: name of the dataset.
        inputs: of the artifact; golden samples and originals are among them.
        held: the device of the job.
    """
    shifter = Shifter.of(recipe, dataset, inputs)
    golden = next(path for ref, path in inputs.items() if ref.kind == "previews" and ref.name == recipe["golden"])
    in_torch = apply_torch.on_device(shifter, recipe["shift_device"], held)
    return OnTheFly(shifter, golden, in_torch)


class Batches(Protocol):
    """A shift of a batch in torch (`apply_torch.OnDevice`)."""

    place: str
    tolerance: Tolerance

    def __call__(self, samples: list[Sample]) -> list[Sample] | None:
        """The shifted samples; None where they cannot be shifted together."""


class OnTheFly:
    """Shifts one batch of clean samples after another, in key order.

    Args:
        shifter: the shift.
        golden: file of the golden samples.
        in_torch: shifts batches in torch; None: the shift's file for the CPU is used.

    Attributes:
        counts: number of samples shifted by `cpu` (the shift's own file) and by `torch on DEVICE`.
    """

    def __init__(self, shifter: Shifter, golden: Path, in_torch: Batches | None = None) -> None:
        self._shifter, self._file, self._in_torch = shifter, golden, in_torch
        self._golden = read_golden(golden)
        self._chain = hashlib.sha256()
        self.counts: dict[str, int] = {}

    def __call__(self, batch: list[Sample]) -> list[Sample]:
        """The shifted samples.

        Raises:
            ChecksumError: a sample differs from its golden sample.
            ShiftbenchError: from the shift.
        """
        shifted, place, allowed = self._shift(batch)
        self.counts[place] = self.counts.get(place, 0) + len(batch)
        for sample in shifted:
            digest = shards.pixels(sample)
            self._chain.update(shards.link(sample.key, digest))
            golden = self._golden.pop(sample.key, None)
            if golden and golden.pixels != digest:
                self._compare(sample, golden, allowed)
        return shifted

    def _shift(self, batch: list[Sample]) -> tuple[list[Sample], str, Tolerance]:
        shifted = self._in_torch(batch) if self._in_torch else None
        if self._in_torch and shifted is not None:
            return shifted, self._in_torch.place, self._in_torch.tolerance
        return [self._shifter(sample) for sample in batch], "cpu", (0, 0)

    def _compare(self, sample: Sample, golden: Golden, allowed: Tolerance) -> None:
        largest, mean = golden.distance(sample)
        if 0 < largest <= allowed[0] and mean <= allowed[1]:
            return
        difference = "another value"
        if math.isfinite(largest):
            limits = f"{allowed[0]:g} and {allowed[1]:g}"
            difference = f"largest difference {largest:g} grey levels, mean {mean:.2g}; allowed are {limits}"
        raise ChecksumError(
            f"{sample.key}: {self._shifter.name} at severity {self._shifter.severity:g} does not give the golden "
            f"sample of {self._file} here ({difference}). Libraries or hardware compute differently: install "
            "requirements.lock, or set `materialise: true` and pull the shards"
        )

    def digest(self) -> str:
        """Chained pixel digest of all samples, once the last was shifted.

        Raises:
            ChecksumError: a golden sample was not among them.
        """
        if self._golden:
            raise ChecksumError(
                f"golden sample {min(self._golden)!r} of {self._file} is not among the evaluated ones; "
                f"make it again with `shiftbench repair {self._file}`"
            )
        return self._chain.hexdigest()


@dataclass(frozen=True, slots=True)
class Golden:
    """Expected result for one sample: its pixel digest, and its image as PNG in base64 if it has one."""

    pixels: str
    png: str | None

    def distance(self, sample: Sample) -> tuple[float, float]:
        """The largest and mean difference in grey levels; infinite where images cannot be compared."""
        image = sample.fields.get("image")
        if self.png is None or image is None:
            return math.inf, math.inf
        golden = codecs.decode("png", base64.b64decode(self.png))
        if image.shape != golden.shape:
            return math.inf, math.inf
        difference = np.abs(image.astype(np.int16) - golden)
        return float(difference.max()), float(difference.mean())


def read_golden(file: Path) -> dict[str, Golden]:
    """Golden samples by key.

    Raises:
        DataError: the file has no golden samples.
    """
    try:
        rows = json.loads(file.read_text())["samples"]
        return {row["key"]: Golden(row["pixels"], row.get("png")) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} holds no golden samples ({error!r}); make it again with `shiftbench repair {file}`"
        ) from error
