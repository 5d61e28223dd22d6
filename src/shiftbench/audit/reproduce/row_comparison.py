"""Comparison of recorded rows with those of a second evaluation: columns, differences and flipped predictions."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shiftbench.provenance.recipe import Artifact

_GIVEN = ("label", "group", "cluster")
"""Columns that follow from the data, and that no environment changes."""
_JUDGED = {"prediction", "correct"}
"""Columns that follow from the scores: if no score differs, no environment changes them."""


@dataclass
class Comparison:
    """The rows of some batches of one condition, then and now.

    Attributes:
        artifact: the records.
        samples: number of compared rows.
        other: columns that differ, or `features`, `logits`.
        hard: those of them that no environment changes.
        sample: key of the first row that differs.
        largest: largest difference of a score.
        scale: the largest score.
        flips: predictions that differ.
        known, right: samples with a label; those that were correct then.
        gained, lost: samples that are correct only now, and only then.
    """

    artifact: Artifact
    samples: int
    other: list[str] = field(default_factory=list)
    hard: list[str] = field(default_factory=list)
    sample: str | None = None
    largest: float = 0.0
    scale: float = 0.0
    flips: int = 0
    known: int = 0
    right: int = 0
    gained: int = 0
    lost: int = 0

    def __str__(self) -> str:
        """Flips and the largest difference in a few words."""
        share = self.flips / self.samples if self.samples else 0.0
        flips = f"{self.flips} of {self.samples} predictions flip ({share:.2%})"
        return f"{flips}, largest difference of a score {self.largest:.3g}"

    def add(self, then: NDArray[np.float32], now: NDArray[np.float32]) -> None:
        """Note the largest difference of some scores."""
        if then.size:
            self.largest = max(self.largest, float(np.abs(then.astype(np.float64) - now).max()))
            self.scale = max(self.scale, float(np.abs(then).max()))


def places(recorded: pa.Table, made: pa.Table) -> pa.Array:
    """Index of each new row among the recorded ones; null if it is not recorded."""
    return pc.index_in(made.column("key"), value_set=recorded.column("key")).combine_chunks()


def rows(artifact: Artifact, recorded: pa.Table, made: pa.Table) -> Comparison:
    """Compare some rows that were evaluated again with all recorded rows, column by column."""
    at = places(recorded, made)
    if at.null_count or not recorded.schema.equals(made.schema):
        first = made.column("key")[0].as_py()
        return Comparison(artifact, len(made), ["the set of rows"], ["the set of rows"], first)
    stated = recorded.take(at)
    names = [n for n in made.column_names if not stated.column(n).equals(made.column(n))]
    comparison = Comparison(artifact, len(made), names, [name for name in names if name in _GIVEN])
    _judged(comparison, stated, made)
    if not any(_is_score(stated.column(name).type) for name in names):
        comparison.hard += sorted(_JUDGED.intersection(names))
    for name in names:
        then, now = stated.column(name), made.column(name)
        unlike = next(i for i in range(len(made)) if then[i] != now[i])
        comparison.sample = comparison.sample or made.column("key")[unlike].as_py()
        if _is_score(then.type):
            one, two = _flat(then), _flat(now)
            if one.shape == two.shape:
                comparison.add(one, two)
            else:
                comparison.hard.append(f"the number of {name}")
    return comparison


def _judged(comparison: Comparison, stated: pa.Table, made: pa.Table) -> None:
    """Count flips and correct predictions, then and now; nothing if the task has no labels."""
    if not {"prediction", "correct"} <= set(stated.column_names):
        return
    flips = pc.not_equal(stated.column("prediction"), made.column("prediction"))
    comparison.flips = pc.sum(flips).as_py() or 0
    pairs = list(zip(stated.column("correct").to_pylist(), made.column("correct").to_pylist(), strict=True))
    comparison.known = sum(then is not None for then, _ in pairs)
    comparison.right = sum(bool(then) for then, _ in pairs)
    comparison.gained = sum(bool(now) and not then for then, now in pairs)
    comparison.lost = sum(bool(then) and not now for then, now in pairs)


def _is_score(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind))


def _flat(column: pa.ChunkedArray) -> NDArray[np.float32]:
    values = column.combine_chunks()
    flat = pc.list_flatten(values) if pa.types.is_list(values.type) else values
    numbers: NDArray[np.float32] = flat.fill_null(0).to_numpy(zero_copy_only=False)
    return numbers


def arrays(comparison: Comparison, file: Path, again: Path, part: str, recorded: pa.Table, made: pa.Table) -> None:
    """Add to a comparison the differences of a kept array of all recorded rows and one of the rows made again."""
    whole = np.load(file, mmap_mode="r", allow_pickle=False)
    now = np.load(again, allow_pickle=False)
    name = f"{part} ({file.name})"
    if whole.shape != (len(recorded), *now.shape[1:]):
        comparison.other.append(name)
        comparison.hard.append(f"the shape of {name}")
        return
    then = np.asarray(whole[places(recorded, made).to_numpy()])
    if not np.array_equal(then, now):
        comparison.other.append(name)
        unlike = int(np.flatnonzero((then != now).any(axis=1))[0])
        comparison.sample = comparison.sample or made.column("key")[unlike].as_py()
        comparison.add(then, now)
