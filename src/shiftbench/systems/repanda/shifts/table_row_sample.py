"""Row sample: some rows of a table are left out, and the claim is judged again by those that are there.

Rows that the claim names stay, and the first that has a cell in the column that it is about. The truth follows from the
form that a drawn claim carries (`meta.form`), by plain Python over the rows as they were typed in the whole table.

Source: RePanda, arXiv 2503.11921 (claims about other tables). Differs: ours, no table of the paper measures it.

Takes one 16-bit word, then one raw word per row that may be left out.
"""

from collections.abc import Sequence

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.tables import Column, typed_columns
from shiftbench.plugins.shifts import _levels, _texts
from shiftbench.systems.repanda.datasets import _forms
from shiftbench.systems.repanda.datasets._forms import Form
from shiftbench.systems.repanda.shifts import _tables

FIELD = None
TASK = "table_question"
LEVELS = _tables.HALF
RANGE = _levels.RANGE


def apply(sample: Sample, severity: float, rng: RandomStream) -> Sample:
    """A claim about fewer rows, with its truth.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: no table, or a claim without its form.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    fields = getattr(sample, "fields", {})  # `corrupt` may be given anything
    if "form" not in (fields.get("meta") or {}) or "table" not in fields:
        raise DataError("this takes a whole Sample with the field 'table' and a form in its meta; there is none")
    table, form = fields["table"], Form(**fields["meta"]["form"])
    columns = typed_columns(table)
    free = _free(form, columns)
    left_out = {free[index] for index in _texts.touched(share, len(free), rng)}
    rows = [row for row in range(len(table["rows"])) if row not in left_out]
    remaining_columns = [Column(column.name, column.kind, [column.values[row] for row in rows]) for column in columns]
    meta = {**fields["meta"], "answer": _forms.holds(form, remaining_columns)}
    if str(meta.get("group")).startswith("all_"):
        meta["group"] = "all_true" if meta["answer"] else "all_false"
    smaller = {**table, "rows": [table["rows"][row] for row in rows]}
    return Sample(sample.key, {**fields, "table": smaller, "meta": meta})


def _free(form: Form, columns: Sequence[Column]) -> list[int]:
    """The rows that may be left out."""
    by_name = {column.name: column.values for column in columns}
    values, keys = by_name[form.column], by_name.get(form.key, [])
    needed = {row for row, key in enumerate(keys) if key in (form.entity, form.other)}
    needed |= {next((row for row, cell in enumerate(values) if cell is not None), 0)}
    return [row for row in range(len(values)) if row not in needed]
