"""What a detector sees of a cell: keys, labels, logits and features, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.errors import DataError, ParamsError


@dataclass(frozen=True)
class Rows:
    """Records of a cell and the features beside them.

    Attributes:
        table: records, sorted by key.
        beside: features float32 (n, d) in the same order, or None.
    """

    table: pa.Table
    beside: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def keys(self) -> list[str]:
        """The samples' keys."""
        keys: list[str] = self.table.column("key").to_pylist()
        return keys

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """True classes as indices into the model's, int32 (n,). For fitting; a score must not look at them."""
        labels: NDArray[np.int32] = self.table.column("label").to_numpy()
        return labels

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """All logits, float32 (n, C).

        Raises:
            ParamsError: the records hold the largest logits only.
        """
        if "logits" not in self.table.column_names:
            raise ParamsError(
                "this detector needs all logits, but the records hold the 20 largest; set evaluate.outputs: full"
            )
        flat: NDArray[np.float32] = (
            self.table.column("logits").combine_chunks().flatten().to_numpy()
        )
        return flat.reshape(len(self), -1) if len(self) else flat.reshape(0, 1)

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Penultimate features, float32 (n, d).

        Raises:
            DataError: there are none, or not one per record.
        """
        if self.beside is None:
            raise DataError(
                "this detector needs features, but none were kept; name the splits under the campaign's `features:`"
            )
        if len(self.beside) != len(self):
            raise DataError(
                f"{len(self.beside)} rows of features for {len(self)} records; evaluate the cell again"
            )
        return self.beside
