"""A claim about a table is true or false, or a question about it has an answer; a query may be what answers.

A sample is `text`, the claim or question, `table` (`data/tables.py`) and `meta`: `answer`, true or false of a claim, a
list of texts of a question; perhaps `canon`, of each of these texts the number or date as such; `template` or another
`group`, and `cluster`, what is resampled together: the table. A model gives `answers`: for each sample a bool, or a
list of texts, or None where it has none; one that writes queries gives `queries` (the last it wrote), `status` (`ok`,
or why it has no answer) and `rounds` (repairs that it took), too.

No answer is a wrong answer. Those to questions are compared as in `_denotations.py`, whatever their order.

Source: claims as in TabFact (Chen et al., ICLR 2020), questions as in WikiTableQuestions (Pasupat and Liang, ACL 2015).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import tables
from shiftbench.data.formats import Column, Format
from shiftbench.plugins.tasks import _classified, _completions, _denotations, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"text": "txt", "table": "table.json", "meta": "json"}
REQUIRED = ("text", "table", "meta")
METRICS = ("accuracy", "error", "balanced_accuracy", "execution_rate", "repair_rounds")
Answer = bool | Sequence[str] | None
NONE, QUESTION = -1, 2
"""Prediction of no answer; label of a question, and prediction where it is answered by texts."""

RECORDS = Format(
    "records/table_question",
    "One row per claim or question of an evaluation artifact: the truth, the answer, and the query that gave it.",
    ("key",),
    (
        Column("key", pa.string(), "", "sample key"),
        Column("group", pa.string(), "", "group of the sample", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together: the table", nullable=True),
        Column("prompt", pa.int64(), "", "digest of text and table: equal where nothing was changed"),
        Column("label", pa.int32(), "", "1: the claim is true, 0: it is false, 2: a question", 0, 2),
        Column("prediction", pa.int32(), "", "likewise; -1: no answer", -1, 2),
        Column("answer", pa.string(), "", "the model's answer as JSON: a Boolean, or a list of texts", nullable=True),
        Column("correct", pa.bool_(), "", "whether it is right; no answer is wrong"),
        Column("query", pa.string(), "", "the last query that was written", nullable=True),
        Column("status", pa.string(), "", "ok, or why the query gave no answer", nullable=True),
        Column("executed", pa.bool_(), "", "whether the status is ok", nullable=True),
        Column("rounds", pa.int64(), "", "repairs that were asked for", 0, nullable=True),
    ),
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, the same for all outputs modes."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse what is no table, or an answer that is neither a Boolean nor a list of texts.

    Raises:
        DataError: names the sample.
    """
    tables.check(sample.fields["table"], sample.key)
    answer = sample.fields["meta"].get("answer")
    if not isinstance(answer, bool) and not (_is_list(answer) and answer):
        raise DataError(f"{sample.key}: meta.answer is {answer!r}; expected true or false, or a list of texts")
    canon = sample.fields["meta"].get("canon")
    texts = () if isinstance(answer, bool) else answer
    if canon is not None and not (_is_list(canon) and len(canon) == len(texts)):
        raise DataError(f"{sample.key}: meta.canon is {canon!r}; expected a text for each answer")


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: the claim, and the table behind it."""
    table = sample.fields["table"]
    text = f"{sample.fields['text']}\n\n{table['caption']}\n{tables.as_text(table)}"
    return _shown.shown(Sample(sample.key, {"text": text}))


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per sample, in their order.

    Args:
        samples: n claims and questions.
        outputs: `answers`, object (n,); perhaps `queries`, `status` (str) and `rounds` (int), each (n,).
        space: has no classes.
        outputs_mode: makes no difference.

    Raises:
        ModelError: other outputs than that; names the sample.
    """
    answers = _answers(samples, outputs)
    truths = [sample.fields["meta"]["answer"] for sample in samples]
    status = _optional_output("status", samples, outputs)
    columns = {
        "key": [sample.key for sample in samples],
        **_classified.metas(samples),
        "prompt": [_prompt_digest(sample) for sample in samples],
        "label": [_verdict(truth) for truth in truths],
        "prediction": [_verdict(answer) for answer in answers],
        "answer": [None if one is None else json.dumps(one, ensure_ascii=False) for one in answers],
        "correct": [right(answer, sample.fields["meta"]) for answer, sample in zip(answers, samples, strict=True)],
        "query": _optional_output("queries", samples, outputs),
        "status": status,
        "executed": [None if one is None else one == "ok" for one in status],
        "rounds": _optional_output("rounds", samples, outputs),
    }
    return pa.table(columns, schema=RECORDS.arrow)


def _prompt_digest(sample: Sample) -> int:
    return _completions.digest(f"{sample.fields['text']}\n{tables.digest(sample.fields['table'])}")


def _answers(samples: list[Sample], outputs: dict[str, np.ndarray]) -> list[Answer]:
    if "answers" not in outputs:
        names = ", ".join(sorted(outputs)) or "nothing"
        raise ModelError(f"the model gives no answers (it gives {names})")
    answers = [answer.tolist() if isinstance(answer, np.generic) else answer for answer in outputs["answers"]]
    if len(answers) != len(samples):
        raise ModelError(f"{len(answers)} answers for {len(samples)} samples; expected one for each")
    for sample, answer in zip(samples, answers, strict=True):
        if answer is not None and not isinstance(answer, bool) and not _is_list(answer):
            raise ModelError(
                f"sample {sample.key!r}: the answer is {answer!r}; expected a bool, a list of texts or None"
            )
    return answers


def _is_list(answer: object) -> bool:
    return isinstance(answer, list | tuple) and all(isinstance(one, str) for one in answer)


def _optional_output(name: str, samples: list[Sample], outputs: dict[str, np.ndarray]) -> list[Any]:
    """Another output of a model in addition to its answers; None for each sample without it."""
    values = list(outputs[name]) if name in outputs else [None] * len(samples)
    if len(values) != len(samples):
        raise ModelError(f"{len(values)} {name} for {len(samples)} samples; expected one for each")
    return values


def _verdict(answer: Answer) -> int:
    if answer is None:
        return NONE
    return int(answer) if isinstance(answer, bool) else QUESTION


def right(answer: Answer, meta: Mapping[str, Any]) -> bool:
    """Whether an answer is right: a verdict is the truth itself, texts have its denotation."""
    truth: Answer = meta["answer"]
    if isinstance(truth, bool) or isinstance(answer, bool) or answer is None:
        return answer is truth
    return truth is not None and _denotations.same(answer, truth, meta.get("canon"))
