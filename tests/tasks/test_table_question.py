"""Claims and questions about tables: what is right, what is refused, and that no answer is a wrong one."""

import json
from typing import Any

import numpy as np
import pytest

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.tasks import LabelSpace, _denotations, table_question

TABLE = {"header": ["Name", "Area"], "rows": [["Ada", "3"], ["Bea", "4"]], "caption": "islands"}
SPACE = LabelSpace((), ())


def sample(answer: Any, number: int = 0, **meta: Any) -> Sample:
    own = {"answer": answer, "group": "lookup", "cluster": "islands", **meta}
    return Sample(f"toy/test/{number}", {"text": "so it is", "table": TABLE, "meta": own})


def cells(values: list[Any]) -> np.ndarray[Any, Any]:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def rows(truths: list[Any], answers: list[Any], **beside: list[Any]) -> list[dict[str, Any]]:
    samples = [sample(truth, number) for number, truth in enumerate(truths)]
    outputs = {"answers": cells(answers), **{name: cells(own) for name, own in beside.items()}}
    table = table_question.rows(samples, outputs, SPACE, "full")
    assert table.schema.equals(table_question.schema(0, "full"))
    assert schema.of(table.schema) == table_question.RECORDS
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@pytest.mark.parametrize(
    ("truth", "answer", "correct"),
    [
        (True, True, True),
        (True, False, False),
        (False, False, True),
        (True, None, False),
        (False, None, False),  # no answer is not the answer "false"
        (True, ["True"], False),
        (["3"], ["3.0"], True),
        (["3"], ["4"], False),
        (["Ada", "Bea"], ["bea", "Ada."], True),
        (["Ada", "Bea"], ["Ada"], False),
        (["3"], None, False),
        (["3"], [], False),
        (["True"], True, False),
    ],
)
def test_answers_are_right_or_wrong(truth: Any, answer: Any, correct: bool) -> None:
    (row,) = rows([truth], [answer])
    assert row["correct"] is correct
    assert row["answer"] == (None if answer is None else json.dumps(answer))


def test_what_failed_is_wrong_and_its_query_is_kept() -> None:
    found = rows(
        [True, False, ["3"]],
        [None, np.bool_(False), ["3"]],
        queries=["df['area']", "df['Area'].max() > 9", "df['Area'].min()"],
        status=["KeyError", "ok", "ok"],
        rounds=[4, 0, 1],
    )
    assert [row["correct"] for row in found] == [False, True, True]
    assert [row["executed"] for row in found] == [False, True, True]
    assert [(row["label"], row["prediction"]) for row in found] == [(1, -1), (0, 0), (2, 2)]
    assert [row["rounds"] for row in found] == [4, 0, 1]
    assert found[0]["query"] == "df['area']"
    assert found[0]["prompt"] == found[1]["prompt"]
    bare = rows([True], [True])[0]
    assert (bare["query"], bare["status"], bare["executed"], bare["rounds"]) == (None,) * 4
    assert rows([], []) == []


