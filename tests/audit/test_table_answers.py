"""Records of claims about tables: labels and verdicts follow from the answers of the samples."""

from typing import Any

import numpy as np
import pytest

from shiftbench.audit.recompute.judged_records import answer_flaws
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import LabelSpace, table_question

ISLANDS = {
    "header": ["Name", "Area", "Kind"],
    "rows": [["Ada", "1,200", "x"], ["Bea", "300.5", "y"], ["Cleo", "-", "x"]],
    "caption": "islands",
}
TRUTHS = {"t/a": True, "t/b": False, "t/c": ["Ada"], "t/d": True}


def records() -> Any:
    samples = [
        Sample(key, {"text": "so", "table": ISLANDS, "meta": {"answer": truth, "cluster": "i"}})
        for key, truth in TRUTHS.items()
    ]
    outputs = {"answers": np.empty(4, object)}
    outputs["answers"][:] = [True, True, ["Ada"], None]
    return table_question.rows(samples, outputs, LabelSpace((), ()), "full")


def found(table: Any, **changed: Any) -> list[tuple[str, str, str, str]]:
    truths = {**TRUTHS, **changed}
    metas = {key: {"answer": truth, "cluster": "i"} for key, truth in truths.items()}
    return list(answer_flaws(table, metas))


def test_rows_of_the_task_follow_from_their_samples() -> None:
    assert found(records()) == []


@pytest.mark.parametrize(
    ("key", "truth", "told"),
    [
        ("t/a", False, [("t/a", "label", "0", "1"), ("t/a", "correct", "False", "True")]),
        ("t/b", True, [("t/b", "label", "1", "0"), ("t/b", "correct", "True", "False")]),
        ("t/c", True, [("t/c", "label", "1", "2"), ("t/c", "correct", "False", "True")]),
        ("t/d", ["Ada"], [("t/d", "label", "2", "1")]),
    ],
)
def test_another_answer_is_told(key: str, truth: Any, told: list[tuple[str, ...]]) -> None:
    assert found(records(), **{key: truth}) == told


def test_a_verdict_that_was_changed_is_told() -> None:
    table = records()
    at = table.column_names.index("correct")
    turned = table.set_column(at, table.schema.field("correct"), [[True, True, True, False]])
    assert found(turned) == [("t/b", "correct", "False", "True")]
