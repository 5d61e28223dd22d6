from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation.llm.token_statistics import TokenStatistics
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.plugins.tasks import free_text as task
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows
from shiftbench.workflow.stages import evaluate

SPACE = LabelSpace((), ())


def sample(number: int = 0, **meta: Any) -> Sample:
    own = {"graders": ["number", "exact"], "answer": "4", **meta}
    return Sample(f"toy/test/{number}", {"text": "2 + 2 =", "meta": own})


def cells(*rows: tuple[Any, ...]) -> np.ndarray:
    found = np.empty(len(rows), object)
    for at, row in enumerate(rows):
        found[at] = row
    return found


def told(entropies: list[float], closing: int | None = None, *, truncated: bool = False) -> TokenStatistics:
    return TokenStatistics(np.array(entropies), -np.array(entropies) / 2, closing, truncated)


def table(**outputs: np.ndarray) -> pa.Table:
    samples = [sample(at, group="easy") for at in range(len(next(iter(outputs.values()))))]
    return task.rows(samples, outputs, SPACE, "full")


def test_a_row_has_verdicts_and_tokens_by_phase() -> None:
    statistics = cells(
        (told([0.5, 1.5, 9.0, 0.25], 2), told([1.0, 2.0], truncated=True)), (told([3.0, 1.0], 0), told([4.0]))
    )
    found = table(completions=cells(("so 4", "4"), ("5", "four")), statistics=statistics)
    assert found.schema.equals(task.schema(0, "top20"))
    assert found["passed"].to_pylist() == [[True, True], [False, False]]
    assert found["correct"].to_pylist() == [True, False]
    assert found["verdicts"].to_pylist() == [[[True, False], [True, True]], [[False, False], [None, False]]]
    assert found["tokens"].to_pylist() == [[4, 2], [2, 1]]
    assert found["thinking_tokens"].to_pylist() == [[2, 2], [0, 1]]
    assert found["answer_tokens"].to_pylist() == [[1, 0], [1, 0]]
    assert found["thinking_entropy_e9"].to_pylist() == [[10**9, 15 * 10**8], [0, 4 * 10**9]]
    assert found["answer_entropy_e9"].to_pylist() == [[25 * 10**7, 0], [10**9, 0]]
    assert found["completion_nll_e9"].to_pylist() == [[1_406_250_000, 75 * 10**7], [10**9, 2 * 10**9]]
    assert found["closed"].to_pylist() == [[True, False], [True, False]]
    assert found["truncated"].to_pylist() == [[False, True], [False, False]]
    assert found["group"].to_pylist() == ["easy", "easy"]
    assert len(set(found["prompt"].to_pylist())) == 1


def value(name: str, rows: pa.Table, copies: list[int] | None = None) -> float:
    metric = registry.find("metrics", name)
    weights = np.array([copies or [1] * len(rows)], np.uint8).T
    (sums,) = weighted_sums([metric.reduce(Rows(rows), **defaults(metric))], weights)
    return float(metric.finish(sums, **defaults(metric))[0])


def test_metrics_by_hand() -> None:
    statistics = cells(
        (told([0.5, 1.5, 9.0, 0.25], 2), told([1.0, 2.0], truncated=True)), (told([3.0, 1.0], 0), told([4.0]))
    )
    rows = table(completions=cells(("so 4", "4"), ("5", "four")), statistics=statistics)
    assert value("accuracy", rows) == 0.5
    assert value("pass_at_k", rows) == 0.5  # 2 of 2, 0 of 2
    assert value("tokens", rows) == 9 / 4
    assert value("thinking_tokens", rows) == 5 / 4
    assert value("answer_tokens", rows) == 2 / 4
    assert value("thinking_entropy", rows) == (1.0 + 1.5 + 0.0 + 4.0) / 4
    assert value("answer_entropy", rows) == (0.25 + 0 + 1 + 0) / 4
    assert value("completion_nll", rows) == pytest.approx((1.40625 + 0.75 + 1 + 2) / 4)
    assert value("truncated_share", rows) == 1 / 4
    assert value("closed_share", rows) == 2 / 4
    assert value("grader_disagreement", rows) == 1 / 3  # `so 4`; of `four` one grader says nothing
    assert value("tokens", rows, [3, 0]) == 6 / 2


