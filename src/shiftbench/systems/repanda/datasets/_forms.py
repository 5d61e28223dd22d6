"""Claims about tables as forms: what is said, whether it holds, and the query that tells; helper of what draws claims.

A *form* is one of OPERATIONS with its slots. `said` is its sentence, one of three paraphrases; `holds` its truth, by
plain Python over the cells; `query` its pandas expression, which the sandbox runs. The two ways to the truth share no
code, and a test compares them.

Equality of cells is that of the typed column (`data/tables.py`); a row whose cell is missing is in no comparison.

Source: ours; the kinds of statements are those that TabFact lists (Chen et al., ICLR 2020, section 2: aggregation,
superlative, comparison, counting, negation, all and none).
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shiftbench.data import tables
from shiftbench.data.tables import Column, Value


class Form(NamedTuple):
    """Content of a claim.

    Attributes:
        operation: a name of OPERATIONS.
        column: what it is about.
        value: a cell as it stands in the table, or a number, or a count; of `superlative` none.
        key, entity: the row that it is about, as the cell of a column that names rows.
        other: another row, of `difference`.
    """

    operation: str
    column: str
    value: str = ""
    key: str = ""
    entity: str = ""
    other: str = ""


OPERATIONS: Mapping[str, tuple[str, str, str]] = {
    "lookup": (
        "the {column} of {entity} is {value}",
        "{entity} has a {column} of {value}",
        "for {entity}, {value} is given as the {column}",
    ),
    "not_lookup": (
        "the {column} of {entity} is not {value}",
        "{entity} does not have a {column} of {value}",
        "for {entity}, something else than {value} is given as the {column}",
    ),
    "count": (
        "there are {value} rows where the {column} is {entity}",
        "{value} rows have {entity} as {column}",
        "{entity} stands {value} times under {column}",
    ),
    "highest": (
        "the highest {column} is {value}",
        "{value} is the maximum of {column}",
        "no {column} exceeds {value}, which is reached",
    ),
    "lowest": (
        "the lowest {column} is {value}",
        "{value} is the minimum of {column}",
        "no {column} is below {value}, which is reached",
    ),
    "superlative": (
        "{entity} has the highest {column}",
        "the {column} of {entity} is the largest of all",
        "by {column}, {entity} comes first",
    ),
    "mean_above": (
        "the average {column} is above {value}",
        "on average the {column} is more than {value}",
        "the mean over all rows of {column} exceeds {value}",
    ),
    "difference": (
        "the {column} of {entity} is {value} more than that of {other}",
        "{entity} exceeds {other} in {column} by {value}",
        "between {entity} and {other} the {column} falls by {value}",
    ),
    "all_above": (
        "all rows have a {column} above {value}",
        "every {column} is above {value}",
        "there is no row whose {column} is {value} or less",
    ),
    "none": (
        "no row has {value} as {column}",
        "the {column} is never {value}",
        "under {column}, {value} does not occur",
    ),
}
"""Three paraphrases of each; the last is held out from those who write a parser, or learn."""
NUMERIC = ("highest", "lowest", "superlative", "mean_above", "difference", "all_above")
"""Operations on columns of numbers."""


def sentence(form: Form, paraphrase: int) -> str:
    """The sentence of a form."""
    return OPERATIONS[form.operation][paraphrase].format(**form._asdict())


# ------------------------------------------------------------------ the truth, in plain Python


def holds(form: Form, columns: Sequence[Column]) -> bool:
    """Whether a form is true of a table.

    Raises:
        KeyError: it names a column, or a row, that the table does not have.
    """
    by_name = {column.name: column for column in columns}
    claimed_column = by_name[form.column]
    values = [value for value in claimed_column.values if value is not None]
    if form.operation in ("lookup", "not_lookup"):
        same = _cell(form, form.entity, by_name) == _as(claimed_column, form.value)
        return same is (form.operation == "lookup")
    if form.operation == "count":
        return sum(value == _as(claimed_column, form.entity) for value in values) == int(form.value)
    if form.operation == "none":
        return _as(claimed_column, form.value) not in values
    return _numeric(form, by_name, [float(value) for value in values if not isinstance(value, str)])


def _numeric(form: Form, by_name: Mapping[str, Column], numbers: list[float]) -> bool:
    if form.operation == "superlative":
        return _number(form, form.entity, by_name) == max(numbers)
    value = tables.number(form.value)
    if form.operation == "highest":
        return max(numbers) == value
    if form.operation == "lowest":
        return min(numbers) == value
    if form.operation == "mean_above":
        return math.fsum(numbers) / len(numbers) > value
    if form.operation == "all_above":
        return len(numbers) == len(by_name[form.column].values) and min(numbers) > value
    difference = _number(form, form.entity, by_name) - _number(form, form.other, by_name)
    return abs(difference - value) < NEAR


NEAR = 1e-6
"""Differences of decimals are equal within this."""


def _cell(form: Form, entity: str, by_name: Mapping[str, Column]) -> Value:
    """The cell of a row in the column that a form is about."""
    rows = dict(zip(by_name[form.key].values, by_name[form.column].values, strict=True))
    return rows[entity]


def _number(form: Form, entity: str, by_name: Mapping[str, Column]) -> float:
    value = _cell(form, entity, by_name)
    return math.nan if value is None or isinstance(value, str) else float(value)


def _as(column: Column, cell: str) -> Value:
    """A cell's text as a value of a column."""
    return cell if column.kind == "text" else tables.number(cell)


# ------------------------------------------------------------------ the query


def query(form: Form, kinds: Mapping[str, str]) -> str:
    """The pandas expression for the truth of a form.

    Args:
        form: what is said.
        kinds: of the columns, by name.
    """
    column = f"df[{form.column!r}]"
    if form.operation in ("lookup", "not_lookup"):
        sign = "==" if form.operation == "lookup" else "!="
        return f"{_cell_code(form, form.entity)} {sign} {_literal(form.value, kinds[form.column])}"
    if form.operation == "count":
        same = f"{column} == {_literal(form.entity, kinds[form.column])}"
        return f"({same}).sum() == {_number_of(form.value)}"
    if form.operation == "none":
        return f"not ({column} == {_literal(form.value, kinds[form.column])}).any()"
    if form.operation == "superlative":
        return f"{_cell_code(form, form.entity)} == {column}.max()"
    number = _number_of(form.value)
    return {
        "highest": f"{column}.max() == {number}",
        "lowest": f"{column}.min() == {number}",
        "mean_above": f"{column}.mean() > {number}",
        "difference": f"abs({_cell_code(form, form.entity)} - {_cell_code(form, form.other)} - {number}) < {NEAR}",
        "all_above": f"({column} > {number}).all()",
    }[form.operation]


def _cell_code(form: Form, entity: str) -> str:
    return f"df.loc[df[{form.key!r}] == {entity!r}, {form.column!r}].iloc[0]"


def _literal(cell: str, kind: str) -> str:
    return repr(cell) if kind == "text" else _number_of(cell)


def _number_of(cell: str) -> str:
    """A cell's number as Python writes it: `1,200` is 1200, `055` is 55."""
    return repr(tables.number(cell, whole="." not in cell))
