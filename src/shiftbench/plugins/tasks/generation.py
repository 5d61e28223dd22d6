"""Code is written for a prompt; whether it is right is decided by running its tests in the sandbox.

A sample is `text`, the prompt (passed to the model verbatim), and `meta`: `task_id`, `entry_point` (the name that
the tests call), `test` (Python code that defines `check(candidate)`), `canonical_solution` (what follows the prompt in
a right answer). A model gives `completions`: for each sample the same number n of texts that follow the prompt. The
program is prompt + completion + test + `check(entry_point)`; it is right when it comes to its end within the limits.
Results that the tests compare with literals are compared once more outside of its process (`_outside`).
"""

import keyword
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data.formats import Column, Format
from shiftbench.evaluation.sandbox import Limits, Outcome, pool
from shiftbench.plugins.tasks import _completions, _outside, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"text": "txt", "meta": "json"}
REQUIRED = ("text", "meta")
METRICS = (*("pass_at_k", "robust_pass", "robust_drop", "robust_relative"), *("attack_success", "perturbed_rate"))
LIMITS = Limits(cpu=3, wall=60.0, memory=512_000_000, disk=0)
"""CPU time decides, which a busy machine does not change; wall time ends only what sleeps."""
META = ("task_id", "entry_point", "test", "canonical_solution")

RECORDS = Format(
    "records/generation",
    "One row per prompt of an evaluation artifact: its completions, and what became of each when it was run.",
    ("key",),
    (
        Column("key", pa.string(), "", "sample key"),
        Column("group", pa.string(), "", "group of the sample", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together", nullable=True),
        Column("prompt", pa.int64(), "", "digest of prompt and entry point: equal where nothing was changed"),
        Column("completions", pa.list_(pa.string()), "", "the model's texts, as they were run"),
        Column("passed", pa.list_(pa.bool_()), "", "whether each passed the tests"),
        Column("reasons", pa.list_(pa.string()), "", "`passed`, `failed: AssertionError`, `timeout: cpu`, ..."),
    ),
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, the same for all outputs modes."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a prompt that cannot be judged.

    Raises:
        DataError: the entry point is no name, or something is missing; names the sample.
    """
    meta = sample.fields["meta"]
    lacking = [name for name in META if not isinstance(meta.get(name), str)]
    if lacking:
        raise DataError(f"{sample.key}: meta has no {lacking[0]!r}; expected {', '.join(META)}")
    name = meta["entry_point"]
    if not name.isidentifier() or keyword.iskeyword(name):
        raise DataError(f"{sample.key}: the entry point {name!r} is no name in Python")
    if name not in sample.fields["text"]:
        raise DataError(f"{sample.key}: the prompt does not define the entry point {name!r}")


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: its prompt."""
    return _shown.shown(sample)


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per prompt, in their order, after all completions were run.

    Args:
        samples: n prompts.
        outputs: `completions`, object (n,) of sequences of str, all of one length.
        space: has no classes.
        outputs_mode: makes no difference.

    Raises:
        ModelError: other completions than that; names the sample.
        SandboxError: nothing can be run here.
    """
    completions = _completions.checked(samples, outputs)
    pairs = [(sample, text) for sample, texts in zip(samples, completions, strict=True) for text in texts]
    outcomes = iter(_outcomes(pairs))
    judged = [[next(outcomes) for _ in texts] for texts in completions]
    metas = [sample.fields["meta"] for sample in samples]
    columns = {
        "key": [sample.key for sample in samples],
        "group": [meta.get("group") for meta in metas],
        "cluster": [meta.get("cluster") for meta in metas],
        "prompt": [_prompt_digest(sample) for sample in samples],
        "completions": completions,
        "passed": [[outcome.passed for outcome in row] for row in judged],
        "reasons": [[outcome.reason for outcome in row] for row in judged],
    }
    return pa.table(columns, schema=RECORDS.arrow)


def _outcomes(pairs: list[tuple[Sample, str]]) -> list[Outcome]:
    """The outcome of each completion: judged by its own process and, if that gives `passed`, outside too."""
    outcomes = _run(pairs, [_tests(sample) for sample, _ in pairs])
    asked = [_outside.questions(sample.fields["meta"]["test"]) for sample, _ in pairs]
    again = [at for at, one in enumerate(outcomes) if one.passed and asked[at]]
    ends = [_outside.tell(pairs[at][0].fields["meta"]["entry_point"], asked[at]) for at in again]
    for at, outcome in zip(again, _run([pairs[at] for at in again], ends), strict=True):
        if not outcome.passed:
            outcomes[at] = outcome
        elif not _outside.right(asked[at], outcome.value):
            outcomes[at] = Outcome("failed", "AssertionError")
    return outcomes


def _run(pairs: list[tuple[Sample, str]], ends: list[str]) -> list[Outcome]:
    """Run prompt + completion + end; docstrings and layout of the first two decide nothing."""
    texts = [f"{sample.fields['text']}{completion}" for sample, completion in pairs]
    programs = [text + end for text, end in zip(texts, ends, strict=True)]
    keys = [pool.essence(text) + end for text, end in zip(texts, ends, strict=True)]
    return pool.run_all(programs, keys, LIMITS)


def program(sample: Sample, completion: str) -> str:
    """The whole program: prompt, completion, tests, and the call that runs them."""
    return f"{sample.fields['text']}{completion}{_tests(sample)}"


def _tests(sample: Sample) -> str:
    meta = sample.fields["meta"]
    return f"\n\n{meta['test']}\n\ncheck({meta['entry_point']})\n"


def _prompt_digest(sample: Sample) -> int:
    return _completions.digest(f"{sample.fields['meta']['entry_point']}\n{sample.fields['text']}")
