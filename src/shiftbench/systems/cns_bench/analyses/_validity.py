"""A validity filter: scores of images, a threshold for each, and a vote of how many must pass.

An image passes a score when it lies *above* its threshold. Thresholds are fitted on images of which it is known
whether they are out of class (OOC): each alone removes at least the share `recall` of these. OOC is the positive
class: what the filter should remove.

Two rules say when an image goes, and they are not the same: CNS-Bench's text removes it when 2 of 4 scores fail, its
released code keeps it when 2 of 4 pass, and so removes it when 3 fail.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651, and `evaluation/metrics_computer.py` of odunkel/CNS-Bench (kept when
the passes and one are more than 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filter:
    """Thresholds, and how many scores must pass.

    Attributes:
        thresholds: one per score, float64 (m,).
        keep_at: an image stays when so many scores pass at least.
    """

    thresholds: Floats
    keep_at: int

    def passes(self, scores: Floats) -> Flags:
        """Tell which scores pass, bool (..., n, m), of scores (..., n, m)."""
        return scores > self.thresholds

    def keeps(self, scores: Floats) -> Flags:
        """Tell which images stay, bool (..., n)."""
        kept: Flags = self.passes(scores).sum(axis=-1) >= self.keep_at
        return kept


@dataclass(frozen=True, slots=True)
class Voter:
    """A score alone or a vote: its name, and the columns of scores that it reads."""

    name: str
    columns: list[int]
    filter: Filter

    def keeps(self, scores: Floats) -> Flags:
        """Tell which images stay, bool (..., n), of scores (..., n, m)."""
        return self.filter.keeps(scores[..., self.columns])


def voters(names: Sequence[str], thresholds: Floats) -> list[Voter]:
    """Return each score alone, under its name, and each vote of all of them, `keep_K_of_N`."""
    alone = [Voter(name, [at], Filter(thresholds[[at]], 1)) for at, name in enumerate(names)]
    every, count = list(range(len(names))), len(names)
    votes = [Voter(f"keep_{k}_of_{count}", every, Filter(thresholds, k)) for k in range(1, count + 1)]
    return [*alone, *votes]


def fitted(scores: Floats, out: Flags, recall: float) -> Floats:
    """Return one threshold per score, so that each alone removes the share `recall` of OOC images, at least.

    Args:
        scores: of calibration images, float64 (n, m).
        out: which of them are OOC, bool (n,).
        recall: above 0, at most 1.

    Raises:
        ParamsError: no image is OOC, or the recall is out of range.

    Example:
        >>> fitted(np.array([[1.0], [2.0], [3.0], [9.0]]), np.array([True, True, True, False]), 0.6)
        array([2.])
    """
    if not 0 < recall <= 1 or not out.any():
        raise ParamsError(
            f"a filter needs OOC images to be fitted on (there are {int(out.sum())}) and a recall above 0, at most 1 "
            f"({recall:g})"
        )
    ranked = np.sort(scores[out], axis=0)
    removed: Floats = ranked[math.ceil(recall * len(ranked) - 1e-9) - 1]
    return removed


def keep_at(drop_at: int, scores: int) -> int:
    """Return how many scores must pass where an image goes as soon as `drop_at` of them fail.

    Example:
        >>> keep_at(2, 4), keep_at(3, 4)
        (3, 2)
    """
    return scores - drop_at + 1


def whole(kept: Flags, paths: Sequence[str]) -> Flags:
    """Tell which images stay when a path stays only as a whole, bool (n,).

    Args:
        kept: which images the vote keeps.
        paths: the path of each.
    """
    broken = {path for path, stays in zip(paths, kept, strict=True) if not stays}
    return np.array([path not in broken for path in paths], dtype=np.bool_)


def rates(kept: Flags, out: Flags) -> dict[str, float]:
    """Return what a filter is judged by; NaN where a kind of image is not there.

    Args:
        kept: which images stay.
        out: which are OOC.

    Returns:
        `true_positive_rate` (OOC images that go), `false_positive_rate` (others that go), `balanced_accuracy`.
    """
    found = [float(np.mean(~kept[kind])) if kind.any() else math.nan for kind in (out, ~out)]
    true, false = found
    return {"true_positive_rate": true, "false_positive_rate": false, "balanced_accuracy": (true + 1 - false) / 2}
