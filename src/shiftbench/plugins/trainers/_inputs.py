"""What a trainer looks at: prepared samples, in memory where they are few, else read by each step that asks for them.

Who streams pays for it with decoding (about 10 ms for a picture of 448 px on one core); the values are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins.trainers import _crops

HELD = 2**30
"""Bytes of samples, or of what the model prepares of them, that are held in memory."""
Rows = npt.NDArray[np.int64] | slice
Prepare = Callable[[Sequence[Sample]], npt.NDArray[Any]]
Samples = list[Sample] | shards.Lookup


def of_folder(folder: Path, prepare: Prepare) -> Samples:
    """The samples of a folder of shards: all of them where they are few, else what reads them one by one.

    Args:
        folder: holds manifest.json.
        prepare: samples to the network's input.
    """
    lookup = shards.Lookup(folder)
    if not len(lookup):
        return []
    arrays = [value for value in lookup[0].fields.values() if isinstance(value, np.ndarray)]
    size = max(prepare([lookup[0]]).nbytes, sum(array.nbytes for array in arrays))
    return list(shards.read(folder)) if size * len(lookup) <= HELD else lookup


class Inputs:
    """The inputs of samples, (n, ...), by their rows.

    Args:
        samples: n of them; a list is prepared once, a `Lookup` whenever rows are asked for.
        prepare: samples to the network's input.
        crops: the trainer's option, or None: training sees the samples as they are prepared.
    """

    def __init__(self, samples: Samples, prepare: Prepare, crops: Mapping[str, Any] | None = None) -> None:
        self._samples, self._prepare, self._crops = samples, prepare, crops
        self._held: npt.NDArray[Any] | None = None
        if isinstance(samples, list) and not crops:
            self._held = prepare(samples)

    def __len__(self) -> int:
        """N."""
        return len(self._samples)

    def __getitem__(self, rows: Rows) -> npt.NDArray[Any]:
        """Rows as the model prepares them."""
        return self._prepare(self._of(rows)) if self._held is None else self._held[rows]

    def seen(self, rows: npt.NDArray[np.int64], rng: RandomStream) -> npt.NDArray[Any]:
        """Rows as training sees them: cut anew, by the first words of the step, where `crops` says how."""
        return _crops.drawn(self._of(rows), rng, self._crops) if self._crops else self[rows]

    def _of(self, rows: Rows) -> list[Sample]:
        return [self._samples[int(row)] for row in np.arange(len(self))[rows]]
