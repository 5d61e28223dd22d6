"""Tables: what is refused, how cells are typed, and what makes two tables equal."""

from typing import Any

import pytest

from shiftbench.base.errors import DataError
from shiftbench.data import tables


def table(*rows: list[str | None], header: tuple[str, ...] = ("a",)) -> dict[str, Any]:
    return {"header": list(header), "rows": list(rows), "caption": "c"}


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", " 20 ", "-3"], "integer", [1, 20, -3]),
        (["1,200", "3"], "integer", [1200, 3]),
        (["1,200", "3.5"], "number", [1200.0, 3.5]),
        (["1", "-"], "number", [1.0, None]),  # a missing cell: no integer
        (["1", None], "number", [1.0, None]),
        (["\N{MINUS SIGN}4"], "integer", [-4]),
        (["055"], "integer", [55]),
        (["12,34"], "text", ["12,34"]),  # no groups of three
        (["50%", "3"], "text", ["50%", "3"]),
        (["2012-01-01"], "text", ["2012-01-01"]),  # dates stay texts
        (["3-1"], "text", ["3-1"]),
        (["1e5"], "text", ["1e5"]),
        (["n/a", ""], "text", [None, None]),
        (["x", "n/a"], "text", ["x", None]),
        (["1234567890123456"], "number", [1234567890123456.0]),  # more digits than a float holds
    ],
)
def test_columns_are_typed_by_the_stated_rule(cells: list[str | None], kind: str, values: list[Any]) -> None:
    (column,) = tables.typed_columns(table(*([cell] for cell in cells)))
    assert column == tables.Column("a", kind, values)
    assert [type(one) for one in column.values] == [type(one) for one in values]


def test_a_table_without_rows_has_columns_of_text() -> None:
    found = tables.typed_columns(table(header=("a", "b")))
    assert [(one.name, one.kind, one.values) for one in found] == [("a", "text", []), ("b", "text", [])]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "a table is an object with header, rows and caption"),
        ({"header": ["a"], "rows": []}, "a table is an object with header, rows and caption"),
        (table(header=()), "expected names of columns"),
        (table(header=("a", "")), "expected names of columns"),
        (table(header=("a", "a")), "two columns are named 'a'"),
        (table(["1", "2"]), "row 0 has 2 cells, the header 1"),
        ({**table(), "rows": [[1]]}, "row 0 has a cell that is neither text nor missing"),
    ],
)
def test_what_is_no_table_is_refused(given: Any, why: str) -> None:
    with pytest.raises(DataError, match=why) as refused:
        tables.check(given, "toy/test/0")
    assert str(refused.value).startswith("toy/test/0: ")


def test_case_and_white_space_make_no_other_table() -> None:
    one = table(["Ada  L", None], header=("Name", "Age"))
    assert tables.digest(one) == tables.digest(table([" ada l", ""], header=("NAME", "age ")))
    assert tables.digest(one) != tables.digest(table(["ada", "l"], header=("name", "age")))
    assert tables.digest(one) == tables.digest({**one, "caption": "another"})


def test_a_table_is_written_as_tabfact_writes_it() -> None:
    given = table(["Ada#L", None], ["x\ny", "3"], header=("Name", "Age"))
    assert tables.as_text(given) == "Name#Age\nAda L#\nx y#3"
