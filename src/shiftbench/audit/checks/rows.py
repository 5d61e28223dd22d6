"""Check of rows: tables have their format, and follow from samples, logits and other rows."""

import functools
import json
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import checkpoint_files, table_files
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.recompute import judged_records
from shiftbench.audit.recompute.judged_records import Flaw, Space, Truth
from shiftbench.base import registry
from shiftbench.base.errors import DataError, NotRunError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.workflow.stages.score import scored

_TABLES = 64  # record tables that are held at once: scores come in the order of their records
_CLOSE = 1e-9  # relative, of a score that is computed again: exp differs between CPUs
_OF_SAMPLES = ("label", "group", "cluster")
Spec = dict[str, Any]
"""A recipe."""


@check("A13", level=1)
def rows(case: Case) -> Iterator[Finding | Note]:
    """All rows have their format, and follow from the samples, logits and rows that they are made from.

    Pass rule: each Parquet file has the declared columns, is sorted by unique keys, has no forbidden null, NaN or value
    out of range, and has the fingerprint and the row digest of its receipt. Records have exactly the samples and labels
    of their shards. `prediction` and `correct` follow from the logits; confidence, nll and brier follow to two
    billionths. Scores have the samples of the records, and those of detectors that need logits only are computed again.
    Features are finite, one row per record.

    Limits: level 3 checks the logits, and the scores of detectors that are fitted or see the network.
    """
    tables = _Tables(case)
    for kind in ("checkpoints", "overlaps", "searches", "analyses", "tables", "released", "claims"):
        for ref, _, receipt in case.outputs(kind):
            yield from tables.files(ref, receipt)
    for ref, _, receipt in case.outputs("records"):
        yield from tables.records(ref, receipt)
    for ref, _, receipt in case.outputs("scores"):
        yield from tables.scores(ref, receipt)
    for ref, _, _ in case.outputs("features"):
        yield from tables.features(ref)
    yield from tables.unjudged()
    counts = ", ".join(f"{count} {what}" for what, count in tables.counts.items())
    yield Note(counts or "there are no results yet, so there are no rows")


