"""Records of one position without and with an augmentation, joined by key: the gate, its threshold, what changed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.data import schema
from shiftbench.systems.llm_tta.methods import _gate

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records of the same n samples.

    Attributes:
        keys: of the samples.
        plain, augmented: logits float32 (n, C).
        right: whether the predictions are right, without and with; a sample without a label among the model's classes
            is wrong in both.
    """

    keys: list[str]
    plain: NDArray[np.float32]
    augmented: NDArray[np.float32]
    right: tuple[Flags, Flags]

    def gated(self, threshold: float) -> tuple[list[str], NDArray[np.float32]]:
        """Keys and logits behind the gate."""
        unsure = _gate.unsure(self.plain, threshold)
        return self.keys, np.where(unsure[:, None], self.augmented, self.plain)


def pair(plain: Path, augmented: Path) -> Pair:
    """Read two records.

    Raises:
        DataError: they have not the same samples and classes.
        ParamsError: they hold the largest logits only.
    """
    (keys, one, one_right), (others, two, two_right) = _read(plain), _read(augmented)
    if keys != others or one.shape != two.shape:
        raise DataError(f"{plain} and {augmented} have not the same samples and classes")
    return Pair(keys, one, two, (one_right, two_right))


def threshold(val: Pair) -> float:
    """The threshold that is best on validation samples.

    Raises:
        DataError: there are none.
    """
    if not val.keys:
        raise DataError("the val split is empty; esa searches its threshold there, or give `theta`")
    return _gate.search(_gate.entropy(val.plain), *val.right)


def _read(file: Path) -> tuple[list[str], NDArray[np.float32], Flags]:
    table = schema.read(file)
    if "logits" not in table.column_names:
        raise ParamsError(f"{file} holds the 20 largest logits only; set evaluate.outputs: full")
    keys: list[str] = table.column("key").to_pylist()
    flat: NDArray[np.float32] = table.column("logits").combine_chunks().flatten().to_numpy()
    correct = table.column("correct").fill_null(fill_value=False).to_numpy()
    return keys, flat.reshape(len(keys), -1), np.asarray(correct, dtype=bool)
