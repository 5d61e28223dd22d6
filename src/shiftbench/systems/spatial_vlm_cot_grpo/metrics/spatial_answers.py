"""Answers to spatial questions: wrong counts that are close, and several sampled answers."""

from typing import Annotated

import numpy as np
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, mean
from shiftbench.statistics.rows import Rows

GRADERS = 2
"""Number of graders of a sample that asks for a number: the second accepts what is off by one."""


@declare.sample_metric(columns=("verdicts",), finish=mean, higher_is_better=True)
def close_call_rate(rows: Rows) -> Contributions:
    """Close-call rate: the share of the wrong counts that is off by one.

    Samples that ask for a number have two graders: is an answer correct, and is it off by one. The first completion
    counts. Samples with one grader do not count.

    Source: the paper, section IV-A, equation 2 (there in percent).
    """
    flags = [_close(own) for own in rows.table.column("verdicts").to_pylist()]
    close, wrong = np.array(flags, np.int64).reshape(-1, 2).T
    counting = rows.counting * wrong
    return Contributions(counting, (close * counting,))


def _close(verdicts: list[list[bool | None]]) -> tuple[bool, bool]:
    """Whether the first completion is off by one, and whether it is wrong."""
    first = verdicts[0]
    wrong = len(first) == GRADERS and first[0] is not True
    return wrong and first[-1] is True, wrong


@declare.sample_metric(columns=("passed",), finish=mean, higher_is_better=True)
def pass_at_4(
    rows: Rows, k: Annotated[int, Field(ge=1, description="number of last answers that count")] = 4
) -> Contributions:
    """Pass@4: the share of questions with a correct one among four sampled answers, without the greedy first one.

    It is for a model that gives its most likely answer and then `k` samples. If a model gives fewer, all count.

    Source: the paper, table III (in parentheses); `compute_accuracy_with_sampling` in
    model/pali_cvbench_eval_check.ipynb of Yvonne511/spatial-vlm-investigator: any of four samples at temperature 1.
    With four samples that is pass@4 of Chen et al. 2021, arXiv:2107.03374.
    """
    correct = [any(own[-k:]) for own in rows.table.column("passed").to_pylist()]
    return Contributions(rows.counting, (np.array(correct, np.int64) * rows.counting,))
