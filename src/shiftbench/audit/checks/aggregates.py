"""Check of tables: every cell follows from the rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError
from pyarrow import ArrowException

from shiftbench.audit import published_numbers
from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import table_files
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.recompute import metric_rows, rerun
from shiftbench.base import registry
from shiftbench.base.errors import NotRunError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import formats
from shiftbench.data.formats import Format
from shiftbench.provenance import recipe
from shiftbench.workflow.stages import verbs

_CELLS = 100  # cells of one table that are named one by one
_UNUSABLE = (ShiftbenchError, OSError, KeyError, ValueError, ArrowException, PolarsError)
_KEY = list(formats.METRICS.key)


@check("A14", level=1)
def aggregates(case: Case) -> Iterator[Finding | Note]:
    """The tables follow from the rows: a second implementation and the stage itself give every cell again.

    Pass rule: other code (`recompute/metric_rows.py`) computes n, accuracy, error, nll, brier, auroc and fpr95 of each
    row, and means over training seeds. All sums are integers, so the values equal the table to the last bit. Then the
    stage makes all tables again from the rows, with the recipe of the receipt. Every cell of every table is equal:
    intervals, replicates, differences, comparisons, curves. A finding names the row of each cell that differs. Other
    bytes with equal cells mean another Parquet writer.

    Limits: metrics that only the stage computes have no second implementation, so that equal code repeats a mistake.
    """
    for ref, _, receipt in case.outputs("tables", "claims", "released"):
        missing = rerun.missing_inputs(case, ref)
        if missing:
            lack = f"{len(missing)} of their inputs are missing"
            why = f"the {ref.kind} were not computed again: {lack}; `shiftbench pull` fetches them"
            yield case.incomplete(ref, why, found=f"no {missing[0].path}")
            continue
        try:
            results = list(_stage_again(case, ref, receipt))
            yield from results
            if ref.kind == "tables":
                named = {finding.sample for finding in results if isinstance(finding, Finding)}
                yield from _second_implementation(case, ref, receipt["recipe"], named)
        except NotRunError as error:
            yield case.incomplete(ref, str(error))
        except _UNUSABLE as error:
            yield case.failed(ref, f"nothing can be computed from these rows: {error}")
    if not any(True for _ in case.outputs("tables")):
        yield Note("no tables are here, so there is nothing to compute again")


# ------------------------------------------------------------------ by other code


def _second_implementation(
    case: Case, ref: Ref, spec: dict[str, Any], named: set[str | None]
) -> Iterator[Finding | Note]:
    here = table_files.readable(case.root / ref.path, "tables")
    if here is None:
        return
    table = table_files.frame_of(here)
    second = metric_rows.Second(case.root, spec)
    rows = {tuple(row[name] for name in _KEY): row for row in table.iter_rows(named=True)}
    curves = {name for name, about in spec["metrics"].items() if registry.find("metrics", about["use"]).KIND == "curve"}
    values = dict(second.values(_KEY))
    made = case.scratch / "again" / ref.path  # a seed that was edited spoils no mean
    seeds = table_files.frame_of(table_files.read(made, "tables")[0]) if made.is_file() else table
    values |= dict(metric_rows.means(seeds, _KEY, curves, values))
    for key, (value, n) in values.items():
        row, place = rows.get(key), table_files.spell(key)
        if place in named:
            continue  # the stage said so
        if row is None:
            why = "the table lacks a row that its records give"
            yield case.failed(ref, why, sample=place, expected=str(value))
        elif (row["value"], row["n"]) != (value, n):
            why = "the value does not follow from the rows (second implementation)"
            expected, actual = f"{value!r} of n = {n}", f"{row['value']!r} of n = {row['n']}"
            numbers = (published_numbers.spell(row),)
            yield Finding("failed", ref.path, why, place, expected, actual, numbers)
    done = f"{len(values)} of {len(table)} metric rows computed again"
    yield Note(f"{ref.name}: {done} by a second implementation")


# ------------------------------------------------------------------ by the stage


def _stage_again(case: Case, ref: Ref, receipt: dict[str, Any]) -> Iterator[Finding | Note]:
    run = rerun.Rerun(case, ref)
    verbs.aggregate(run, [run.artifact])
    findings, other = run.compare(case, receipt["made"])
    yield from findings
    equal = 0
    for here, made in other:
        differ = list(_differences(case, run.artifact, here, made))
        equal += not differ
        yield from differ
    writer = f"; {equal} are equal in every cell and were written by another Parquet writer"
    yield Note(f"{ref.name}: {len(run.made)} tables made again from the rows{writer if equal else ''}")


def _differences(case: Case, again: recipe.Artifact, here: Path, made: Path) -> Iterator[Finding]:
    """Yield a finding for each cell that differs between a table and the one that was made again."""
    form, ref = table_files.TABLES[here.name], again.ref
    other = rerun.code_change_note(again)
    place = here.relative_to(case.root).as_posix()
    content = table_files.safe_read(here, ref.kind)
    if isinstance(content, str):
        yield case.failed(ref, content, file=place)
        return
    one, two = (table_files.frame_of(content[0]), table_files.frame_of(table_files.read(made, ref.kind)[0]))
    differ = list(cell_differences(one, two, form))
    for key, column, expected, actual, row in differ[:_CELLS]:
        why = f"{column} is not what the rows give{other}"
        numbers = (published_numbers.spell(row),) if form is formats.METRICS and row else ()
        yield Finding("failed", place, why, sample=key, expected=expected, found=actual, numbers=numbers)
    if len(differ) > _CELLS:
        yield case.failed(ref, f"{len(differ) - _CELLS} more cells are not what the rows give", file=place)


CellDifference = tuple[str, str, str, str, dict[str, Any] | None]
"""Key of the row, column, expected value, actual value, and the actual row."""


def cell_differences(actual: pl.DataFrame, made: pl.DataFrame, form: Format) -> Iterator[CellDifference]:
    """Yield each cell in which the table of the run and the one that was made again differ; rows are matched by key."""
    keys = list(form.key)
    rows = {tuple(row[name] for name in keys): row for row in actual.iter_rows(named=True)}
    for row in made.iter_rows(named=True):
        key = tuple(row[name] for name in keys)
        row_here = rows.pop(key, None)
        if row_here is None:
            yield table_files.spell(key), "the row", "a row", "none", None
            continue
        for name, value in row.items():
            value_here = row_here[name]
            if value != value_here and (value == value or value_here == value_here):  # two NaN are equal
                texts = _short(value, value_here), _short(value_here, value)
                yield table_files.spell(key), name, *texts, row_here
    for key, row in rows.items():
        yield table_files.spell(key), "the row", "none", "a row", row


def _short(value: Any, other: Any) -> str:
    """A value in words; of a list the first element that differs."""
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        at = next(i for i, (one, two) in enumerate(zip(value, other, strict=True)) if one != two)
        return f"[{at}] {value[at]!r}"
    return f"{len(value)} values" if isinstance(value, list) else repr(value)
