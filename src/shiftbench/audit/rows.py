"""Rows of all tables are of their format and whole, and follow from the samples, logits and rows above them.

Pass rule: each Parquet file has the declared columns, is sorted by unique keys, has no null, NaN or value out of range
where none may be, and carries the fingerprint and the row digest of its receipt. Records have exactly the samples of
their shards with these samples' labels; prediction and correct follow from the logits, confidence, nll and brier do to
two billionths. Scores have the records' samples, and those of detectors that need logits only are computed again. The
largest of a search is the chosen one. Features are finite, one row per record. Limits: logits themselves are not
doubted here (level 3), nor scores of detectors that are fitted or see the net (level 3).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench import plugins
from shiftbench.audit import _judged, _nets, _tables
from shiftbench.audit._case import Case
from shiftbench.audit._finding import Finding, Note
from shiftbench.detectors._rows import Known, Rows
from shiftbench.errors import DataError, ShiftbenchError
from shiftbench.refs import Ref
from shiftbench.stages.score import scored

NUMBER, LEVEL = "A13", 1
_CLOSE = 1e-9  # relative, of a score that is computed again: exp differs between CPUs
_KEPT = 64  # record tables that scores find again without reading


def check(case: Case) -> Iterator[Finding | Note]:
    """Look at each table alone, then at those that belong together."""
    look = _Look(case)
    for kind in ("weights", "overlaps", "searches", "analyses", "tables", "claims"):
        for ref, _, receipt in case.of(kind):
            yield from look.tables(ref, receipt)
    for ref, _, receipt in case.of("records"):
        yield from look.records(ref, receipt)
    for ref, _, receipt in case.of("scores"):
        yield from look.scores(ref, receipt)
    for ref, _, _ in case.of("features"):
        yield from look.features(ref)
    yield from look.unlabelled()
    counts = ", ".join(f"{count} {what}" for what, count in look.counts.items())
    yield Note(counts or "nothing was made yet, so there are no rows")


class _Look:
    """What is remembered from one file to the next."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.counts: Counter[str] = Counter()
        self._truths: dict[Ref, _judged.Truth | None] = {}
        self._lacking: dict[Ref, int] = {}
        self._classes: dict[Ref, list[str] | None] = {}
        self._records: dict[Ref, pa.Table | None] = {}

    # -------------------------------------------------------------- any table

    def tables(self, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding]:
        """Look at the Parquet files of an output."""
        for name in receipt["made"]:
            if name.endswith(".parquet"):
                table = yield from self._table(ref, receipt, name)
                if table is not None and ref.kind == "searches":
                    yield from _chosen(self.case, ref, table)

    def _table(
        self, ref: Ref, receipt: dict[str, Any], name: str
    ) -> Generator[Finding, None, pa.Table | None]:
        file = self.case.folder(ref) / name
        place = file.relative_to(self.case.root).as_posix()
        if not file.is_file():
            return None  # a finding of `digests`
        found = _tables.safe_read(file, ref.kind)
        if isinstance(found, str):
            yield self.case.failed(ref, found, file=place)
            return None
        table, form = found
        self.counts[f"rows of {ref.kind}"] += len(table)
        digest = (receipt["rows"] or {}).get(name)
        for why, expected, seen in _tables.wrong(file, table, form, receipt["fingerprint"], digest):
            yield self.case.failed(ref, why, file=place, expected=expected, found=seen)
        return table

    # -------------------------------------------------------------- records

    def records(self, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding]:
        """Look at records, and at the samples that they are about."""
        name = ref.path.rpartition("/")[2]
        table = yield from self._table(ref, receipt, name)
        if table is None:
            return
        shards = self._shards(ref, receipt)
        truth = self.truth(shards) if shards else None
        if shards is None or truth is None or truth.labels is None:
            self._lacking[shards or ref] = self._lacking.get(shards or ref, 0) + 1
        if truth is None:
            return
        wrong = _tables.keys_wrong(table, truth.keys)
        if wrong:
            yield self.case.failed(ref, **wrong)
        elif truth.labels is not None and len(table):
            for key, column, expected, found in self._judged(ref, table, truth):
                why = (
                    f"{column} does not follow from the sample"
                    if column in _SAMPLES
                    else _LOGITS.format(column)
                )
                yield self.case.failed(ref, why, sample=key, expected=expected, found=found)

    def _shards(self, ref: Ref, receipt: dict[str, Any]) -> Ref | None:
        """Return the planned shards whose samples the records are about."""
        name = receipt["recipe"].get("data")
        inputs = self.case.plan.cells[ref].inputs
        return next((need for need in inputs if need.kind == "shards" and need.name == name), None)

    def truth(self, ref: Ref) -> _judged.Truth | None:
        """Return what shards say of their samples, read once."""
        if ref not in self._truths:
            try:
                here = ref in self.case.whole
                self._truths[ref] = _judged.truth(self.case, ref) if here else None
            except (DataError, ValueError):
                self._truths[ref] = None  # a tar that cannot be walked is a finding of `archives`
        return self._truths[ref]

    def _judged(self, ref: Ref, table: pa.Table, truth: _judged.Truth) -> Iterator[_judged.Wrong]:
        if "label" not in table.column_names:  # of a task whose answers are no labels
            assert truth.metas is not None  # noqa: S101 - the caller looked
            yield from _judged.metas_wrong(table, truth.metas)
            self.counts["records without labels"] += len(table)
            return
        classes = self._classes_of(ref)
        if classes is None:
            return  # a finding of `weights`
        assert truth.labels is not None and truth.metas is not None  # noqa: S101, PT018 - the caller looked
        space = _judged.Space.of(classes, truth.classes)
        raw = np.array(truth.labels, dtype=np.int64)
        if ((raw < 0) | (raw >= len(space.places))).any():
            at = int(np.argmax((raw < 0) | (raw >= len(space.places))))
            yield truth.keys[at], "label", f"0 to {len(space.places) - 1}", str(raw[at])
            return
        labels = space.places[raw]
        yield from _judged.labels_wrong(table, labels)
        yield from _judged.metas_wrong(table, truth.metas)
        logits = self._logits(ref, table)
        if logits is None:
            yield from _judged.judge_top(table, labels, space, len(classes))
        elif logits.shape != (len(table), len(classes)):
            shape = f"{len(table)} x {len(classes)}"
            yield (
                table.column("key")[0].as_py(),
                "logits",
                shape,
                " x ".join(map(str, logits.shape)),
            )
        elif np.isfinite(logits).all():  # else told already
            yield from _judged.judge(table, labels, logits, space)
        self.counts["records judged again"] += len(table)

    def _classes_of(self, ref: Ref) -> list[str] | None:
        dataset, name, *_ = ref.parts
        weights = Ref("weights", f"{dataset}/{name}")
        if weights not in self._classes:
            self._classes[weights] = _nets.classes(self.case.root / weights.path)
            if self._classes[weights] is None:
                self._lacking[weights] = self._lacking.get(weights, 0) + 1
        return self._classes[weights]

    def _logits(self, ref: Ref, table: pa.Table) -> NDArray[np.float32] | None:
        """Return all logits, of the records or of what was kept beside; None where only the largest are here."""
        if "logits" in table.column_names:
            lists = table.column("logits").combine_chunks()
            widths = lists.value_lengths().unique().to_pylist()
            flat: NDArray[np.float32] = lists.flatten().to_numpy()
            return flat.reshape(len(table), widths[0]) if len(widths) == 1 else flat.reshape(1, -1)
        kept = Ref("features", ref.name)
        file = self.case.folder(kept) / f"{kept.path.rpartition('/')[2][:-4]}.logits.npy"
        if kept not in self.case.whole or not file.is_file():
            return None
        found: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
        return found

    def unlabelled(self) -> Iterator[Finding]:
        """Tell of records that were not judged, because their shards or weights are not here."""
        for ref, count in self._lacking.items():
            why = f"{count} files of records were not judged again: {ref.path} or its tars are not here or not whole"
            yield self.case.incomplete(ref, why)

    # -------------------------------------------------------------- scores

    def scores(self, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding]:
        """Look at scores, at the samples that they are of, and at their values where logits give them."""
        name = ref.path.rpartition("/")[2]
        table = yield from self._table(ref, receipt, name)
        spec = receipt["recipe"]
        of = Ref("records", str(spec.get("rows")))
        records = self._read_records(of)
        if table is None or records is None:
            return
        wrong = _tables.keys_wrong(table, records.column("key").to_pylist())
        if wrong:
            yield self.case.failed(ref, **wrong)
        else:
            yield from self._again(
                ref, spec, table, Rows(records, None, self._logits(of, records), name=of.path)
            )

    def _read_records(self, ref: Ref) -> pa.Table | None:
        if ref not in self._records:
            while len(self._records) >= _KEPT:
                self._records.pop(next(iter(self._records)))
            found = _tables.safe_read(self.case.root / ref.path, "records")
            self._records[ref] = None if isinstance(found, str) else found[0]
        return self._records[ref]

    def _again(
        self, ref: Ref, spec: dict[str, Any], table: pa.Table, rows: Rows
    ) -> Iterator[Finding]:
        detector = plugins.find("detectors", spec["detector"]["use"])
        if tuple(detector.NEEDS) != ("logits",) or hasattr(detector, "FIT"):
            self.counts["files of scores whose detector is fitted or sees the net"] += 1
            return
        options = {**spec["detector"]["options"], **self._searched(spec)}
        try:
            options = {**detector.PARAMS, **options}
            again = scored(detector, options, rows, detector.fit(Known(), options))
        except ShiftbenchError as error:
            yield self.case.failed(ref, f"the scores cannot be computed again: {error}")
            return
        expected = again.column("score").to_numpy()
        found = table.column("score").to_numpy()
        apart = ~(np.abs(expected - found) <= _CLOSE * (1 + np.abs(expected)))
        self.counts["scores computed again"] += len(found)
        if apart.any():
            at = int(np.argmax(apart))
            why = f"{int(apart.sum())} of {len(found)} scores do not follow from the logits"
            key = table.column("key")[at].as_py()
            yield self.case.failed(
                ref,
                why,
                sample=key,
                expected=repr(float(expected[at])),
                found=repr(float(found[at])),
            )

    def _searched(self, spec: dict[str, Any]) -> dict[str, Any]:
        if "search" not in spec:
            return {}
        found = _tables.safe_read(self.case.root / Ref("searches", spec["search"]).path, "searches")
        rows = (
            [] if isinstance(found, str) else [row for row in found[0].to_pylist() if row["chosen"]]
        )
        options: dict[str, Any] = json.loads(rows[0]["options"]) if rows else {}
        return options

    # -------------------------------------------------------------- features

    def features(self, ref: Ref) -> Iterator[Finding]:
        """Look at features and logits beside records."""
        records = self._read_records(Ref("records", ref.name))
        features = self.case.root / ref.path
        for file in (features, features.with_name(f"{features.stem}.logits.npy")):
            place = file.relative_to(self.case.root).as_posix()
            if not file.is_file():
                continue  # a finding of `digests`
            try:
                values = np.load(file, mmap_mode="r", allow_pickle=False)
            except (ValueError, EOFError) as error:
                yield self.case.failed(ref, f"it is no array of numbers: {error}", file=place)
                continue
            self.counts["rows of features and logits"] += len(values)
            for wrong in _tables.array_wrong(values, records):
                yield self.case.failed(ref, file=place, **wrong)


_SAMPLES = ("label", "group", "cluster")
_LOGITS = "{} does not follow from the logits and the label"


def _chosen(case: Case, ref: Ref, table: pa.Table) -> Iterator[Finding]:
    """Check that the chosen point is the first of the best."""
    rows = table.to_pylist()
    fit = [row for row in rows if row["auroc"] is not None]
    best = max(fit, key=lambda row: row["auroc"], default=None)
    chosen = [row["number"] for row in rows if row["chosen"]]
    if best is None or chosen != [best["number"]]:
        why = "the chosen point is not the first of the best"
        expected = "one that fits" if best is None else f"point {best['number']}"
        yield case.failed(ref, why, expected=expected, found=f"point {', '.join(map(str, chosen))}")
