"""Stage aggregate: records and scores of a benchmark -> metric rows, replicates, paired differences and comparisons.

    records, a few artifacts at a time -> integer contributions -> sums under every resample -> rows
    records along a path of severities, joined by key -> rows, in the same way
    scores of an ID and an OOD set, or scores with the correctness of predictions -> rows, by sorted scores
    rows -> means over training seeds -> curves over severity -> paired differences of models and of detectors
    searches of detectors' options -> one table

Records are read column by column, a batch of artifacts at a time. Sums are exact integers, so the tables have the same
bytes for any number of threads, order of artifacts or machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.files import scratch
from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.statistics import (
    analysis_rows,
    detector_comparisons,
    digit_sums,
    failure_prediction,
    intervals,
    ood_rows,
    reliability,
    score_curves,
    search_tables,
    seed_means,
    severity_paths,
    spectrum_rows,
)
from shiftbench.statistics.benchmark_rows import BenchmarkRows, EvaluationFile, Metric
from shiftbench.statistics.interval_kind import interval_kind
from shiftbench.statistics.rows import Floats, Row


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a benchmark: formats METRICS, REPLICATES, DIFFERENCES, COMPARISONS, RISK_COVERAGE, ROC."""

    metrics: pa.Table
    replicates: pa.Table
    differences: pa.Table
    comparisons: pa.Table
    risk_coverage: pa.Table
    roc: pa.Table


