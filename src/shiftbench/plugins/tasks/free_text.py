"""A question is answered in free text, perhaps after thinking; graders decide whether an answer is right.

A sample is `text`, the prompt, perhaps about an `image`, and `meta`: `graders` and what these compare with
(`evaluation/llm/graders.py`). A model gives `completions`: for each sample the same number n of texts. It may also give
`statistics`, what is known of each text's tokens (`evaluation/llm/token_statistics.py`), `judge`, what a language model
said of each text, and `answer_after`, the mark behind which a sample's answers are, instead of the sample's own.

Records hold all completions; `correct` is of the first, as in Pass@1. Code that is judged by running it is the task
`generation`.

Source: token statistics by phase as in PEAR, arXiv 2510.08026, section 3.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data.formats import E9, NLL_LIMIT, Column, Format
from shiftbench.evaluation.llm import graders
from shiftbench.evaluation.llm.token_statistics import TokenStatistics, phase_means, phases
from shiftbench.plugins.tasks import _classified, _completions, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"image": "png", "text": "txt", "meta": "json"}
REQUIRED = ("text", "meta")
METRICS = (
    *("accuracy", "error", "pass_at_k", "grader_disagreement"),
    *("tokens", "thinking_tokens", "answer_tokens", "thinking_entropy", "answer_entropy"),
    *("completion_nll", "truncated_share", "closed_share"),
)

_INTEGERS, _BITS = pa.list_(pa.int64()), pa.list_(pa.bool_())
_OF_TOKENS = (
    Column("tokens", _INTEGERS, "token", "tokens of each completion, its end included", nullable=True),
    Column("thinking_tokens", _INTEGERS, "token", "of these, before the token that closes the thinking", nullable=True),
    Column("answer_tokens", _INTEGERS, "token", "of these, behind it", nullable=True),
    Column("thinking_entropy_e9", _INTEGERS, "1e-9 nat", "mean entropy of thinking tokens, 0 of none", nullable=True),
    Column("answer_entropy_e9", _INTEGERS, "1e-9 nat", "mean entropy of answer tokens, 0 of none", nullable=True),
    Column("completion_nll_e9", _INTEGERS, "1e-9 nat", "mean over all tokens of -log probability", nullable=True),
    Column("closed", _BITS, "", "whether a token closes the thinking", nullable=True),
    Column("truncated", _BITS, "", "whether it was cut at the most tokens that it may have", nullable=True),
)

RECORDS = Format(
    "records/free_text",
    "One row per prompt of an evaluation artifact: its completions, what each grader says of them, and their tokens.",
    ("key",),
    (
        Column("key", pa.string(), "", "sample key"),
        Column("group", pa.string(), "", "group of the sample", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together", nullable=True),
        Column("prompt", pa.int64(), "", "digest of the prompt: equal where nothing was changed"),
        Column("completions", pa.list_(pa.string()), "", "the model's texts"),
        Column("correct", pa.bool_(), "", "whether the first is right, by the first of the sample's graders"),
        Column("passed", _BITS, "", "whether each is"),
        Column("graders", pa.list_(pa.string()), "", "names of the sample's graders"),
        Column("verdicts", pa.list_(_BITS), "", "of each completion what each grader says; null: nothing to judge"),
        *_OF_TOKENS,
    ),
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, whatever the outputs mode."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a question that its graders cannot grade; see `graders.check`."""
    graders.check(sample.fields["meta"], sample.key)


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: its prompt."""
    return _shown.shown(sample)


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per prompt, in their order.

    `outputs`: `completions`, object (n,) of sequences of str, all of one length; likewise `statistics`, of
    TokenStatistics, and `judge`, of str, if they are there; `answer_after`, object (n,) of str, likewise.
    """
    texts = _completions.checked(samples, outputs)
    said = _optional_output("judge", samples, outputs, texts)
    marks = outputs.get("answer_after", [None] * len(samples))
    verdicts = [_verdicts(*one) for one in zip(samples, texts, said, marks, strict=True)]
    passed = [[each[0] is True for each in own] for own in verdicts]
    columns = {
        "key": [sample.key for sample in samples],
        **_classified.metas(samples),
        "prompt": [_completions.digest(sample.fields["text"]) for sample in samples],
        "completions": texts,
        "correct": [own[0] for own in passed],
        "passed": passed,
        "graders": [sample.fields["meta"]["graders"] for sample in samples],
        "verdicts": verdicts,
        **_of_tokens(samples, _optional_output("statistics", samples, outputs, texts)),
    }
    return pa.table(columns, schema=RECORDS.arrow)


def _optional_output(
    name: str, samples: list[Sample], outputs: dict[str, np.ndarray], texts: list[list[str]]
) -> list[Sequence[Any] | None]:
    """Another output of a model in addition to its completions; None for each sample without it."""
    if name not in outputs:
        return [None] * len(samples)
    values = list(outputs[name])
    for sample, own, value in zip(samples, texts, values, strict=False):
        if len(value) != len(own):
            raise ModelError(f"sample {sample.key!r}: {len(value)} {name} for {len(own)} completions")
    if len(values) != len(samples):
        raise ModelError(f"{len(values)} {name} for {len(samples)} prompts; expected one list for each")
    return values


def _verdicts(
    sample: Sample, texts: list[str], said: Sequence[str] | None, mark: str | None
) -> list[list[graders.Verdict]]:
    """The verdicts of a sample's graders on each completion."""
    meta = sample.fields["meta"] | ({} if mark is None else {"answer_after": mark})
    if graders.JUDGE in meta["graders"] and said is None:
        raise ModelError(f"sample {sample.key!r} is graded by a judge, of which the model gives no answers (`judge`)")
    return [
        [
            graders.read_verdict(said[at]) if said and name == graders.JUDGE else graders.grade(name, text, meta)
            for name in meta["graders"]
        ]
        for at, text in enumerate(texts)
    ]


def _of_tokens(samples: list[Sample], statistics: list[Sequence[TokenStatistics] | None]) -> dict[str, Any]:
    parts = [
        None if own is None else [_numbers(one, sample) for one in own]
        for sample, own in zip(samples, statistics, strict=True)
    ]
    return {
        column.name: [None if own is None else [each[at] for each in own] for own in parts]
        for at, column in enumerate(_OF_TOKENS)
    }


def _numbers(one: TokenStatistics, sample: Sample) -> tuple[int | bool, ...]:
    """The values of `_OF_TOKENS` of one completion."""
    length = len(one.entropies)
    inside = one.closing is None or 0 <= one.closing < length
    if len(one.log_probabilities) != length or not inside or not length:
        raise ModelError(
            f"sample {sample.key!r}: {length} entropies, {len(one.log_probabilities)} log-probabilities and the "
            f"closing token {one.closing}; expected as many, of one token at least, and one of them or None"
        )
    if not (np.isfinite(one.entropies).all() and np.isfinite(one.log_probabilities).all()):
        raise ModelError(f"sample {sample.key!r}: an entropy or a log-probability is not finite")
    thinking, answer = phases(length, one.closing)
    entropies = phase_means(one.entropies, one.closing)
    nll = -float(one.log_probabilities.mean(dtype=np.float64))
    return (
        length,
        thinking.stop - thinking.start,
        answer.stop - answer.start,
        *(_e9(value) for value in (*entropies, nll)),
        one.closing is not None,
        bool(one.truncated),
    )


def _e9(value: float) -> int:
    return min(max(round(value * E9), 0), NLL_LIMIT)
