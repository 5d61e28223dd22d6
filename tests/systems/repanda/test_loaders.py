"""RePanda's loaders of released data, and queries that were written elsewhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers.small_table_sources import ISLANDS
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets, sandbox
from shiftbench.plugins.models import _given
from shiftbench.plugins.tasks import LabelSpace, table_question
from shiftbench.systems.repanda.datasets import _official
from shiftbench.systems.repanda.models import table_queries

needs_sandbox = pytest.mark.skipif(bool(sandbox.missing_support()), reason="no sandbox on this machine")

# ------------------------------------------------------------------ released data


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_tabfact_as_it_is_released(tmp_path: Path) -> None:
    asked = {"2-1.html.csv": [["the area be 3", "the area be 4"], [1, 0], "islands"]}
    written(tmp_path / "tokenized_data/test_examples.json", json.dumps(asked))
    written(tmp_path / "data/all_csv/2-1.html.csv", "name#area\nada#3\nbea#1 , 200\n")
    module = registry.find("datasets", "tabfact")
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
    assert list(module.wants("val", {"path": "a"})) == ["a/tokenized_data/val_examples.json", "a/data/all_csv"]
    with pytest.raises(DataError, match=r"train_examples.json does not exist"):
        list(module.samples("train", {}, {"path": str(tmp_path), "name": "tabfact"}))
    with pytest.raises(ParamsError, match="tabfact: option path is missing"):
        list(module.samples("test", {}, {"path": "", "name": "tabfact"}))


TAGGED = (
    *("id", "utterance", "context", "targetValue", "tokens", "lemmaTokens", "posTags", "nerTags"),
    *("nerValues", "targetCanon", "targetCanonType"),
)
"""Columns of the files below tagged/data, in their order."""


def wtq(root: Path, *answers: tuple[str, str], header: tuple[str, ...] = TAGGED) -> list[Sample]:
    """Return questions of the test split in the layout of the release, of a targetValue and a targetCanon each."""
    lines = ["\t".join(header)]
    for number, (answer, canon) in enumerate(answers):
        row = {"id": f"nu-{number}", "utterance": "which two?", "context": "csv/204-csv/7.csv"}
        row |= {"targetValue": answer, "targetCanon": canon, "targetCanonType": "string"}
        lines.append("\t".join(row.get(name, "") for name in header))
    written(root / "tagged/data/pristine-unseen-tables.tagged", "\n".join(lines) + "\n")
    written(root / "csv/204-csv/7.tsv", "Name\tPositions\\nUK\tPositions\\nUK\t\nAda\t3\t4\n")
    module = registry.find("datasets", "wiki_table_questions")
    return list(module.samples("test", {}, {"path": str(root), "name": "wiki_table_questions"}))


def test_wiki_table_questions_as_they_are_released(tmp_path: Path) -> None:
    (found,) = wtq(tmp_path, (r"Ada|Bea \p 2", r"Ada|2.0"))
    table_question.check(found, [])
    assert found.key == "wiki_table_questions/test/nu-0"
    assert found.fields["meta"] == {
        "answer": ["Ada", "Bea | 2"],
        "canon": ["Ada", "2.0"],
        "cluster": "csv/204-csv/7.csv",
    }
    assert found.fields["table"]["header"] == ["Name", "Positions UK", "Positions UK 3", "column 4"]
    assert found.fields["table"]["rows"] == [["Ada", "3", "4", None]]  # the row is one cell short
    with pytest.raises(DataError, match="line 2: targetValue and targetCanon differ in length"):
        wtq(tmp_path, ("a|b", "a"))
    with pytest.raises(DataError, match="line 2: no targetCanon; expected id, utterance"):
        wtq(tmp_path, ("a", "a"), header=TAGGED[:4])


@pytest.mark.parametrize(
    ("answer", "canon", "said"),
    [
        # Of tagged/data/pristine-unseen-tables.tagged, and what a query on the typed table yields.
        ("100,000", "100000.0", "100000"),
        ("492,111", "492111.0", "492111.0"),
        ("17 years", "17.0", "17"),
        ("January 26, 1995", "1995-01-26", "1995-01-26"),
        ("$1.56 billion", "1560000000.0", "1560000000"),
        ("Italy", "Italy", "italy"),
    ],
)
def test_a_number_is_right_however_the_truth_says_it(tmp_path: Path, answer: str, canon: str, said: str) -> None:
    (asked,) = wtq(tmp_path, (answer, canon))
    given = np.empty(3, object)
    given[:] = [[said], [answer], ["7"]]
    table = table_question.rows([asked] * 3, {"answers": given}, LabelSpace((), ()), "full")
    assert table["correct"].to_pylist() == [True, True, False]


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
    module = registry.find("datasets", "pantabfact")
    found = list(module.samples("all", {}, {**defaults(module), "path": str(file), "name": "pantabfact"}))
    assert [one.fields["meta"]["answer"] for one in found] == [True, False]
    assert [one.key for one in found] == ["pantabfact/all/000000", "pantabfact/all/000001"]
    assert found[0].fields["meta"]["query"] == row["pandas_code"]
    assert [one.fields["meta"]["group"] for one in found] == ["all_true", "all_false"]
    assert module.group(found[0]) == module.group(found[1])
    written(file, json.dumps([{"statement": "a"}]))
    with pytest.raises(DataError, match="row 0: no table_text; expected table_text, table_caption"):
        list(module.samples("all", {}, {**defaults(module), "path": str(file), "name": "pantabfact"}))


def test_wikifact_has_that_form_without_queries(tmp_path: Path) -> None:
    row = {"table_text": "name#area\nada#3", "table_caption": "", "statement": "so", "label": 0}
    file = written(tmp_path / "a.json", json.dumps([row]))
    module = registry.find("datasets", "wikifact")
    (found,) = module.samples("test", {}, {**defaults(module), "path": str(file), "name": "wf"})
    table_question.check(found, [])
    assert module.NATIVE == ("test",)
    assert found.key == "wf/test/000000"
    assert found.fields["meta"].keys() == {"answer", "group", "cluster"}
    assert module.wants("test", {"path": "a.json"}).keys() == {"a.json"}


@pytest.mark.parametrize(
    ("lines", "why"), [([], "no header"), ([["a"], ["1", "2"]], "row 0 has 2 cells, the header 1")]
)
def test_released_tables_that_are_none_are_refused(lines: list[list[str]], why: str) -> None:
    with pytest.raises(DataError, match=f"a.csv: {why}"):
        _official.table(lines, "", "a.csv")


# ------------------------------------------------------------------ queries written elsewhere


def recorded(folder: Path, rows: list[Any], **options: Any) -> nets.Predictor:
    file = written(folder / "q.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    weights = training_jobs.write(folder / "w.safetensors", _given.state(str(file)), ())
    params = {**defaults(table_queries), "path": str(file), **options}
    return table_queries.load(weights, params, (), "cpu", {})


@needs_sandbox
def test_recorded_queries_are_run_until_one_runs(tmp_path: Path) -> None:
    given = [
        Sample("toy/test/a", {"text": "", "table": ISLANDS, "meta": {"answer": True}}),
        Sample("toy/test/b", {"text": "", "table": ISLANDS, "meta": {"answer": ["Ada"]}}),
        Sample("toy/test/c", {"text": "", "table": ISLANDS, "meta": {"answer": False}}),
    ]
    lines = [
        {"key": "a", "queries": ["df['area'].max() > 3", "df['Area'].max(", "df['Area'].max() > 3"]},
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
