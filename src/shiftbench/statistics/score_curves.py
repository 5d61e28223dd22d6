"""Scores as the report shows them: ROC curves and histograms of ID against OOD scores, at few points.

Scores of several training seeds belong to different models and have different units, so they are not pooled. The report
shows the first seed of each model.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from shiftbench.base.refs import without_seed
from shiftbench.data import formats
from shiftbench.data.formats import Column, Format
from shiftbench.statistics import evaluation_scores
from shiftbench.statistics.benchmark_rows import BenchmarkRows, EvaluationFile
from shiftbench.statistics.evaluation_scores import DetectionGroup
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import walk

POINTS = 100  # of a curve, but for (0, 0)
BINS = 40
TAIL = 0.005  # of either side at either end: beyond the span of the bins

_NAMES = ("benchmark", "model", "method", "detector", "dataset")

ROC = Format(
    "roc",
    "How the scores of an OOD set lie against those of the clean ID set, for the first training seed of each model: "
    "vertices of the ROC curve, and a histogram.",
    (*_NAMES, "kind", "x"),
    (
        *(Column(name, pa.string(), "", formats.METRICS.column(name).meaning) for name in _NAMES if name != "detector"),
        Column("detector", pa.string(), "", "OOD detector"),
        Column("kind", pa.string(), "", "`roc` or `histogram`"),
        Column("x", pa.float64(), "detector's", "roc: threshold, flags what is at or above it; histogram: lower edge"),
        Column("id", pa.float64(), "share", "of ID samples that are flagged, or in the bin", 0, 1),
        Column("ood", pa.float64(), "share", "of OOD samples, likewise", 0, 1),
    ),
)


def table(benchmark: BenchmarkRows) -> pa.Table:
    """Curves and histograms of a benchmark's OOD sets, in the format ROC."""
    tables = [ROC.arrow.empty_table()]
    outside_streams = [
        group for group in evaluation_scores.detection_groups(benchmark.evaluations) if group.clean.step is None
    ]
    for group in _first_seeds(outside_streams):
        id = evaluation_scores.read(benchmark, group.clean).scores
        for evaluation in group.ood:
            tables += _tables(evaluation, id, evaluation_scores.read(benchmark, evaluation).scores)
    return pa.concat_tables(tables)


def _first_seeds(groups: Iterable[DetectionGroup]) -> list[DetectionGroup]:
    first: dict[tuple[str | None, ...], tuple[int, DetectionGroup]] = {}
    for group in groups:
        evaluation = group.clean
        name, seed = without_seed(evaluation.model)
        key = name, evaluation.method, evaluation.detector, evaluation.split
        if key not in first or (seed or 0) < first[key][0]:
            first[key] = (seed or 0, group)
    return [group for _, group in first.values()]


def _tables(evaluation: EvaluationFile, id: Floats, ood: Floats) -> Iterator[pa.Table]:
    for kind, columns in (("roc", roc(id, ood)), ("histogram", histogram(id, ood))):
        n = len(columns[0])
        identity = {name: [getattr(evaluation, name)] * n for name in _NAMES}
        values = dict(zip(("x", "id", "ood"), columns, strict=True))
        yield pa.table({**identity, "kind": [kind] * n, **values}, schema=ROC.arrow)


def roc(id: Floats, ood: Floats) -> tuple[Floats, Floats, Floats]:
    """Up to 100 vertices of the ROC curve, OOD positive; it begins at (0, 0), which is not among them.

    They are vertices of the exact curve, about evenly spaced along it: neither rate moves by much more than 2 / 100
    between two of them, unless equal scores make a longer step.

    Args:
        id: scores float64 (n,), higher = more OOD.
        ood: scores float64 (m,).

    Returns:
        Threshold (ascending), share of ID and of OOD at or above it; float64 (p,) each, p = 0 where a side is empty.

    Example:
        >>> [column.tolist() for column in roc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))]
        [[0.0, 1.0, 2.0], [1.0, 0.5, 0.0], [1.0, 1.0, 0.5]]
    """
    if not len(id) or not len(ood):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    scores = np.concatenate([id, ood])
    order, last = walk(scores)
    is_ood = order >= len(id)
    false, true = np.cumsum(~is_ood)[last] / len(id), np.cumsum(is_ood)[last] / len(ood)
    along = (false + true) / 2
    vertices = np.unique(np.searchsorted(along, np.arange(1, POINTS + 1) / POINTS))
    vertices = vertices[vertices < len(along)][::-1]
    return scores[order][last][vertices], false[vertices], true[vertices]


def histogram(id: Floats, ood: Floats) -> tuple[Floats, Floats, Floats]:
    """Shares of both sides in bins of equal width.

    The bins span the middle 99% of either side, so that a far outlier does not make one bar of the rest; the first and
    the last bin hold what lies beyond, too.

    Args:
        id: scores float64 (n,), higher = more OOD.
        ood: scores float64 (m,).

    Returns:
        Lower edge (ascending), share of ID and of OOD in the bin; float64 (p,) each. p is 40, but 1 where the span
        is empty and 0 where a side is empty.

    Example:
        >>> [column.tolist() for column in histogram(np.array([1.0, 1.0]), np.array([1.0]))]
        [[1.0], [1.0], [1.0]]
    """
    if not len(id) or not len(ood):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    ends = [np.quantile(side, [TAIL, 1 - TAIL]) for side in (id, ood)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    edges = np.unique(np.linspace(low, high, BINS + 1)[:BINS])
    bin_numbers = [np.searchsorted(edges[1:], side, side="right") for side in (id, ood)]
    shares = [np.bincount(side, minlength=len(edges)) / len(side) for side in bin_numbers]
    return edges, shares[0], shares[1]
