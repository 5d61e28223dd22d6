"""The rows that a detector sees of a condition: keys, predictions, logits, features, the network and its head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import logsumexp

from shiftbench.base.errors import DataError, ModelError, ParamsError

if TYPE_CHECKING:
    from shiftbench.plugins.detectors._net import Net

BLOCK = 16_384
"""Rows at a time: 16,384 x 2,048 features in float64 are 268 MB."""


@dataclass(frozen=True)
class Head:
    """The linear layer from features to logits: `logits = weight @ features + bias`.

    Attributes:
        weight: float64 (C, d).
        bias: float64 (C,).
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits float64 (n, C) of features (n, d)."""
        logits: NDArray[np.float64] = features @ self.weight.T + self.bias
        return logits


@dataclass(frozen=True)
class Rows:
    """Records of a cell, and what was kept beside them.

    Attributes:
        table: records, sorted by key.
        beside: features float32 (n, d) in the same order, which may be memory-mapped, or None.
        kept_logits: logits float32 (n, C) in the same order, likewise; None: those of the records.
        linear: the network's head, or None.
        again: the network and the samples, for detectors that must see them again, or None.
        name: of the condition, for messages.
    """

    table: pa.Table
    beside: NDArray[np.float32] | None = None
    kept_logits: NDArray[np.float32] | None = None
    linear: Head | None = None
    again: Net | None = field(default=None, compare=False)
    name: str = "these records"

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def keys(self) -> list[str]:
        """The samples' keys."""
        keys: list[str] = self.table.column("key").to_pylist()
        return keys

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """True classes as indices into the model's, int32 (n,), -1: none. For fitting; no score may look at them."""
        labels: NDArray[np.int32] = self.table.column("label").to_numpy()
        return labels

    @cached_property
    def predictions(self) -> NDArray[np.int32]:
        """Most probable classes (the lowest of equals), int32 (n,)."""
        predictions: NDArray[np.int32] = self.table.column("prediction").to_numpy()
        return predictions

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """All logits, float32 (n, C).

        Raises:
            ParamsError: the records hold the largest logits only, and none were kept beside.
        """
        if self.kept_logits is not None:
            return self.kept_logits
        if "logits" not in self.table.column_names:
            raise ParamsError(
                f"{self.name}: this detector needs all logits, but the records hold the 20 largest; set "
                "evaluate.outputs: full, or name the split under the benchmark's `features:`"
            )
        flat: NDArray[np.float32] = self.table.column("logits").combine_chunks().flatten().to_numpy()
        return flat.reshape(len(self), -1) if len(self) else flat.reshape(0, 1)

    @cached_property
    def energy(self) -> NDArray[np.float64]:
        """Log of the sum of exp(logits), float64 (n,)."""
        parts = [logsumexp(block.logits.astype(np.float64), axis=1) for block in self.blocks()]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Penultimate features, float32 (n, d).

        Raises:
            DataError: there are none, or not one per record.
        """
        if self.beside is None:
            raise DataError(
                f"{self.name}: this detector needs features, but none were kept; name the splits under the "
                "benchmark's `features:`"
            )
        if len(self.beside) != len(self):
            raise DataError(
                f"{self.name}: {len(self.beside)} rows of features for {len(self)} records; evaluate the condition again"
            )
        return self.beside

    @property
    def head(self) -> Head:
        """The layer that made the logits from the features.

        Raises:
            ModelError: the model has no linear head.
        """
        if self.linear is None:
            raise ModelError(
                f"{self.name}: this detector needs the linear layer from features to logits, and the model's weights "
                "hold no `head.weight` and `head.bias`; choose another detector"
            )
        return self.linear

    @property
    def net(self) -> Net:
        """The network and these samples, to be seen again.

        Raises:
            ModelError: the model is a black box, without layers or gradients.
        """
        if self.again is None:
            raise ModelError(
                f"{self.name}: this detector needs the net's layers or gradients, and the model is a black box; "
                "choose another detector"
            )
        return self.again

    def blocks(self, size: int = BLOCK) -> Iterator[Rows]:
        """Yield the rows in order, at most `size` at a time, without `net`."""
        for low in range(0, len(self), size):
            rows = slice(low, low + size)
            yield Rows(
                self.table.slice(low, size),
                None if self.beside is None else self.beside[rows],
                None if self.kept_logits is None else self.kept_logits[rows],
                self.linear,
                None,
                self.name,
            )


@dataclass(frozen=True)
class Known:
    """What a detector is fitted on: rows of the ID dataset, of the splits that its `FIT` names."""

    splits: dict[str, Rows] = field(default_factory=dict)

    @property
    def train(self) -> Rows:
        """Rows of the training split."""
        return self._split("train")

    @property
    def val(self) -> Rows:
        """Rows of the validation split."""
        return self._split("val")

    def _split(self, name: str) -> Rows:
        if name not in self.splits:
            raise DataError(f"a detector reads ID {name} rows, but its FIT does not name {name!r}")
        return self.splits[name]
