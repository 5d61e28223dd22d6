"""RePanda's data: tables from miniatures of their sources, and claims whose truth two ways agree on."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from makers.small_table_sources import ISLANDS, claims
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.data import splits, tables
from shiftbench.evaluation import sandbox
from shiftbench.evaluation.sandbox import pandas_queries
from shiftbench.plugins.tasks import table_question
from shiftbench.systems.repanda.datasets import _drawn, _forms, _pools
from shiftbench.systems.repanda.datasets._forms import Form

needs_sandbox = pytest.mark.skipif(bool(sandbox.missing_support()), reason="no sandbox on this machine")
DATASETS = ("table_claims", "wikipedia_claims", "wikipedia_question_claims", "wikipedia_question_claims_balanced")

# ------------------------------------------------------------------ the tables


def test_pools_give_tables_as_they_stand_in_their_sources(sources: dict[str, Path]) -> None:
    found = {pool: dict(_pools.read(pool, sources, 0)) for pool in _pools.SOURCES}
    for pool, own in found.items():
        for name, table in own.items():
            tables.check(table, name)
            assert name.startswith(f"{pool}/")
            assert table["origin"] == pool
    countries = found["countries"]["countries/northern_isles"]
    assert countries["header"] == list(_pools.HEADINGS)
    assert countries["rows"][0] == ["Isle 0", "Town 0", "100", "1000", "ISK", "is, en", "350"]
    assert len(countries["rows"]) == 5  # the sixth has no area
    assert set(found["countries"]) == {"countries/northern_isles"}  # three are too few
    barley = [table for name, table in found["statistics"].items() if "/barley-" in name]
    assert len(barley) == _pools.TABLES
    assert all(len(table["rows"]) == _pools.ROWS for table in barley)
    assert barley[0]["header"] == ["yield barley", "plot name"]  # an underscore is a space
    assert barley[0]["rows"] != barley[1]["rows"]


def test_of_wikitext_regular_tables_are_kept_without_their_markup(sources: dict[str, Path]) -> None:
    found = dict(_pools.read("wikipedia", sources, 0))
    assert list(found) == ["wikipedia/page_of_lakes-0"]  # spans, few rows, twice the same: left out
    assert found["wikipedia/page_of_lakes-0"] == {
        "header": ["Lake", "Area (km 2)"],
        "rows": [["Como", "146"], ["Garda", "370"], ["Iseo", "65"], ["Orta", "18"]],
        "caption": "Lakes of the north",
        "origin": "wikipedia",
    }


def test_a_pool_that_is_none_is_refused(sources: dict[str, Path]) -> None:
    with pytest.raises(ParamsError, match=r"there is no pool of tables 'wiki'; .*wikipedia"):
        list(_pools.read("wiki", sources, 0))


# ------------------------------------------------------------------ the claims


@pytest.mark.parametrize(
    ("form", "true"),
    [
        (Form("lookup", "Area", "1200", "Name", "Ada"), True),
        (Form("lookup", "Area", "1200", "Name", "Bea"), False),
        (Form("not_lookup", "Kind", "x", "Name", "Bea"), True),
        (Form("count", "Kind", "2", entity="x"), True),
        (Form("count", "Kind", "1", entity="x"), False),
        (Form("count", "Area", "1", entity="300.5"), True),
        (Form("highest", "Area", "1,200"), True),
        (Form("lowest", "Area", "1,200"), False),
        (Form("superlative", "Area", "", "Name", "Ada"), True),
        (Form("superlative", "Area", "", "Name", "Cleo"), False),  # missing: first of nothing
        (Form("mean_above", "Area", "750"), True),
        (Form("mean_above", "Area", "750.25"), False),  # equal is not above
        (Form("difference", "Area", "899.5", "Name", "Ada", "Bea"), True),
        (Form("difference", "Area", "899.5", "Name", "Bea", "Ada"), False),
        (Form("all_above", "Area", "300"), False),  # one is missing
        (Form("none", "Kind", "z"), True),
        (Form("none", "Kind", "y"), False),
    ],
)
@needs_sandbox
def test_truths_by_hand_and_by_pandas(form: Form, true: bool) -> None:
    columns = tables.typed_columns(ISLANDS)
    assert _forms.holds(form, columns) is true
    query = _forms.query(form, {column.name: column.kind for column in columns})
    (answer,) = pandas_queries.run([(query, columns)])
    assert pandas_queries.truth(answer) is true, query


@pytest.mark.parametrize("name", DATASETS)
def test_claims_are_drawn_alike_each_time_and_are_of_one_split(name: str, sources: dict[str, Path]) -> None:
    module = registry.find("datasets", name)
    offered = ("test",) if module.NATIVE == ("test",) else splits.SPLITS
    found = {split: claims(name, sources, split) for split in offered}
    again = {split: claims(name, sources, split) for split in offered}
    for split, own in found.items():
        assert [one.fields for one in own] == [one.fields for one in again[split]]
    keys = [one.key for own in found.values() for one in own]
    assert len(set(keys)) == len(keys) > 0
    clusters = [{module.group(one) for one in own} for own in found.values()]
    assert not set.intersection(*clusters) or len(clusters) == 1
    for one in (one for own in found.values() for one in own):
        table_question.check(one, [])


@needs_sandbox
def test_what_claims_say_is_what_pandas_finds(sources: dict[str, Path]) -> None:
    """The other way to the truth: the query that each claim has beside it."""
    some = [*claims("table_claims", sources, "train")[::40], *claims("wikipedia_claims", sources)[::3]]
    columns = [tables.typed_columns(one.fields["table"]) for one in some]
    asked = [(one.fields["meta"]["query"], own) for one, own in zip(some, columns, strict=True)]
    wrong = [
        one.fields["text"]
        for one, answer in zip(some, pandas_queries.run(asked), strict=True)
        if pandas_queries.truth(answer) is not one.fields["meta"]["answer"]
    ]
    assert wrong == []


@needs_sandbox
def test_a_true_lookup_fails_when_the_cell_that_it_names_is_another(sources: dict[str, Path]) -> None:
    """A query that is right for the wrong reason would not notice."""
    found = claims("table_claims", sources, "train")
    some = [one for one in found if one.fields["meta"]["group"] == "lookup"]
    some = [one for one in some if one.fields["meta"]["answer"]][:10]
    asked = []
    for one in some:
        table, form = one.fields["table"], Form(**one.fields["meta"]["form"])
        at, key = table["header"].index(form.column), table["header"].index(form.key)
        other = "9" if form.value.replace(",", "").isdigit() else "another"
        rows = [[*row] for row in table["rows"]]
        for row in rows:
            row[at] = f"{row[at]}{other}" if row[key] == form.entity else row[at]
        asked.append((one.fields["meta"]["query"], tables.typed_columns({**table, "rows": rows})))
    assert len(asked) == 10
    assert [pandas_queries.truth(one) for one in pandas_queries.run(asked)] == [False] * 10


def test_true_and_false_claims_are_as_many_and_say_other_things(sources: dict[str, Path]) -> None:
    train = claims("table_claims", sources, "train")
    answers = Counter(one.fields["meta"]["answer"] for one in train)
    assert abs(answers[True] - answers[False]) <= len({one.fields["meta"]["cluster"] for one in train})
    assert {one.fields["meta"]["group"] for one in train} == set(_forms.OPERATIONS)
    assert {one.fields["meta"]["template"][-1] for one in train} == {"0", "1"}
    wiki = claims("wikipedia_claims", sources)
    assert {one.fields["meta"]["template"][-1] for one in wiki} == {"0", "1", "2"}
    questions = claims("wikipedia_question_claims", sources)
    assert {one.fields["meta"]["answer"] for one in questions} == {True}
    balanced = claims("wikipedia_question_claims_balanced", sources)
    groups = Counter((one.fields["meta"]["group"], one.fields["meta"]["answer"]) for one in balanced)
    assert set(groups) == {("all_true", True), ("all_false", False)}
    assert {one.fields["meta"]["template"].partition("/")[0] for one in balanced} <= {"lookup", "count"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kind": "claim"}, "did you mean claims"),
        ({"paraphrases": [3]}, r"expected some of 0, 1 and 2"),
        ({"paraphrases": []}, r"expected some of 0, 1 and 2"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], why: str, sources: dict[str, Path]) -> None:
    with pytest.raises(ParamsError, match=why):
        claims("table_claims", sources, **options)


def test_a_table_of_one_column_without_numbers_gives_what_it_can() -> None:
    table = {"header": ["a"], "rows": [["x"], ["y"], ["x"]], "caption": ""}
    found = _drawn.Drawer(table, RandomStream(0, "a", "b", "c")).drawn(20, list(_forms.OPERATIONS))
    assert {one.form.operation for one in found} <= {"count", "none"}
    assert all(_forms.holds(one.form, tables.typed_columns(table)) is one.true for one in found)
