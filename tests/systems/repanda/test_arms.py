"""RePanda's arms: a parser whose queries are run and repaired, and a classifier that writes none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers.small_table_sources import ISLANDS, claims
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import tables
from shiftbench.evaluation import nets, sandbox
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.tasks import LabelSpace, table_question
from shiftbench.systems.repanda.datasets import _forms
from shiftbench.systems.repanda.datasets._forms import Form
from shiftbench.systems.repanda.models import _parser, table_direct, table_grammar
from shiftbench.workflow.stages.train import train_weights

needs_sandbox = pytest.mark.skipif(bool(sandbox.missing_support()), reason="no sandbox on this machine")

# ------------------------------------------------------------------ the parser


@pytest.mark.parametrize("paraphrase", [0, 1])
def test_known_wordings_are_understood(paraphrase: int, sources: dict[str, Path]) -> None:
    for one in claims("table_claims", sources, "train", paraphrases=[paraphrase]):
        columns = tables.typed_columns(one.fields["table"])
        found = table_grammar.written(one.fields["text"], columns)
        assert found == one.fields["meta"]["query"], one.fields["text"]


def test_the_held_out_wording_is_not_and_headers_are_linked_by_their_words() -> None:
    columns = tables.typed_columns(ISLANDS)
    for form in (Form("lookup", "Area", "3", "Name", "Ada"), Form("none", "Kind", "z")):
        assert _parser.parsed(_forms.sentence(form, 2), columns) is None
    wide = tables.typed_columns({**ISLANDS, "header": ["Name", "Area (km 2)", "Kind"]})
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
    assert table_grammar.repaired(query, error, NAMES) == better


def test_queries_are_broken_as_often_as_is_said() -> None:
    query = "df['Area'].max() == 3"
    found = [table_grammar.broken(query, 0.3, RandomStream(0, "a", "b", f"{n}")) for n in range(2000)]
    assert sum(one == query for one in found) / 2000 == pytest.approx(0.7**4, abs=0.03)
    assert {table_grammar.broken(query, 0.0, RandomStream(0, "a", "b", "c"))} == {query}


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
        assert all(whole[executed] == found["answers"][executed])  # what runs says what it said unbroken
        assert not np.array(table["correct"].to_pylist())[~executed].any()  # a failure is wrong
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def outputs(name: str, some: list[Sample], **options: Any) -> nets.Outputs:
    model = registry.find("models", name)
    predict = model.load(Path("none"), {**defaults(model), **options}, (), "cpu", {})
    found: nets.Outputs = predict(some)
    return found


@needs_sandbox
def test_a_claim_that_is_not_understood_is_no_answer() -> None:
    given = Sample("toy/test/0", {"text": "all is well", "table": ISLANDS, "meta": {"answer": True}})
    found = outputs("table_grammar", [given])
    assert (found["answers"][0], found["queries"][0], found["status"][0]) == (None, "", "not understood")
    unknown = Sample("toy/test/1", {**given.fields, "meta": {}})  # nothing but text and table is read
    assert outputs("table_grammar", [unknown])["status"][0] == "not understood"


# ------------------------------------------------------------------ the direct model


def direct_job(samples: list[Sample], **params: Any) -> TrainJob:
    options = {**defaults(table_direct), "columns": 256, **params}
    own = {"c": 1.0}, options, (), {}, lambda _: samples, {}
    return TrainJob("table_claims", "table_direct", "table_logreg", 0, *own)


def test_the_direct_model_learns_what_a_wording_tells(tmp_path: Path) -> None:
    """Claims with `not` are false here, so that words alone are enough."""
    says = ["Ada is here", "Ada is not here"]
    some = [Sample(f"k{n}", {"text": says[n % 2], "table": ISLANDS, "meta": {"answer": n % 2 == 0}}) for n in range(20)]
    state, log = train_weights(direct_job(some))
    assert log == [(0, "val_accuracy", 1.0)]
    file = tmp_path / "weights.safetensors"
    file.write_bytes(nets.state_bytes(state))
    predict = table_direct.load(file, {**defaults(table_direct), "columns": 256}, (), "cpu", {})
    assert list(predict(some)["answers"]) == [n % 2 == 0 for n in range(20)]


def test_overlaps_by_hand() -> None:
    given = Sample("a", {"text": "the Area of Ada is 1,200 or 7", "table": ISLANDS})
    # 7 words: area, ada and 1,200 occur; of two numbers one; in the first row ada and 1,200; a column is named.
    assert table_direct.overlap(given) == [3 / 8, 1 / 2, 2 / 8, 1.0, 1.0]
    bare = Sample("a", {"text": "so", "table": ISLANDS})
    assert table_direct.overlap(bare) == [0, 0, 0, 0, 0]


def test_questions_are_none_of_its_business() -> None:
    asks = Sample("toy/train/0", {"text": "how many?", "table": ISLANDS, "meta": {"answer": ["3"]}})
    with pytest.raises(DataError, match="toy/train/0: table_logreg learns from claims"):
        train_weights(direct_job([asks]))
