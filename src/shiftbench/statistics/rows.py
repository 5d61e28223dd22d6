"""Input and output of metrics: columns of one evaluation's records, and rows with values and replicates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import number
from shiftbench.data.formats import TOP

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@lru_cache(maxsize=4)
def _all(n: int) -> Ints:
    """N ones, int64, read-only; one array for many evaluations, so that it is summed only once."""
    ones = np.ones(n, dtype=np.int64)
    ones.flags.writeable = False
    return ones


class Rows:
    """Columns of one evaluation's records as integers; rows with mask 0 do not count.

    Args:
        table: records, or the columns of them that the metrics name.
        mask: 0 or 1 per row, int64 (n,); default: all count.

    Attributes:
        counting: 1 where the row counts; int64 (n,).
    """

    def __init__(self, table: pa.Table, mask: Ints | None = None) -> None:
        self.table, self.mask = table, mask
        self.counting: Ints = _all(len(table)) if mask is None else mask
        self._columns: dict[str, Ints] = {}
        self._present = [self.counting]

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> Ints:
        """Integer or boolean column as int64 (n,), 0 where it is null or the mask is 0.

        Raises:
            ParamsError: a column with a list per sample; `logits` and `top_classes` read these.
        """
        if name not in self._columns:
            values = self.table.column(name).combine_chunks()
            if pa.types.is_list(values.type):
                raise ParamsError(f"column {name!r} has a list per sample; read `rows.logits` or `rows.top_classes(k)`")
            if values.null_count:
                values = values.fill_null(0 if not pa.types.is_boolean(values.type) else False)
            integers = values.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
            self._columns[name] = integers if self.mask is None else integers * self.mask
        return self._columns[name]

    @property
    def logits(self) -> NDArray[np.float32]:
        """All logits, float32 (n, C); the metric must name the column `logits`.

        Raises:
            ParamsError: the records have the largest logits only.
        """
        if "logits" not in self.table.column_names:
            raise ParamsError(
                "this metric reads all logits, and the records have the largest ones only; set "
                "`evaluate: {outputs: full}` in params"
            )
        flat: NDArray[np.float32] = self.table.column("logits").combine_chunks().flatten().to_numpy()
        return flat.reshape(len(self), -1) if len(self) else flat.reshape(0, 1)

    def top_classes(self, k: int) -> Ints:
        """The k classes with the largest logits, largest first (of equals the lowest class); int64 (n, k).

        Fewer columns where the model has fewer classes. The metric must name the column `logits`.

        Raises:
            ParamsError: the records have fewer than k of the model's classes.
        """
        if "top_classes" not in self.table.column_names:
            return np.argsort(-self.logits, axis=1, kind="stable")[:, :k].astype(np.int64)
        lists = self.table.column("top_classes").combine_chunks()
        width = len(lists.values) // len(self) if len(self) else k
        if width == TOP and k > TOP:
            raise ParamsError(
                f"the records have the {TOP} largest logits, and this metric reads {k}; set "
                "`evaluate: {outputs: full}` in params"
            )
        classes: Ints = lists.flatten().to_numpy().astype(np.int64).reshape(len(self), width)
        return classes[:, :k]

    def present(self, name: str) -> Ints:
        """1 where a column has a value and the row counts, else 0; int64 (n,).

        Columns with the same gaps give the same array object, so that it is summed only once.
        """
        column = self.table.column(name)
        if not column.null_count:
            return self.counting
        mask: Ints = column.is_valid().to_numpy().astype(np.int64) * self.counting
        for earlier in self._present:
            if np.array_equal(earlier, mask):
                return earlier
        self._present.append(mask)
        return mask

    def only(self, group: str) -> Rows:
        """The same rows, of which only those of a group count."""
        is_member = np.equal(np.asarray(self.table.column("group").to_pylist(), dtype=object), group)
        return Rows(self.table, is_member.astype(np.int64) * self.counting)

    def groups(self) -> list[str]:
        """Names of the groups, sorted."""
        names: list[str] = pc.unique(self.table.column("group")).drop_null().to_pylist()
        return sorted(names)


@dataclass(frozen=True, slots=True)
class SeverityPath:
    """The same samples, in the same order, at rising severity of one shift.

    Attributes:
        severities: ascending; the first is 0, the clean samples.
        rows: their records, one for each severity.
    """

    severities: tuple[float, ...]
    rows: tuple[Rows, ...]

    @property
    def never(self) -> float:
        """A severity beyond all of them: the last one plus the last step."""
        before, last = self.severities[-2:]
        return last + (last - before)

    def only(self, group: str) -> SeverityPath:
        """The same path, of which only the samples of a group (of the clean records) count."""
        counting = self.rows[0].only(group).counting
        return SeverityPath(self.severities, tuple(Rows(rows.table, counting) for rows in self.rows))

    def groups(self) -> list[str]:
        """Names of the clean records' groups, sorted."""
        return self.rows[0].groups()


@dataclass(frozen=True, slots=True)
class Row:
    """One metric row; see `formats.METRICS`.

    Attributes:
        value, resamples: value, and float64 (resamples,): the value under each resample; NaN if undefined.
        basis: which samples count; equal for equal samples.
        evaluation: index of the row's evaluation; None if it is computed from several.
        units: number of independent units: clusters, or the samples of the smaller of two sides; None: n.
    """

    benchmark: str
    task: str
    model: str
    method: str
    detector: str | None
    dataset: str
    split: str
    reference: str | None
    shift: str | None
    severity: float | None
    group: str | None
    step: int | None
    metric: str
    value: float
    resamples: Floats
    n: int
    seed: int | None
    unit: str
    basis: object = field(default=None, compare=False)
    evaluation: int | None = field(default=None, compare=False)
    units: int | None = field(default=None, compare=False)

    @property
    def all(self) -> Floats:
        """Value and replicates together, float64 (1 + resamples,)."""
        return np.concatenate([[self.value], self.resamples])

    @property
    def condition(self) -> str:
        """The condition, as `reference` names it."""
        return f"{self.dataset}/{self.split}/{self.shift}/{number(self.severity or 0)}"

    def derived(self, rows: list[Row], values: Floats, **changes: object) -> Row:
        """Row computed from `rows`, with this row's identity except for `changes`.

        Args:
            rows: what it was computed from; its n is their smallest.
            values: value and replicates, float64 (1 + resamples,).
            changes: fields that differ.
        """
        bases = tuple(dict.fromkeys(row.basis for row in rows))
        return replace(
            self,
            value=float(values[0]),
            resamples=values[1:],
            n=min(row.n for row in rows),
            units=min(row.units or row.n for row in rows),
            basis=bases[0] if len(bases) == 1 else bases,
            evaluation=None,
            **changes,  # type: ignore[arg-type]
        )
