"""Recalibration after training: logits are changed by what the model's answers on validation samples say.

No network is run. The answers of the unchanged model (`plain`) are read from its records, under the condition and on
the clean val split of its training dataset, with its labels; so another recalibrator evaluates no model again.
`evaluate.outputs` must be `full`. Validation samples of no class of the model (label -1) do not count.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base import refs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import CheckpointName, RecordsName, Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.detectors._rows import Rows

Logits = NDArray[np.float64]
Change = Callable[[Logits], Logits]
Fit = Callable[[Rows], Change]
"""(validation rows, of which all have a label) -> what is done to logits (n, C)."""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The model's own records at the position, and those on the val split that it is fitted on."""
    of = Ref("checkpoints", params["checkpoint"])
    own = refs.records(of, "plain", params["stream"], params["step"])
    val = refs.records(of, "plain", f"{CheckpointName.of(of).dataset}/val/identity", "0")
    return list(dict.fromkeys((val, own)))


class Recalibrated:
    """A predictor that looks samples up and changes their logits.

    Args:
        fit: called once, with the first position's validation rows.
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._change: Change | None = None
        self._rows: dict[str, NDArray[np.float32]] = {}

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a position: read its records; the first time, fit.

        Raises:
            DataError: no validation sample has a class of the model.
            ParamsError: records hold the largest logits only.
        """
        files = {ref: path for ref, path in inputs.items() if ref.kind == "records"}
        val = next(ref for ref in files if _is_val(ref))
        own = next((ref for ref in files if ref != val), val)
        if self._change is None:
            self._change = self._fit(known(read(val, files[val])))
        rows = read(own, files[own])
        changed = self._change(rows.logits.astype(np.float64)).astype(np.float32)
        self._rows = dict(zip(rows.keys, changed, strict=True))

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[np.float32]]:
        """`logits` float32 (n, C)."""
        return {"logits": np.stack([self._rows[sample.key] for sample in samples])}


def read(ref: Ref, file: Path) -> Rows:
    """Records as rows."""
    return Rows(schema.read(file), name=ref.name)


def known(rows: Rows) -> Rows:
    """The rows that have a label.

    Raises:
        DataError: there is none.
    """
    labelled = rows.table.filter(rows.labels >= 0)
    if not len(labelled):
        raise DataError(
            f"{rows.name}: a recalibrator needs validation samples of the model's classes, found none among "
            f"{len(rows)}; give the dataset a labelled val split"
        )
    return Rows(labelled, name=rows.name)


def _is_val(ref: Ref) -> bool:
    name = RecordsName.of(ref)
    return name.stream == f"{CheckpointName.of(name.checkpoint).dataset}/val/identity"
