"""Completions of language models: whether generated code passes its tests, what graders say, and quantities of tokens.

Of n completions of a prompt c passed. pass@k = 1 - C(n - c, k) / C(n, k) is the chance that k of them, drawn without
replacement, hold a correct one (Chen et al. 2021, arXiv:2107.03374, equation 1). It is computed in whole numbers and
rounded once, to billionths.

A path holds the clean prompts, then their perturbed versions: severity j is the j-th seed of a perturbation, for a
category those of all its perturbations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import E9
from shiftbench.plugins import declare, fields
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Ints, Rows, SeverityPath

Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of n completions of each prompt.

    Attributes:
        counting: 1 if the prompt counts; int64 (prompts,).
        clean: which completions pass on the clean prompt; bool (prompts, n).
        worst: on every perturbed version of it.
        best: on one at least.
    """

    counting: Ints
    clean: Bits
    worst: Bits
    best: Bits


def passed(rows: Rows) -> Bits:
    """Which completions passed, bool (prompts, n).

    Raises:
        ParamsError: prompts have different numbers of completions.
    """
    column = rows.table.column("passed").combine_chunks()
    sizes = column.value_lengths().to_numpy()
    if len(set(sizes.tolist())) > 1:
        raise ParamsError(f"prompts have {min(sizes)} to {max(sizes)} completions; expected one number")
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(bool)
    return flat.reshape(len(rows), -1) if len(rows) else np.zeros((0, 1), dtype=bool)


def verdicts(path: SeverityPath, seeds: int, *, changed: bool = False) -> Verdicts:
    """Verdicts of a path over its first seeds.

    Args:
        path: the clean records and, at severity j, those of seed j.
        seeds: how many count; a perturbation with fewer (a deterministic one) counts with those it has.
        changed: only prompts that one of these seeds changes.
    """
    clean = passed(path.rows[0])
    chosen = _first(path, seeds)
    shifted = [passed(rows) for rows in chosen]
    counting = path.rows[0].counting
    if changed:
        counting = counting * np.max([differs(path.rows[0], rows) for rows in chosen], axis=0)
    return Verdicts(counting, clean, np.logical_and.reduce(shifted), np.logical_or.reduce(shifted))


def _first(path: SeverityPath, seeds: int) -> list[Rows]:
    if seeds < 1:
        raise ParamsError(f"seeds is {seeds}; expected 1 or more")
    chosen = [rows for severity, rows in zip(path.severities[1:], path.rows[1:], strict=True) if severity <= seeds]
    if not chosen:
        raise ParamsError("no record of a first seed; evaluate the perturbation at severity 1")
    return chosen


def differs(clean: Rows, shifted: Rows) -> Ints:
    """1 if a prompt is not the clean one, int64 (prompts,)."""
    return np.asarray(_prompts(clean) != _prompts(shifted), dtype=np.int64)


def _prompts(rows: Rows) -> pa.Array:
    return rows.table.column("prompt").to_numpy()


def at_k(bits: Bits, k: int) -> Ints:
    """pass@k of each prompt in billionths, int64 (prompts,), from which completions are correct.

    Raises:
        ParamsError: k is not in 1 to n.
    """
    n = bits.shape[1]
    if not 1 <= k <= n:
        raise ParamsError(f"k is {k}; expected 1 to {n}, the number of completions of each prompt")
    table = np.array([_billionths(n, c, k) for c in range(n + 1)], dtype=np.int64)
    values: Ints = table[bits.sum(axis=1)]
    return values


@cache
def _billionths(n: int, c: int, k: int) -> int:
    whole = comb(n, k)
    return (2 * E9 * (whole - comb(n - c, k)) + whole) // (2 * whole)  # rounded, in whole numbers


def _mean(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0] / E9, sums.count)


def _share(sums: Sums, **_: object) -> Floats:
    return ratio(sums.sums[0], sums.sums[1])


def _whole_path(sums: Sums, path: SeverityPath, **_: object) -> dict[float | None, Floats]:
    return {None: ratio(sums.sums[1], sums.sums[0])}