def test_samples_are_checked_and_shown() -> None:
    table_question.check(sample(True), [])
    table_question.check(sample(["3"]), [])
    for wrong in (None, 1, "true", [], [3]):
        with pytest.raises(DataError, match=r"toy/test/0: meta.answer is .*; expected true or false"):
            table_question.check(sample(wrong), [])
    broken = Sample("toy/test/0", {**sample(True).fields, "table": {"header": []}})
    with pytest.raises(DataError, match="toy/test/0: a table is an object"):
        table_question.check(broken, [])
    assert table_question.shown(sample(True)) == {"label": None, "text": "so it is\n\nislands\nName#Area\nAda#3\nBea#4"}


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({"logits": cells([1])}, r"gives no answers \(it gives logits\)"),
        ({"answers": cells([True, False])}, "2 answers for 1 samples"),
        ({"answers": cells([1])}, "sample 'toy/test/0': the answer is 1; expected a bool"),
        ({"answers": cells([[3]])}, "expected a bool, a list of texts or None"),
        ({"answers": cells([True]), "status": cells([])}, "0 status for 1 samples"),
    ],
)
def test_bad_outputs_are_named(outputs: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        table_question.rows([sample(True)], outputs, SPACE, "full")


# By hand, from the rules in the head of the released evaluator.
@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        (["Beyonc\N{LATIN SMALL LETTER E WITH ACUTE}"], ["beyonce"], True),  # diacritics
        (["\N{LEFT DOUBLE QUOTATION MARK}so\N{RIGHT DOUBLE QUOTATION MARK}"], ["so"], True),
        (["3\N{EN DASH}1"], ["3-1"], True),
        (["Ada[2]"], ["Ada"], True),  # citations
        (["[2]"], ["[3]"], True),  # both are nothing but a citation
        (["[note]"], ["x"], False),
        (["Ada\N{DAGGER}"], ["Ada"], True),
        (["Ada (1903) (queen)"], ["Ada"], True),  # details
        (["(queen)"], ["queen"], False),
        (["Ada  L."], ["ada l"], True),
        (["1e3"], ["1000"], True),
        (["3.0000005"], ["3"], True),
        (["3.00001"], ["3"], False),
        (["1,000"], ["1000"], False),  # the released rule reads no commas
        (["nan"], ["NaN"], True),  # the same words
        (["1990-01-12"], ["1990-1-12"], True),
        (["xx-01-12"], ["1990-01-12"], False),
        (["1990-xx-xx"], ["1990"], True),
        (["1990-13-01"], ["1990-13-1"], False),  # no month
        (["a", "a"], ["a"], True),  # sets
        (["a", "b"], ["a"], False),
        (["b", "a"], ["a", "b"], True),
        ([], ["a"], False),
    ],
)
def test_denotations_by_hand(answer: list[str], truth: list[str], same: bool) -> None:
    assert _denotations.same(answer, truth) is same


def official(answer: list[str], truth: list[str], canon: list[str]) -> bool:
    """The rule of ppasupat/WikiTableQuestions, evaluator.py: `to_value`, `to_value_list`, `check_denotation`."""

    def denoted(text: str, said: str) -> tuple[Any, str]:
        """Return what two items must share to be one, and their words."""
        words = _denotations.plain(text)
        try:
            return float(said), words
        except ValueError:
            pass
        parts = said.lower().split("-")
        try:
            year, month, day = (-1 if part in ("xx", "xxxx") else int(part) for part in parts)
        except ValueError:
            return words, words
        return (float(year), words) if month == day == -1 else ((year, month, day), words)

    def listed(texts: list[str], said: list[str]) -> list[tuple[Any, str]]:
        return list(dict(denoted(*one) for one in zip(texts, said, strict=True)).items())

    given, wanted = listed(answer, answer), listed(truth, canon)
    return len(given) == len(wanted) and all(
        any(words == others or (what == which and not isinstance(what, str)) for which, others in given)
        for what, words in wanted
    )


ITEMS = (
    *(("100,000", "100000.0"), ("17 years", "17.0"), ("17", "17.0"), ("Italy", "Italy")),
    *(("January 26, 1995", "1995-01-26"), ("1995", "1995-xx-xx"), ("two", "2.0"), ("Ada (queen)", "Ada")),
)
SAID = ("100000", "100,000", "17", "17.0", "17 years", "1995-01-26", "1995", "2", "two", "ada", "italy")


def test_numbers_and_dates_of_the_truth_are_those_that_are_given_apart() -> None:
    random, right = np.random.default_rng(0), 0
    for _ in range(3000):
        items = [ITEMS[at] for at in random.choice(len(ITEMS), random.integers(1, 4))]
        truth, canon = ([one[side] for one in items] for side in (0, 1))
        pool = [*SAID, *truth, *canon]
        answer = [pool[at] for at in random.choice(len(pool), len(set(canon)))]
        wanted = official(answer, truth, canon)
        right += wanted
        assert _denotations.same(answer, truth, canon) is wanted, (answer, truth, canon)
    assert right > 200
    with pytest.raises(DataError, match=r"meta.canon is \['2.0'\]; expected a text for each answer"):
        table_question.check(sample(["two", "three"], canon=["2.0"]), [])
