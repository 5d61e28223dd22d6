"""Means and covariances of features, in float64 and one pass over blocks; helper of the detectors in feature space.

Nothing of the size of all features is held: a block of 16,384 x 2,048 is 268 MB, a covariance 34 MB.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import DataError
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classes:
    """Statistics of labelled features.

    Attributes:
        means: of each class, float64 (C, d).
        within: pooled covariance about the class means, divided by the number of samples, float64 (d, d).
        mean: of all samples, float64 (d,).
        total: covariance of all samples about `mean`, divided by their number, float64 (d, d).
    """

    means: Floats
    within: Floats
    mean: Floats
    total: Floats


def blocks(rows: Rows) -> Iterator[tuple[Rows, Floats]]:
    """Yield the rows block by block with their features, float64 (n, d).

    Raises:
        DataError: there are no rows, or a feature is not finite; names the sample.
    """
    check_some(rows)
    for block in rows.blocks():
        yield block, _blocks.features(block)


def check_some(rows: Rows) -> None:
    """Refuse to fit on nothing (DataError)."""
    if not len(rows):
        raise DataError(f"{rows.name}: no samples; expected some to fit on; evaluate this split, or take more of it")


def mean(rows: Rows) -> Floats:
    """The mean of the features, float64 (d,).

    Raises:
        DataError: there are no rows, or a feature is not finite; names the sample.
    """
    check_some(rows)
    total = np.zeros(rows.features.shape[1])
    for block in rows.blocks():
        _add_rows(np.asarray(block.features), total)
        _blocks.check(block, block.features, "features", total)
    return total / len(rows)


@compiled
def _add_rows(features: NDArray[np.float32], total: Floats) -> None:
    for at in range(features.shape[0]):
        for column in range(features.shape[1]):
            total[column] += features[at, column]


def scatter(rows: Rows, origin: Floats) -> Floats:
    """The mean of (z - origin)(z - origin)' over the features z, float64 (d, d)."""
    check_some(rows)
    total = np.zeros((len(origin), len(origin)))
    for block in rows.blocks():
        centred = _blocks.centred(block, origin)
        total += centred.T @ centred
    return total / len(rows)


def by_class(rows: Rows) -> Classes:
    """Class means, pooled within-class covariance, mean and covariance of the training features.

    One pass: squares are summed about the mean of each class in the block where it appears first, not about 0, so that
    little cancels when they are moved to the mean of the whole class.

    Raises:
        DataError: a sample without a class (names it), or a class without samples.
    """
    labels = _labels(rows)
    counts = np.bincount(labels)
    _check_counts(counts, rows)
    shape = (len(counts), rows.features.shape[1])
    anchors, shifts, second = np.zeros(shape), np.zeros(shape), np.zeros((shape[1], shape[1]))
    seen, low = np.zeros(len(counts), dtype=np.int64), 0
    for _, features in blocks(rows):
        own = labels[low : low + len(features)]
        sums, here = sums_by_class(features, own, len(counts))
        new = (seen == 0) & (here > 0)
        anchors[new] = sums[new] / here[new, None]
        shifts += sums - here[:, None] * anchors
        centred = features - anchors[own]
        second += centred.T @ centred
        seen, low = seen + here, low + len(own)
    return _moved(anchors, shifts / counts[:, None], second, counts)


def _moved(anchors: Floats, shifts: Floats, second: Floats, counts: NDArray[np.int64]) -> Classes:
    """Move the squares from the anchors to the class means, and add what is between the classes for the total."""
    means, shares = anchors + shifts, (counts / counts.sum())[:, None]
    within_classes = second / counts.sum() - shifts.T @ (shares * shifts)
    centre: Floats = (shares * means).sum(axis=0)
    between_classes = (means - centre).T @ (shares * (means - centre))
    return Classes(means, within_classes, centre, within_classes + between_classes)


def sums_by_class(features: Floats, labels: NDArray[np.integer], classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """The sum of the features of each class, float64 (C, d), and the number of samples, int64 (C,)."""
    each = np.arange(len(labels))
    members = csr_array((np.ones(len(labels)), (labels, each)), shape=(classes, len(labels)))
    return members @ features, np.bincount(labels, minlength=classes)


def _labels(rows: Rows) -> NDArray[np.int32]:
    labels = rows.labels
    if len(labels) and labels.min() < 0:
        raise DataError(
            f"{rows.name}: sample {rows.keys[int(np.argmin(labels))]!r} is of no class of the model; class statistics "
            "need a class for each training sample"
        )
    return labels


def _check_counts(counts: NDArray[np.int64], rows: Rows) -> None:
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise DataError(
            f"{rows.name}: class {empty[0]} (of {len(counts)}, counted from 0) has no training samples; expected one "
            "at least in each class; take more training samples, or a model that was trained on these classes"
        )


def directions(features: Floats) -> Floats:
    """The features divided by their length, float64 (n, d); the zero vector stays zero."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)