@declare.sample_metric(columns=("passed",), finish=_mean, higher_is_better=True)
def pass_at_k(
    rows: Rows, k: Annotated[int, Field(ge=1, description="completions that are drawn, at most the number of each")] = 1
) -> Contributions:
    """Pass@k: the chance that one of k completions, drawn from the n of a prompt, passes its tests; mean over prompts.

    Source: Chen et al. 2021, "Evaluating large language models trained on code", https://arxiv.org/abs/2107.03374,
    equation 1. We differ: in whole numbers, where theirs is a product of floats.
    """
    return Contributions(rows.counting, (at_k(passed(rows), k) * rows.counting,))


NO_CATEGORIES: dict[str, Any] = {}


@declare.path_metric(columns=("passed", "prompt"), finish=_whole_path, higher_is_better=False)
def attack_success(
    path: SeverityPath,
    seeds: Annotated[int, Field(ge=1, description="number of a perturbation's seeds that count, from the first")] = 5,
    across: Annotated[
        dict[str, Any], Field(description="categories: a mapping of names to lists of shifts, each a row of its own")
    ] = NO_CATEGORIES,
) -> Contributions:
    """Attack success: of the completions that pass clean, the share that fails under some seed of a perturbation.

    NaN if nothing passes. The row of a category has its name as the group.

    Source: the usual measure of attacks (Jin et al. 2020, https://arxiv.org/abs/1907.11932), on the verdicts of Wang et
    al. 2023 (ReCode), https://arxiv.org/abs/2212.10264.
    """
    of = verdicts(path, seeds)
    clean = of.clean.sum(axis=1) * of.counting
    lost = (of.clean & ~of.worst).sum(axis=1) * of.counting
    return Contributions(of.counting, (clean, lost))


@declare.sample_metric(columns=("verdicts",), finish=_share, higher_is_better=False)
def grader_disagreement(rows: Rows) -> Contributions:
    """Share of completions on which graders disagree, of those that at least two graders can judge.

    It bounds what the choice of a grader can change: over these completions, the shares that two graders take for
    correct differ by no more. Source: ours.
    """
    pairs = [_disagreements(own) for own in rows.table.column("verdicts").to_pylist()]
    differing, judged = np.array(pairs, np.int64).reshape(-1, 2).T
    counting = rows.counting * (judged > 0)
    return Contributions(counting, (differing * counting, judged * counting))


def _disagreements(graders: list[list[bool | None]]) -> tuple[int, int]:
    """How many completions are judged differently, and how many at least twice."""
    known = [[one for one in each if one is not None] for each in graders]
    several = [each for each in known if len(each) > 1]
    return sum(any(each) and not all(each) for each in several), len(several)


def _completion_facts(options: Mapping[str, Any]) -> dict[str, object]:
    return {
        "COLUMNS": (options["column"],),
        "UNIT": options["unit"],
        "RANGE": (0.0, 1.0 if options["unit"] == "share" else None),
        "HIGHER_IS_BETTER": options["higher"],
    }


def _completion_means(sums: Sums, column: str, **_: object) -> Floats:
    return ratio(sums.sums[0] / (E9 if column.endswith("_e9") else 1), sums.sums[1])


@declare.sample_metric(finish=_completion_means, facts=_completion_facts)
def _completion_mean(
    rows: Rows,
    column: fields.Column = "",
    unit: fields.Unit = "token",
    higher: fields.Higher = False,  # noqa: FBT002
) -> Contributions:
    """Mean over completions of a quantity of each; prompts whose tokens are not known do not count."""
    return totals(rows, column)


def totals(rows: Rows, column: str) -> Contributions:
    """For each prompt that counts, the sum and the number of the values in its list."""
    lists = rows.table.column(column).combine_chunks()
    sizes: Ints = lists.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(values)])
    upto = np.concatenate([[0], np.cumsum(sizes)])
    counting = rows.counting * (sizes > 0)
    sums: Ints = ends[upto[1:]] - ends[upto[:-1]]
    return Contributions(counting, (sums * counting, sizes * counting))