def test_what_is_not_known_of_tokens_counts_for_nothing() -> None:
    rows = table(completions=cells(("4",), ("5",)))
    assert rows["tokens"].to_pylist() == [None, None]
    assert np.isnan(value("tokens", rows))
    assert np.isnan(value("thinking_entropy", rows))
    half = pa.concat_tables([rows, table(completions=cells(("4",)), statistics=cells((told([1.0, 2.0]),)))])
    assert value("tokens", half) == 2.0


def test_a_judge_is_one_of_the_graders() -> None:
    judged = [sample(0, graders=["exact", "judge"])]
    outputs = {"completions": cells(("four",)), "judge": cells(("Yes.",))}
    found = task.rows(judged, outputs, SPACE, "full")
    assert found["verdicts"].to_pylist() == [[[False, True]]]
    assert found["correct"].to_pylist() == [False]
    del outputs["judge"]
    with pytest.raises(ModelError, match="'toy/test/0' is graded by a judge, of which the model gives no"):
        task.rows(judged, outputs, SPACE, "full")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": np.zeros(1)}, r"gives no completions \(it gives logits\)"),
        ({"completions": cells(("4",), ("4",))}, "2 completions for 1 prompts"),
        ({"completions": cells(())}, "'toy/test/0' has 0 completions"),
        ({"completions": cells((4,))}, "'toy/test/0': a completion is no text"),
        ({"completions": cells(("4",)), "statistics": cells(())}, "0 statistics for 1 completions"),
        ({"completions": cells(("4",)), "judge": cells(("y",), ("n",))}, "2 judge for 1 prompts"),
        (
            {"completions": cells(("4",)), "statistics": cells((told([1.0], 1),))},
            "1 entropies, 1 log-probabilities and the closing token 1",
        ),
        ({"completions": cells(("4",)), "statistics": cells((told([]),))}, "of one token at least"),
        ({"completions": cells(("4",)), "statistics": cells((told([np.nan]),))}, "is not finite"),
    ],
)
def test_wrong_answers_are_refused(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        task.rows([sample()], outputs, SPACE, "full")


def test_questions_are_checked_and_shown() -> None:
    task.check(sample(), [])
    with pytest.raises(DataError, match="toy/test/0: there is no grader 'bleu'"):
        task.check(sample(graders=["bleu"]), [])
    assert task.shown(sample())["text"] == "2 + 2 ="


def test_records_come_out_of_shards_and_files_as_they_went_in(tmp_path: Path) -> None:
    texts = ("答案是 4", "الجواب 4")
    samples = [sample(at).with_field("text", f"{text}?") for at, text in enumerate(texts)]
    folder = tmp_path / "shards"
    folder.mkdir()
    about = {"classes": [], "task": "free_text", "dataset": "toy", "split": "test"}
    shards.write(samples, folder, task.FIELDS, about, 1_000_000)

    def echo(asked: list[Sample]) -> dict[str, np.ndarray]:
        said = [one.fields["text"] for one in asked]
        statistics = cells(*[(told([0.5, 0.25], 0),)] * len(said))
        return {"completions": cells(*[(text,) for text in said]), "statistics": statistics}

    found, _, _ = evaluate.evaluate_shards(echo, folder, [], 1)
    schema.write(found, tmp_path / "records.parquet", "f")
    read = schema.read(tmp_path / "records.parquet")
    assert read.equals(found)
    assert read["completions"].to_pylist() == [[f"{text}?"] for text in texts]
    assert read["answer_entropy_e9"].to_pylist() == [[25 * 10**7]] * 2


def test_texts_in_any_script_survive() -> None:
    texts = ("答案是 4", "الجواب ٤ 4", "ответ 4", "\ud800 4")
    found = table(completions=cells(texts))
    assert found["completions"].to_pylist() == [[*texts[:3], "? 4"]]
    assert found["passed"].to_pylist() == [[True] * 4]
