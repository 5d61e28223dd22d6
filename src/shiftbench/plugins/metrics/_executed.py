"""What was run and passed: the bits behind pass@k and its worst cases; helper of the metrics of generated code.

Of n completions of a prompt c passed. pass@k = 1 - C(n - c, k) / C(n, k), the chance that k of them, drawn without
replacement, hold a right one (Chen et al. 2021, arXiv:2107.03374, equation 1). Here it is computed in whole numbers
and rounded once, to billionths.

A *path* holds the clean prompts, then their perturbed versions: severity j is the j-th seed of a perturbation, for a
category those of all its perturbations.
"""

from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import E9
from shiftbench.statistics.rows import Ints, Rows, SeverityPath

Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of n completions of each prompt.

    Attributes:
        counting: 1 where the prompt counts; int64 (prompts,).
        clean: which completions pass on the clean prompt; bool (prompts, n).
        worst: on every perturbed version of it.
        best: on one at least.
    """

    counting: Ints
    clean: Bits
    worst: Bits
    best: Bits


def passed(rows: Rows) -> Bits:
    """Return which completions passed, bool (prompts, n).

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
    """Return the verdicts of a path over its first seeds.

    Args:
        path: the clean records and, at severity j, those of seed j.
        seeds: how many count; a perturbation with fewer (a deterministic one) counts with those it has.
        changed: only prompts that one of these seeds changes.
    """
    clean = passed(path.rows[0])
    chosen = _chosen(path, seeds)
    shifted = [passed(rows) for rows in chosen]
    counting = path.rows[0].counting
    if changed:
        counting = counting * np.max([differs(path.rows[0], rows) for rows in chosen], axis=0)
    return Verdicts(counting, clean, np.logical_and.reduce(shifted), np.logical_or.reduce(shifted))


def _chosen(path: SeverityPath, seeds: int) -> list[Rows]:
    if seeds < 1:
        raise ParamsError(f"seeds is {seeds}; expected 1 or more")
    found = [rows for severity, rows in zip(path.severities[1:], path.rows[1:], strict=True) if severity <= seeds]
    if not found:
        raise ParamsError("no record of a first seed; evaluate the perturbation at severity 1")
    return found


def differs(clean: Rows, shifted: Rows) -> Ints:
    """Return 1 where a prompt is not the clean one, int64 (prompts,)."""
    return np.asarray(_prompts(clean) != _prompts(shifted), dtype=np.int64)


def _prompts(rows: Rows) -> pa.Array:
    return rows.table.column("prompt").to_numpy()


def at_k(bits: Bits, k: int) -> Ints:
    """Return pass@k of each prompt in billionths, int64 (prompts,), from which completions count as right.

    Raises:
        ParamsError: k is not in 1 to n.
    """
    n = bits.shape[1]
    if not 1 <= k <= n:
        raise ParamsError(f"k is {k}; expected 1 to {n}, the number of completions of each prompt")
    table = np.array([_billionths(n, c, k) for c in range(n + 1)], dtype=np.int64)
    found: Ints = table[bits.sum(axis=1)]
    return found


@cache
def _billionths(n: int, c: int, k: int) -> int:
    whole = comb(n, k)
    return (2 * E9 * (whole - comb(n - c, k)) + whole) // (2 * whole)  # rounded, in whole numbers
