"""Tables that change: what each shift does to a table worked by hand, and that the truth is still the truth."""

from pathlib import Path
from typing import Any

import pytest

from makers.small_table_sources import ISLANDS, claims
from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.data import tables
from shiftbench.evaluation import sandbox
from shiftbench.evaluation.apply_shift import shift_sample
from shiftbench.evaluation.sandbox import pandas_queries
from shiftbench.plugins.tasks import table_question
from shiftbench.systems.repanda.models import _parser, table_grammar
from shiftbench.systems.repanda.shifts import table_number_format

needs_sandbox = pytest.mark.skipif(bool(sandbox.missing_support()), reason="no sandbox on this machine")
HEADER = ["Sum", "Grand sum", "Total", "Area"]
NAMES = ("header_synonyms", "column_shuffle", "number_format", "cell_typos", "row_sample")


def shifted(name: str, sample: Sample, severity: float = 5.0, **options: Any) -> Sample:
    module = registry.find("shifts", f"table_{name}")
    files = {"sources": shift_digests.originals()} if hasattr(module, "SOURCES") else {}
    rng = RandomStream(0, name, "toy", sample.key)
    return shift_sample(sample, module, severity, {**defaults(module), **options, **files}, rng)


def about(header: list[str], rows: list[list[str | None]]) -> Sample:
    table = {"header": header, "rows": rows, "caption": ""}
    return Sample("toy/test/0", {"text": "so", "table": table, "meta": {"answer": True}})


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_out_is_a_table_still(name: str, sources: dict[str, Path]) -> None:
    for one in claims("table_claims", sources, "train")[::25]:
        for severity in (0.0, 2.5, 5.0):
            found = shifted(name, one, severity)
            table_question.check(found, [])
            assert found.fields["text"] == one.fields["text"]
            if name != "row_sample":
                assert found.fields["meta"] == one.fields["meta"]


def test_names_give_way_to_synonyms_that_no_other_column_has() -> None:
    found = shifted("header_synonyms", about(HEADER, [["1", "2", "3", "4"]]))
    # `Sum` would be `Total`, which is there; `Total` would be `Sum`; no noun is known for `Area`.
    assert found.fields["table"]["header"] == ["Sum", "Grand total", "Total", "Area"]


def test_columns_keep_their_cells_wherever_they_stand() -> None:
    rows: list[list[str | None]] = [["1", "2", "3", "4"], ["5", "6", "7", "8"]]
    table = shifted("column_shuffle", about(HEADER, rows)).fields["table"]
    own = {name: [row[at] for row in rows] for at, name in enumerate(HEADER)}
    columns = zip(*table["rows"], strict=True)
    assert {name: list(c) for name, c in zip(table["header"], columns, strict=True)} == own
    assert all(a != b for a, b in zip(table["header"], HEADER, strict=True))


@pytest.mark.parametrize(
    ("cell", "unit", "text"),
    [
        ("1200", "", "1,200"),
        ("1,234,567", "", "1234567"),
        ("-1234.5", "km", "-1,234.5 km"),
        ("12", "km", "12 km"),
        (" 123456 ", "", "123,456"),
    ],
)
def test_numbers_by_hand(cell: str, unit: str, text: str) -> None:
    assert table_number_format.written(cell, unit) == text
    if not unit:
        assert tables.number(text) == tables.number(cell)


def test_a_unit_makes_a_column_a_text_and_separators_do_not() -> None:
    some = about(["Name", "Area"], [["Ada", "1200"], ["Bea", "-"]])
    shown = [shifted("number_format", some, unit=unit).fields["table"] for unit in ("units", "")]
    kinds = [tables.typed_columns(table)[1].kind for table in shown]
    assert kinds == ["text", "number"]
    assert shifted("number_format", some).fields["table"]["rows"] == [["Ada", "1,200 units"], ["Bea", "-"]]


def test_half_of_the_cells_with_letters_have_one_other_letter() -> None:
    rows = [[f"name{n}", str(n)] for n in range(40)]
    found = shifted("cell_typos", about(["Name", "Size"], rows)).fields["table"]["rows"]
    changed = [(a, b) for a, b in zip(rows, found, strict=True) if a != b]
    assert len(changed) in (20, 21)
    for before, after in changed:
        assert after[1] == before[1]
        assert sum(a != b for a, b in zip(before[0], after[0], strict=True)) == 1


@needs_sandbox
def test_of_fewer_rows_the_truth_is_what_pandas_finds(sources: dict[str, Path]) -> None:
    some = claims("table_claims", sources, "train")[::70]
    fewer = [shifted("row_sample", one) for one in some]
    asked = [(one.fields["meta"]["query"], tables.typed_columns(one.fields["table"])) for one in fewer]
    found = [pandas_queries.truth(one) for one in pandas_queries.run(asked)]
    assert found == [one.fields["meta"]["answer"] for one in fewer]
    assert found != [one.fields["meta"]["answer"] for one in some]
    rows = [[len(one.fields["table"]["rows"]) for one in own] for own in (some, fewer)]
    assert all(after < before for before, after in zip(*rows, strict=True))


def test_a_column_is_linked_by_its_words_and_then_by_its_meaning() -> None:
    assert _parser.by_words("Area", ["Area", "Area total"]) == (2.0, "Area")
    assert _parser.by_words("area total", ["Size", "total area of land"]) == (0.5, "total area of land")
    assert _parser.by_words("area", ["Size", "Name"]) is None
    columns = tables.typed_columns({**ISLANDS, "header": ["Name", "Size", "Kind"]})
    claim = "the highest Area is 1200"
    assert table_grammar.written(claim, columns) is None
    asked = []

    def link(said: str, names: Any) -> tuple[float, str] | None:
        asked.append(said)
        return (0.7, "Size") if said == "Area" else None

    assert table_grammar.written(claim, columns, link) == "df['Size'].max() == 1200"
    assert "Area" in asked
    asked.clear()
    assert table_grammar.written("the highest Size is 1200", columns, link)
    assert asked == []  # words told