@dataclass(frozen=True, slots=True)
class Detection:
    """The detectors of a benchmark.

    Attributes:
        full_spectrum: also compare OOD sets with the clean and shifted ID sets together, and pool the sample metrics.
        detectors: in order; the first is the baseline.
    """

    full_spectrum: bool = False
    detectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of a benchmark's analyses.

    Attributes:
        files: tables of format OBSERVATIONS.
        benchmark, task: as in METRICS.
    """

    files: tuple[Path, ...] = ()
    benchmark: str = ""
    task: str = ""


def aggregate(  # noqa: PLR0913 - the parameters of a benchmark's tables, each with its default
    artifacts: Sequence[EvaluationFile],
    metrics: Mapping[str, Mapping[str, Any]],
    draws: int,
    seed: int,
    threads: int = 1,
    detection: Detection = Detection(),
    observed: Observed = Observed(),
) -> Tables:
    """Compute all tables of a benchmark.

    Args:
        artifacts: evaluation artifacts, in any order.
        metrics: name -> options; `use` names the plugin if it is not the name.
        draws: bootstrap resamples per row.
        seed: the benchmark's seed.
        threads: batches of artifacts at a time; changes no result.
        detection: the detectors and their comparison.
        observed: observations of analyses.

    Raises:
        SchemaError: a file does not have its declared format.
        DuplicateKeyError: a file has two rows of one key.
        RangeError: a score is not finite.
        DataError: the samples of scores and records differ.
        ParamsError: a metric lacks its source metric, an ID set, or shifted scores.
    """
    used_metrics = _metrics(metrics)
    # Artifacts of one data set follow each other, so that equal keys are in one batch.
    ordered = sorted(artifacts, key=lambda artifact: (artifact.dataset, artifact.split, artifact.file))
    benchmark = BenchmarkRows(ordered, used_metrics, draws, seed)
    # The pool's threads are the parallelism; threads of BLAS and torch within them would only compete.
    with digit_sums.single_thread(benchmark.products):
        rows = list(_rows(benchmark, threads, detection))
        rows += analysis_rows.observed_rows(observed.files, observed.benchmark, observed.task, benchmark)
        rows += list(seed_means.means(rows))
        curves = [metric for metric in used_metrics if metric.module.KIND == "curve"]
        for metric in _in_order_of_sources(curves):
            rows += _curve(metric, rows)
        rows.sort(key=seed_means.order)
        differences = list(seed_means.differences(benchmark, rows))
        comparisons = list(detector_comparisons.comparisons(benchmark, rows, detection.detectors))
    return Tables(
        _metric_table(rows, {metric.name: metric.module for metric in used_metrics}),
        _replicate_table(rows),
        schema.table(differences, formats.DIFFERENCES),
        schema.table(comparisons, formats.COMPARISONS),
        failure_prediction.table(benchmark),
        score_curves.table(benchmark),
    )


def _rows(benchmark: BenchmarkRows, threads: int, detection: Detection) -> Iterator[Row]:
    yield from benchmark.sample_rows(threads)
    yield from ood_rows.detection_rows(benchmark, threads, full_spectrum=detection.full_spectrum)
    yield from failure_prediction.failure_rows(benchmark, threads)
    yield from severity_paths.path_rows(benchmark, threads)
    if detection.full_spectrum:
        yield from spectrum_rows.spectrum_rows(benchmark, threads)


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> list[Metric]:
    used_metrics = []
    for name, settings in metrics.items():
        options = {key: value for key, value in settings.items() if key != "use"}
        module = registry.find("metrics", settings.get("use", name))
        defaults = registry.defaults(module)
        unknown = sorted(set(options) - set(defaults))
        if unknown:
            raise ParamsError(f"metrics.{name}: unknown option {unknown[0]!r} ({suggest(unknown[0], defaults)})")
        used_metrics.append(Metric(name, module, {**defaults, **options}))
    return used_metrics


def _in_order_of_sources(curves: list[Metric]) -> list[Metric]:
    """The curves in an order in which each comes after its sources."""
    waiting, ordered = list(curves), list[Metric]()
    while waiting:
        open_ = {metric.name for metric in waiting}
        ready = [metric for metric in waiting if not open_.intersection(metric.module.sources(metric.params))]
        # A circle is refused when the source of its first metric is missing.
        ordered += ready or waiting
        waiting = [metric for metric in waiting if metric not in ordered]
    return ordered


def _curve(metric: Metric, rows: list[Row]) -> list[Row]:
    present = {row.metric for row in rows}
    for source in metric.module.sources(metric.params):
        if source not in present:
            raise ParamsError(
                f"metrics.{metric.name} is computed from {source!r}, which is not asked for; "
                f"add it to metrics ({suggest(source, present)})"
            )
    return [replace(row, metric=metric.name) for row in metric.module.compute(rows, **metric.params)]


def _metric_table(rows: list[Row], modules: Mapping[str, ModuleType]) -> pa.Table:
    seed_groups = seed_means.seed_groups(rows)
    rows_of_seeds = [seed_groups.get(seed_means.seed_group_key(row)) if row.seed is None else None for row in rows]
    ends = _interval_ends(rows, modules, rows_of_seeds)
    ends[:, [row.n < 2 for row in rows]] = np.nan
    seed_values = [[row.value for row in seed_rows or ()] for seed_rows in rows_of_seeds]
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows] for name in (*seed_means.IDENTITY, "n", "seed", "unit")
    }
    columns["units"] = [_units(row) for row in rows]
    columns["seeds"] = [len(values) or None for values in seed_values]
    numbers = {
        "value": np.array([row.value for row in rows], dtype=np.float64),
        "ci_low": ends[0],
        "ci_high": ends[1],
        "seed_low": np.array([np.min(values) if values else np.nan for values in seed_values]),
        "seed_high": np.array([np.max(values) if values else np.nan for values in seed_values]),
    }
    columns |= {name: _with_nulls(values) for name, values in numbers.items()}
    return pa.table({name: columns[name] for name in formats.METRICS.names}, schema=formats.METRICS.arrow)


def _units(row: Row) -> int:
    return row.n if row.units is None else row.units


def _interval_ends(rows: list[Row], modules: Mapping[str, ModuleType], families: list[list[Row] | None]) -> Floats:
    """The ends of each row's interval, float64 (2, rows); metrics of analyses have no module."""
    resamples = np.stack([row.resamples for row in rows]) if rows else np.empty((0, 0))
    values = np.array([row.value for row in rows], dtype=np.float64)
    units = np.array([_units(row) for row in rows], dtype=np.int64)
    clustered = np.array([row.unit == "cluster" for row in rows], dtype=bool)
    kinds = [interval_kind(modules.get(row.metric)) for row in rows]
    ends = intervals.of_rows(kinds, values, resamples, units, clustered)
    for index, seed_rows in enumerate(families):
        if seed_rows is not None and len(seed_rows) > 1:
            by_seed = np.stack([row.all for row in seed_rows])
            ends_of_mean = intervals.of_seed_mean(by_seed, kinds[index], seed_means.smallest_units(*seed_rows))
            ends[:, index] = ends_of_mean + values[index] - by_seed[:, 0].mean()
    return ends


