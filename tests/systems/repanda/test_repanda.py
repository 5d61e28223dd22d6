"""RePanda: tables from miniatures of their sources, claims whose truth two ways agree on, queries and repairs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import small_table_sources, training_jobs
from shiftbench import plugins, sandbox
from shiftbench.contracts import TrainJob
from shiftbench.data import splits, tables
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.models import _given
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample
from shiftbench.sandbox import pandas_queries
from shiftbench.stages.train import train_weights
from shiftbench.systems.repanda.datasets import _drawn, _forms, _official, _pools
from shiftbench.systems.repanda.datasets._forms import Form
from shiftbench.systems.repanda.models import (
    _noise,
    _parser,
    table_direct,
    table_grammar,
    table_queries,
)
from shiftbench.tasks import LabelSpace, table_question

needs_sandbox = pytest.mark.skipif(bool(sandbox.lacking()), reason="no sandbox on this machine")
DATASETS = (
    "table_claims",
    "wikipedia_claims",
    "wikipedia_question_claims",
    "wikipedia_question_claims_balanced",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return small_table_sources.make(tmp_path_factory.mktemp("sources"))


def claims(
    name: str, sources: dict[str, Path], split: str = "test", **options: Any
) -> list[Sample]:
    module = plugins.find("datasets", name)
    params = {**module.PARAMS, "name": name, **options}
    native = module.samples(splits.native(split, module), sources, params)
    return [one for one in splits.cut(native, split, module) if isinstance(one, Sample)]


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

TABLE = {
    "header": ["Name", "Area", "Kind"],
    "rows": [["Ada", "1,200", "x"], ["Bea", "300.5", "y"], ["Cleo", "-", "x"]],
    "caption": "islands",
}


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
    columns = tables.typed(TABLE)
    assert _forms.holds(form, columns) is true
    query = _forms.query(form, {column.name: column.kind for column in columns})
    (answer,) = pandas_queries.run([(query, columns)])
    assert pandas_queries.truth(answer) is true, query


@pytest.mark.parametrize("name", DATASETS)
def test_claims_are_drawn_alike_each_time_and_are_of_one_split(
    name: str, sources: dict[str, Path]
) -> None:
    module = plugins.find("datasets", name)
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
    some = [
        *claims("table_claims", sources, "train")[::40],
        *claims("wikipedia_claims", sources)[::3],
    ]
    columns = [tables.typed(one.fields["table"]) for one in some]
    asked = [(one.fields["meta"]["query"], own) for one, own in zip(some, columns, strict=True)]
    wrong = [
        one.fields["text"]
        for one, answer in zip(some, pandas_queries.run(asked), strict=True)
        if pandas_queries.truth(answer) is not one.fields["meta"]["answer"]
    ]
    assert wrong == []


def test_true_and_false_claims_are_as_many_and_say_other_things(sources: dict[str, Path]) -> None:
    train = claims("table_claims", sources, "train")
    answers = Counter(one.fields["meta"]["answer"] for one in train)
    assert abs(answers[True] - answers[False]) <= len(
        {one.fields["meta"]["cluster"] for one in train}
    )
    assert {one.fields["meta"]["group"] for one in train} == set(_forms.OPERATIONS)
    assert {one.fields["meta"]["template"][-1] for one in train} == {"0", "1"}
    wiki = claims("wikipedia_claims", sources)
    assert {one.fields["meta"]["template"][-1] for one in wiki} == {"0", "1", "2"}
    questions = claims("wikipedia_question_claims", sources)
    assert {one.fields["meta"]["answer"] for one in questions} == {True}
    balanced = claims("wikipedia_question_claims_balanced", sources)
    groups = Counter(
        (one.fields["meta"]["group"], one.fields["meta"]["answer"]) for one in balanced
    )
    assert set(groups) == {("all_true", True), ("all_false", False)}
    assert {one.fields["meta"]["template"].partition("/")[0] for one in balanced} <= {"lookup", "count"}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kind": "claim"}, "did you mean claims"),
        ({"paraphrases": [3]}, r"expected some of 0, 1 and 2"),
        ({"paraphrases": []}, r"expected some of 0, 1 and 2"),
    ],
)
def test_options_out_of_range_are_refused(
    options: dict[str, Any], why: str, sources: dict[str, Path]
) -> None:
    with pytest.raises(ParamsError, match=why):
        claims("table_claims", sources, **options)


def test_a_table_of_one_column_without_numbers_gives_what_it_can() -> None:
    table = {"header": ["a"], "rows": [["x"], ["y"], ["x"]], "caption": ""}
    found = _drawn.Drawer(table, RandomStream(0, "a", "b", "c")).drawn(20, list(_forms.OPERATIONS))
    assert {one.form.operation for one in found} <= {"count", "none"}
    assert all(_forms.holds(one.form, tables.typed(table)) is one.true for one in found)


# ------------------------------------------------------------------ the parser


@pytest.mark.parametrize("paraphrase", [0, 1])
def test_known_wordings_are_understood(paraphrase: int, sources: dict[str, Path]) -> None:
    for one in claims("table_claims", sources, "train", paraphrases=[paraphrase]):
        columns = tables.typed(one.fields["table"])
        found = table_grammar.written(one.fields["text"], columns)
        assert found == one.fields["meta"]["query"], one.fields["text"]


def test_the_held_out_wording_is_not_and_headers_are_linked_by_their_words() -> None:
    columns = tables.typed(TABLE)
    for form in (Form("lookup", "Area", "3", "Name", "Ada"), Form("none", "Kind", "z")):
        assert _parser.parsed(_forms.said(form, 2), columns) is None
    wide = tables.typed({**TABLE, "header": ["Name", "Area (km 2)", "Kind"]})
    found = _parser.parsed("the highest area km is 3", wide)
    assert found == Form("highest", "Area (km 2)", "3")
    assert _parser.parsed("the highest depth is 3", wide) is None
    assert _parser.parsed("the highest area km is high", wide) is None
    assert _parser.parsed("the Area of Nobody is 3", columns) is None
    assert table_grammar.written("the Area of Ada is large", columns) is None


# ------------------------------------------------------------------ repairs

NAMES = ["Name", "Area (km 2)"]


@pytest.mark.parametrize(
    ("query", "error", "better"),
    [
        ("df[Name].max()", "NameError: name 'Name' is not defined", "df['Name'].max()"),
        ("df['nAME'].max()", "KeyError: 'nAME'", "df['Name'].max()"),
        ("df['Name'.max()", "SyntaxError: '[' was never closed", "df['Name'].max()"),
        ("df[Area (km 2)].max()", "SyntaxError: invalid syntax", "df['Area (km 2)'].max()"),
        ("df['Name'].str.strip().max()", "AttributeError: only .str", "df['Name'].max()"),
        ("df['Other'].max()", "KeyError: 'Other'", "df['Other'].max()"),  # no rule helps
    ],
)
def test_repairs_by_hand(query: str, error: str, better: str) -> None:
    assert _noise.repaired(query, error, NAMES) == better


def test_queries_are_broken_as_often_as_is_said() -> None:
    query = "df['Area'].max() == 3"
    found = [_noise.broken(query, 0.3, RandomStream(0, "a", "b", f"{n}")) for n in range(2000)]
    assert sum(one == query for one in found) / 2000 == pytest.approx(0.7**4, abs=0.03)
    assert {_noise.broken(query, 0.0, RandomStream(0, "a", "b", "c"))} == {query}


@needs_sandbox
def test_more_rounds_execute_more_and_change_no_verdict(sources: dict[str, Path]) -> None:
    some = claims("table_claims", sources, "train")[:12]
    shares = []
    whole = outputs("table_grammar", some)["answers"]
    for rounds in range(5):
        found = outputs("noisy_table_grammar", some, rounds=rounds)
        table = table_question.rows(some, found, LabelSpace((), ()), "full")
        executed = np.array(table["executed"].to_pylist())
        shares.append(executed.mean())
        assert max(found["rounds"]) <= rounds
        assert all(
            whole[executed] == found["answers"][executed]
        )  # what runs says what it said unbroken
        assert not np.array(table["correct"].to_pylist())[~executed].any()  # a failure is wrong
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def outputs(name: str, some: list[Sample], **options: Any) -> nets.Outputs:
    model = plugins.find("models", name)
    predict = model.load(Path("none"), {**model.PARAMS, **options}, (), "cpu", {})
    found: nets.Outputs = predict(some)
    return found


@needs_sandbox
def test_a_claim_that_is_not_understood_is_no_answer() -> None:
    given = Sample("toy/test/0", {"text": "all is well", "table": TABLE, "meta": {"answer": True}})
    found = outputs("table_grammar", [given])
    assert (found["answers"][0], found["queries"][0], found["status"][0]) == (None, "", "not understood")  # fmt: skip
    unknown = Sample(
        "toy/test/1", {**given.fields, "meta": {}}
    )  # nothing but text and table is read
    assert outputs("table_grammar", [unknown])["status"][0] == "not understood"


# ------------------------------------------------------------------ the direct model


def direct_job(samples: list[Sample], **params: Any) -> TrainJob:
    options = {**table_direct.PARAMS, "columns": 256, **params}
    own = {"c": 1.0}, options, (), {}, lambda _: samples, {}
    return TrainJob("table_claims", "table_direct", "table_logreg", 0, *own)


def test_the_direct_model_learns_what_a_wording_tells(tmp_path: Path) -> None:
    """Claims with `not` are false here, so that words alone are enough."""
    says = ["Ada is here", "Ada is not here"]
    some = [
        Sample(f"k{n}", {"text": says[n % 2], "table": TABLE, "meta": {"answer": n % 2 == 0}})
        for n in range(20)
    ]
    state, log = train_weights(direct_job(some))
    assert log == [(0, "val_accuracy", 1.0)]
    file = tmp_path / "weights.safetensors"
    file.write_bytes(nets.state_bytes(state))
    predict = table_direct.load(file, {**table_direct.PARAMS, "columns": 256}, (), "cpu", {})
    assert list(predict(some)["answers"]) == [n % 2 == 0 for n in range(20)]


def test_overlaps_by_hand() -> None:
    given = Sample("a", {"text": "the Area of Ada is 1,200 or 7", "table": TABLE})
    # 7 words: area, ada and 1,200 occur; of two numbers one; in the first row ada and 1,200; a column is named.
    assert table_direct.overlap(given) == [3 / 8, 1 / 2, 2 / 8, 1.0, 1.0]
    bare = Sample("a", {"text": "so", "table": TABLE})
    assert table_direct.overlap(bare) == [0, 0, 0, 0, 0]


def test_questions_are_none_of_its_business() -> None:
    asks = Sample("toy/train/0", {"text": "how many?", "table": TABLE, "meta": {"answer": ["3"]}})
    with pytest.raises(DataError, match="toy/train/0: table_logreg learns from claims"):
        train_weights(direct_job([asks]))


# ------------------------------------------------------------------ released data, and queries written elsewhere


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_tabfact_as_it_is_released(tmp_path: Path) -> None:
    asked = {"2-1.html.csv": [["the area be 3", "the area be 4"], [1, 0], "islands"]}
    written(tmp_path / "tokenized_data/test_examples.json", json.dumps(asked))
    written(tmp_path / "data/all_csv/2-1.html.csv", "name#area\nada#3\nbea#1 , 200\n")
    module = plugins.find("datasets", "tabfact")
    found = list(module.samples("test", {}, {"path": str(tmp_path), "name": "tabfact"}))
    assert [one.key for one in found] == [f"tabfact/test/2-1_{n:03d}" for n in (0, 1)]
    assert [one.fields["meta"]["answer"] for one in found] == [True, False]
    assert found[0].fields["table"] == {
        "header": ["name", "area"],
        "rows": [["ada", "3"], ["bea", "1 , 200"]],
        "caption": "islands",
    }
    for one in found:
        table_question.check(one, [])
    assert module.group(found[0]) == "2-1.html.csv"
    assert list(module.wants("val", {"path": "a"})) == [
        "a/tokenized_data/val_examples.json",
        "a/data/all_csv",
    ]
    with pytest.raises(DataError, match=r"train_examples.json does not exist"):
        list(module.samples("train", {}, {"path": str(tmp_path), "name": "tabfact"}))
    with pytest.raises(ParamsError, match="tabfact: option path is missing"):
        list(module.samples("test", {}, {"path": "", "name": "tabfact"}))


def test_wiki_table_questions_as_they_are_released(tmp_path: Path) -> None:
    lines = [
        "id\tutterance\tcontext\ttargetValue",
        "nu-0\twhich two?\tcsv/204-csv/7.csv\tAda|Bea \\p Co",
    ]
    written(tmp_path / "data/pristine-unseen-tables.tsv", "\n".join(lines) + "\n")
    written(tmp_path / "csv/204-csv/7.tsv", "Name\tPositions\\nUK\tPositions\\nUK\t\nAda\t3\t4\n")
    module = plugins.find("datasets", "wiki_table_questions")
    (found,) = module.samples("test", {}, {"path": str(tmp_path), "name": "wiki_table_questions"})
    table_question.check(found, [])
    assert found.key == "wiki_table_questions/test/nu-0"
    assert found.fields["meta"] == {"answer": ["Ada", "Bea | Co"], "cluster": "csv/204-csv/7.csv"}
    assert found.fields["table"]["header"] == ["Name", "Positions UK", "Positions UK 3", "column 4"]
    assert found.fields["table"]["rows"] == [["Ada", "3", "4", None]]  # the row is one cell short


def test_pantabfact_as_its_card_describes_it(tmp_path: Path) -> None:
    row = {
        "table_text": "name#area\nada#3",
        "table_caption": "islands",
        "statement": "the area is 3",
        "label": 1,
        "pandas_code": "df['area'].max() == 3",
        "pandas_eval": True,
    }
    file = written(tmp_path / "a.json", json.dumps([row, {**row, "label": 0}]))
    module = plugins.find("datasets", "pantabfact")
    found = list(module.samples("all", {}, {"path": str(file), "name": "pantabfact"}))
    assert [one.fields["meta"]["answer"] for one in found] == [True, False]
    assert found[0].fields["meta"]["query"] == row["pandas_code"]
    assert module.group(found[0]) == module.group(found[1])
    written(file, json.dumps([{"statement": "a"}]))
    with pytest.raises(DataError, match="row 0: no table_text; expected table_text, table_caption"):
        list(module.samples("all", {}, {"path": str(file), "name": "pantabfact"}))


@pytest.mark.parametrize(
    ("lines", "why"),
    [([], "no header"), ([["a"], ["1", "2"]], "row 0 has 2 cells, the header 1")],
)
def test_released_tables_that_are_none_are_refused(lines: list[list[str]], why: str) -> None:
    with pytest.raises(DataError, match=f"a.csv: {why}"):
        _official.table(lines, "", "a.csv")


def recorded(folder: Path, rows: list[Any], **options: Any) -> nets.Predictor:
    file = written(folder / "q.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    weights = training_jobs.write(folder / "w.safetensors", _given.state(str(file)), ())
    params = {**table_queries.PARAMS, "path": str(file), **options}
    return table_queries.load(weights, params, (), "cpu", {})


@needs_sandbox
def test_recorded_queries_are_run_until_one_runs(tmp_path: Path) -> None:
    given = [
        Sample("toy/test/a", {"text": "", "table": TABLE, "meta": {"answer": True}}),
        Sample("toy/test/b", {"text": "", "table": TABLE, "meta": {"answer": ["Ada"]}}),
        Sample("toy/test/c", {"text": "", "table": TABLE, "meta": {"answer": False}}),
    ]
    lines = [
        {
            "key": "a",
            "queries": ["df['area'].max() > 3", "df['Area'].max(", "df['Area'].max() > 3"],
        },
        {"key": "toy/test/b", "queries": ["df['Name'].iloc[0]"]},
        {"key": "c", "answer": False},
    ]
    found = recorded(tmp_path, lines)(given)
    assert list(found["answers"]) == [True, ["Ada"], False]
    assert list(found["rounds"]) == [2, 0, None]
    assert list(found["status"]) == ["ok", "ok", None]
    rows = table_question.rows(given, found, LabelSpace((), ()), "full")
    assert rows["correct"].to_pylist() == [True] * 3
    once = recorded(tmp_path, lines, rounds=1)(given)
    assert (once["answers"][0], once["status"][0], once["rounds"][0]) == (None, "SyntaxError", 1)
    frame = [{"key": "a", "queries": ["df"]}, *lines[1:]]
    assert recorded(tmp_path, frame)(given)["status"][0] == "type"  # it runs, and says nothing
    with pytest.raises(ModelError, match="has nothing for 'toy/test/c'"):
        recorded(tmp_path, lines[:2])(given)
    with pytest.raises(ModelError, match="line 4: a second line for"):
        recorded(tmp_path, [*lines, lines[0]])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([], "expected a JSON object with key"),
        ({"queries": ["1"]}, "expected a JSON object with key"),
        ({"key": "a"}, "expected queries, a list of texts, or answer"),
        ({"key": "a", "queries": []}, "expected queries, a list of texts, or answer"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, row: Any, why: str) -> None:
    with pytest.raises(ModelError, match=f"q.jsonl, line 1: {why}"):
        recorded(tmp_path, [row])
