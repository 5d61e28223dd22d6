"""Features and logits next to the records: float32 .npy, written batch by batch, of any size."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.files import scratch
from shiftbench.evaluation.batching import Outputs


class FeatureWriter:
    """Writes `X.npy` (features, (n, d)) and `X.logits.npy` ((n, C)) in the order of the records.

    Args:
        output: the features' path, X.npy; temporary files are written next to it and renamed by a commit.
        count: number of samples n.
    """

    def __init__(self, output: Path, count: int) -> None:
        self.output, self.count = output, count
        self._open: dict[str, IO[bytes]] = {}
        self._paths: dict[str, Path] = {}
        self._rows: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> FeatureWriter:
        """Make room for the files."""
        for part, name in (("features", self.output.name), ("logits", f"{self.output.stem}.logits.npy")):
            self._paths[part] = self._stack.enter_context(scratch(self.output.with_name(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was not put in place."""
        for stream in self._open.values():
            stream.close()
        self._stack.close()

    def __call__(self, outputs: Outputs) -> None:
        """Write one batch.

        Raises:
            ModelError: the model gives no features.
        """
        if "features" not in outputs:
            raise ModelError(
                f"{self.output}: this model gives no features; drop `features:` and detectors that need them"
            )
        for part in self._paths:
            self._write(part, np.ascontiguousarray(outputs[part], dtype="<f4"))

    def _write(self, part: str, rows: NDArray[np.float32]) -> None:
        if part not in self._open:
            stream = self._paths[part].open("wb")
            shape = (self.count, *rows.shape[1:])
            npy.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
            self._open[part], self._rows[part] = stream, 0
        self._open[part].write(rows.tobytes())
        self._rows[part] += len(rows)

    def files(self, path: str) -> dict[str, Path]:
        """Files of the commit, once all samples are written.

        Raises:
            ModelError: another number of rows than samples.
        """
        for part in self._paths:
            if part not in self._open:  # no samples at all
                self._write(part, np.zeros((0, 0), np.float32))
            if self._rows[part] != self.count:
                raise ModelError(f"{path}: {self._rows[part]} rows of {part} for {self.count} samples; evaluate again")
            self._open[part].flush()
        return {self.output.name: self._paths["features"], f"{self.output.stem}.logits.npy": self._paths["logits"]}