def _replicate_table(rows: list[Row]) -> pa.Table:
    columns = {name: [getattr(row, name) for row in rows] for name in seed_means.IDENTITY}
    ends = np.cumsum([0, *(len(row.resamples) for row in rows)], dtype=np.int32)
    flat = np.concatenate([row.resamples for row in rows]) if rows else np.empty(0)
    lists = pa.ListArray.from_arrays(ends, _with_nulls(flat))
    return pa.table({**columns, "draws": lists}, schema=formats.REPLICATES.arrow)


def _with_nulls(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)  # NaN is null


def run(run: Run, artifact: Artifact) -> None:
    """Write the tables of one benchmark."""
    spec = artifact.recipe
    metrics = {name: {**used["options"], "use": used["use"]} for name, used in spec["metrics"].items()}
    artifacts = [_evaluation_file(run, spec, row) for row in spec["rows"]]
    detection = Detection(bool(spec.get("full_spectrum")), tuple(spec.get("detectors", ())))
    analyses = tuple(run.path(Ref("analyses", name)) for name in spec.get("analyses", ()))
    observed = Observed(analyses, spec["benchmark"], spec["task"])
    tables = aggregate(artifacts, metrics, spec["draws"], spec["seed"], detection=detection, observed=observed)
    files = {name: run.path(Ref("searches", name)) for name in spec.get("searches", ())}
    searches = search_tables.table(spec["benchmark"], files)
    _commit(run, artifact, tables, reliability.table(artifacts), searches)


_FROM_RECIPE = "model method dataset split shift severity reference detector ood".split()
"""Fields of `EvaluationFile` that equal those of a row of the recipe."""


def _evaluation_file(run: Run, spec: dict[str, Any], row: dict[str, Any]) -> EvaluationFile:
    kind = "scores" if row["detector"] else "records"
    return EvaluationFile(
        benchmark=spec["benchmark"],
        task=spec["task"],
        file=run.path(Ref(kind, row[kind])),
        step=None if row["step"] is None else int(row["step"]),
        ood_group=row.get("ood_group"),
        records=run.path(Ref("records", row["records"])) if row["detector"] else None,
        **{name: row[name] for name in _FROM_RECIPE},
    )


def _commit(run: Run, artifact: Artifact, tables: Tables, bins: pa.Table, searches: pa.Table) -> None:
    output = run.path(artifact.ref)
    tables_by_file = {
        output.name: (tables.metrics, formats.METRICS),
        "replicates.parquet": (tables.replicates, formats.REPLICATES),
        "differences.parquet": (tables.differences, formats.DIFFERENCES),
        "comparisons.parquet": (tables.comparisons, formats.COMPARISONS),
        "risk_coverage.parquet": (tables.risk_coverage, failure_prediction.RISK_COVERAGE),
        "roc.parquet": (tables.roc, score_curves.ROC),
        "reliability.parquet": (bins, reliability.RELIABILITY),
        "searches.parquet": (searches, search_tables.SEARCHED),
    }
    with ExitStack() as stack:
        files = {}
        for name, (table, form) in tables_by_file.items():
            files[name] = stack.enter_context(scratch(output.with_name(name)))
            schema.write(table, files[name], artifact.fingerprint, form)
        run.commit(artifact, files)
