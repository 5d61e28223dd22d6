"""Chapters of the report from synthetic tables, for tests of what they show."""

from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa

from makers import synthetic_outputs, synthetic_tables
from shiftbench.data import formats
from shiftbench.report.chapters import Chapter
from shiftbench.report.leaderboard import Tables
from shiftbench.statistics import reliability


def tables(maker: synthetic_tables.Maker, keep: Any = None) -> Tables:
    """Return a benchmark's tables as frames; `keep` filters the metric rows."""
    rows = maker.finished()
    metrics = frame(formats.METRICS, rows)
    return Tables(
        metrics if keep is None else metrics.filter(keep),
        frame(formats.REPLICATES, rows),
        frame(formats.DIFFERENCES, synthetic_tables.differences(rows)),
        frame(reliability.RELIABILITY, maker.bins()),
    )


def frame(form: formats.Format, lines: Any) -> pl.DataFrame:
    table = pa.Table.from_pylist([{name: line[name] for name in form.names} for line in lines], schema=form.arrow)
    return pl.DataFrame(pl.from_arrow(table))


def unknown(*models: str) -> Chapter:
    """A benchmark with groups of OOD sets and everything that is told of its detectors."""
    maker = synthetic_tables.unknown(*models)
    others = {name: frame(synthetic_tables.OTHERS[name], lines) for name, lines in maker.others.items()}
    data = replace(tables(maker), **others, overlaps=frame(formats.OVERLAPS, synthetic_tables.overlaps()))
    return Chapter("unknown", synthetic_outputs.unknown(), data, synthetic_outputs.ABOUT)


def clothes(keep: Any = None) -> Chapter:
    params = synthetic_outputs.params("fashion_mnist", shifts=["gaussian_noise", "fog", "contrast"])
    return Chapter("clothes", params, tables(synthetic_tables.clothes(), keep), synthetic_outputs.ABOUT)


def column(chapter: Chapter, key: str) -> Any:
    return next(column for column in chapter.columns if column.key == key)
