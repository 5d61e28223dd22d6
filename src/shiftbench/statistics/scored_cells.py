"""Scores of a benchmark's cells: read with the records that they belong to, and which belong together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError, ParamsError, RangeError
from shiftbench.data import formats, schema
from shiftbench.statistics import bootstrap
from shiftbench.statistics.benchmark_rows import BenchmarkRows, CellRows, Samples
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Weights

Who = tuple[str | int | None, ...]
FULL_SPECTRUM = "full_spectrum"
"""In place of a shift: the clean and all shifted sets together."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one cell.

    Attributes:
        samples: keys and what is resampled.
        scores: float64 (n,), higher = more OOD.
        records: the columns that were asked for, in the order of the scores; None: no records are known.
    """

    samples: Samples
    scores: Floats
    records: pa.Table | None

    def weights(self, benchmark: BenchmarkRows) -> Weights:
        """Return uint8 (n, 1 + draws)."""
        return bootstrap.weights(self.samples.units, benchmark.draws, benchmark.seed)


def read(benchmark: BenchmarkRows, cell: CellRows, columns: Sequence[str] = ()) -> Scored:
    """Read a cell's scores and, where the cell names them, columns of the records with the same keys.

    What is resampled is the records' cluster where they have one, else the sample.

    Raises:
        RangeError: a score is not finite.
        DataError: the records are of other samples.
    """
    table = schema.read(cell.file, form=formats.SCORES)
    scores = table.column("score").to_numpy()
    if not np.isfinite(scores).all():
        key = table.column("key")[int(np.argmin(np.isfinite(scores)))].as_py()
        raise RangeError(f"{cell.file}: the score of sample {key!r} is not finite; make the scores again")
    if cell.records is None:
        return Scored(benchmark.lists.intern(table, cell.file), scores, None)
    records = schema.read(cell.records, ["key", "cluster", *columns])
    samples = benchmark.lists.intern(records, cell.records)
    if not samples.keys.equals(table.column("key").combine_chunks()):
        raise DataError(
            f"{cell.file}: scores of {len(table)} samples, but {cell.records} has {len(records)} others; make the "
            "scores again"
        )
    return Scored(samples, scores, records)


@dataclass(slots=True)
class Family:
    """The cells of one (weights, method, detector, split): the clean ID set, its shifts, the OOD sets.

    In a stream, those of one step: the ID set as it is there, and the OOD sets.
    """

    clean: CellRows
    shifted: list[CellRows] = field(default_factory=list)
    ood: list[CellRows] = field(default_factory=list)


def families(cells: Sequence[CellRows]) -> list[Family]:
    """Return the families of all cells with scores.

    Raises:
        ParamsError: OOD or shifted scores without those of a clean ID set, or with several.
    """
    scored = [cell for cell in cells if cell.detector is not None]
    found: dict[Who, Family] = {}
    clean = [cell for cell in scored if _is_clean(cell)]
    for cell in clean:
        if who(cell) in found:
            raise _without(cell, len([one for one in clean if who(one) == who(cell)]))
        found[who(cell)] = Family(cell)
    for cell in scored:
        if not _is_clean(cell):
            if who(cell) not in found:
                raise _without(cell, 0)
            family = found[who(cell)]
            (family.ood if cell.ood else family.shifted).append(cell)
    return list(found.values())


def _is_clean(cell: CellRows) -> bool:
    """Tell whether OOD sets are compared with a cell: the clean ID set, and at a step of a stream the ID set."""
    return not cell.ood and (cell.reference is None or cell.step is not None)


def who(cell: CellRows) -> Who:
    """Return what names the family of a cell."""
    return cell.model, cell.method, cell.detector, cell.split, cell.step


def _without(cell: CellRows, found: int) -> ParamsError:
    inside = "one clean ID set" if cell.step is None else f"one ID set at step {cell.step}"
    return ParamsError(
        f"benchmark {cell.benchmark}: the scores of {cell.position} under {cell.detector} need {inside} of "
        f"{cell.model} ({cell.method}, split {cell.split}) to be compared with; found {found}"
    )