class _Tables:
    """Checks files, and counts them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._truth = functools.cache(self._truth_of)
        self._recorded = functools.lru_cache(_TABLES)(lambda ref: table_files.readable(case.root / ref.path, "records"))
        self._classes = functools.cache(lambda ref: checkpoint_files.classes(case.root / ref.path))
        self.counts: Counter[str] = Counter()
        self._unjudged: Counter[Ref] = Counter()  # files of records by what is missing for them

    # -------------------------------------------------------------- any table

    def files(self, ref: Ref, receipt: Spec) -> Iterator[Finding]:
        """Check the Parquet files of an output."""
        for name in receipt["made"]:
            if name.endswith(".parquet"):
                yield from self._table(ref, receipt, name)

    def _table(self, ref: Ref, receipt: Spec, name: str) -> Generator[Finding, None, pa.Table | None]:
        file = self.case.folder(ref) / name
        place = file.relative_to(self.case.root).as_posix()
        if not file.is_file():
            return None  # a finding of `digests`
        content = table_files.safe_read(file, ref.kind)
        if isinstance(content, str):
            yield self.case.failed(ref, content, file=place)
            return None
        table, form = content
        self.counts[f"rows of {ref.kind}"] += len(table)
        digest = (receipt["rows"] or {}).get(name)
        for why, expected, seen in table_files.flaws(file, table, form, receipt["fingerprint"], digest):
            yield self.case.failed(ref, why, file=place, expected=expected, found=seen)
        return table

    # -------------------------------------------------------------- records

    def records(self, ref: Ref, receipt: Spec) -> Iterator[Finding]:
        """Check records against their samples."""
        table = yield from self._table(ref, receipt, Path(ref.path).name)
        if table is None:
            return
        shards = self._shards(ref, receipt)
        truth = self._truth(shards) if shards else None
        if truth is None or truth.labels is None:
            self._unjudged[shards or ref] += 1
        if truth is None:
            return
        wrong = table_files.key_flaw(table, truth.keys)
        if wrong:
            yield self.case.failed(ref, **wrong)
        elif len(table):
            for key, column, expected, seen in self._judged(ref, table, truth):
                source = "sample" if column in _OF_SAMPLES else "logits and the label"
                why = f"{column} does not follow from the {source}"
                yield self.case.failed(ref, why, sample=key, expected=expected, found=seen)

    def _truth_of(self, shards: Ref) -> Truth | None:
        """Labels and metadata of shards; None: the shards are not here, or cannot be read."""
        try:
            return judged_records.truth(self.case, shards) if shards in self.case.complete else None
        except (DataError, ValueError):
            return None  # a tar that cannot be walked is a finding of `archives`

    def _logits(self, records: Ref, table: pa.Table) -> NDArray[np.float32] | None:
        """All logits (n, C) of the records or of the kept features; None if only the largest are here.

        If rows have different widths, they are (1, all).
        """
        if "logits" in table.column_names:
            lists = table.column("logits").combine_chunks()
            widths = lists.value_lengths().unique().to_pylist()
            flat: NDArray[np.float32] = lists.flatten().to_numpy()
            return flat.reshape(len(table), widths[0]) if len(widths) == 1 else flat.reshape(1, -1)
        kept = Ref("features", records.name)
        features = self.case.root / kept.path
        file = features.with_name(f"{features.stem}.logits.npy")
        if kept not in self.case.complete or not file.is_file():
            return None
        logits: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return logits

    def _shards(self, ref: Ref, receipt: Spec) -> Ref | None:
        """Planned shards of the records' samples."""
        name = receipt["recipe"].get("data")
        inputs = self.case.plan.artifacts[ref].inputs
        return next((need for need in inputs if need.kind == "shards" and need.name == name), None)

    def _judged(self, ref: Ref, table: pa.Table, truth: Truth) -> Iterator[Flaw]:
        """Yield the first wrong row of each column, by the samples and by the logits."""
        if truth.labels is None or truth.metas is None:
            return  # its tars are not here
        if "label" not in table.column_names:  # of a task whose answers are no labels
            yield from judged_records.meta_flaws(table, truth.metas)
            self.counts["records without labels"] += len(table)
            return
        if not truth.has_labels:  # claims and questions: what is true stands in `meta`
            yield from judged_records.answer_flaws(table, truth.metas)
            yield from judged_records.meta_flaws(table, truth.metas)
            self.counts["records judged by their answers"] += len(table)
            return
        dataset, name, *_ = ref.parts
        checkpoint = Ref("checkpoints", f"{dataset}/{name}")
        classes = self._classes(checkpoint)
        if classes is None:
            self._unjudged[checkpoint] += 1  # the reason is a finding of `checkpoints`
            return
        space = Space.of(classes, truth.classes)
        raw = np.array(truth.labels, dtype=np.int64)
        outside = (raw < 0) | (raw >= len(space.places))
        if outside.any():
            at = int(np.argmax(outside))
            yield truth.keys[at], "label", f"0 to {len(space.places) - 1}", str(raw[at])
            return
        labels = space.places[raw]
        yield from judged_records.label_flaws(table, labels)
        yield from judged_records.meta_flaws(table, truth.metas)
        yield from self._by_logits(ref, table, labels, space)
        self.counts["records judged again"] += len(table)

    def _by_logits(self, ref: Ref, table: pa.Table, labels: NDArray[np.int64], space: Space) -> Iterator[Flaw]:
        logits, shape = self._logits(ref, table), (len(table), space.classes)
        if logits is None:
            yield from judged_records.judge_top(table, labels, space)
        elif logits.shape != shape:
            expected, seen = (" x ".join(map(str, one)) for one in (shape, logits.shape))
            yield table.column("key")[0].as_py(), "logits", expected, seen
        elif np.isfinite(logits).all():  # else a finding of the logits
            yield from judged_records.judge(table, labels, logits, space)

    def unjudged(self) -> Iterator[Finding]:
        """Yield the records that were not judged, because their shards or checkpoints are not here."""
        for ref, count in self._unjudged.items():
            why = f"{count} files of records were not judged again: {ref.path} or its tars are missing or incomplete"
            yield self.case.incomplete(ref, why)

    # -------------------------------------------------------------- scores

    def scores(self, ref: Ref, receipt: Spec) -> Iterator[Finding]:
        """Check scores against the samples of their records, and their values if these follow from logits."""
        table = yield from self._table(ref, receipt, Path(ref.path).name)
        spec = receipt["recipe"]
        of = Ref("records", str(spec.get("rows")))
        records = self._recorded(of)
        if table is None or records is None:
            return
        wrong = table_files.key_flaw(table, records.column("key").to_pylist())
        if wrong:
            yield self.case.failed(ref, **wrong)
        else:
            logits = self._logits(of, records)
            yield from self._recompute(ref, spec, table, Rows(records, None, logits, name=of.path))

    def _recompute(self, ref: Ref, spec: Spec, table: pa.Table, rows: Rows) -> Iterator[Finding]:
        """Compute the scores of a detector that needs logits only again."""
        detector = registry.find("detectors", spec["detector"]["use"])
        if tuple(detector.NEEDS) != ("logits",) or hasattr(detector, "FIT"):
            self.counts["files of scores whose detector is fitted or sees the network"] += 1
            return
        options = {**registry.defaults(detector), **spec["detector"]["options"], **self._searched(spec)}
        try:
            again = scored(detector, options, rows, detector.fit(Known(), options))
        except NotRunError as error:
            yield self.case.incomplete(ref, str(error))
            return
        except ShiftbenchError as error:
            yield self.case.failed(ref, f"the scores cannot be computed again: {error}")
            return
        expected, stated = (one.column("score").to_numpy() for one in (again, table))
        differs = ~(np.abs(expected - stated) <= _CLOSE * (1 + np.abs(expected)))
        self.counts["scores computed again"] += len(stated)
        if differs.any():
            at = int(np.argmax(differs))
            why = f"{int(differs.sum())} of {len(stated)} scores do not follow from the logits"
            values = {"expected": repr(float(expected[at])), "found": repr(float(stated[at]))}
            yield self.case.failed(ref, why, sample=table.column("key")[at].as_py(), **values)

    def _searched(self, spec: Spec) -> Spec:
        """Options that the search of a detector chose; empty without one."""
        if "search" not in spec:
            return {}
        file = self.case.root / Ref("searches", spec["search"]).path
        table = table_files.readable(file, "searches")
        rows = [] if table is None else table.to_pylist()
        options: Spec = next((json.loads(row["options"]) for row in rows if row["chosen"]), {})
        return options

    # -------------------------------------------------------------- features

    def features(self, ref: Ref) -> Iterator[Finding]:
        """Check the features and logits of records."""
        records = self._recorded(Ref("records", ref.name))
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
            for wrong in table_files.array_flaws(values, records):
                yield self.case.failed(ref, file=place, **wrong)
