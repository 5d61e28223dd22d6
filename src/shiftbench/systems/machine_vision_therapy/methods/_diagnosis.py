"""Preparation of Machine Vision Therapy before any question: the transition matrix, candidate classes, exemplars.

The axes of a matrix T are fixed: rows are true classes, columns are what the vision model says; T[y, j] is how strongly
images of class y look like class j.

Source: Huang et al. 2024, arXiv:2312.02546, section 3, and `modeling_transition_matrix.py`, `get_prompts.py`, `dicl.py`
of its repository (tmllab/Machine_Vision_Therapy, cb40cb5).

Paper and code differ twice, and the paper's rule is the default:
    candidates: logits      the code sorts all classes by T, then all of them by the query's own logits, and only then
                            keeps N: T has no effect, the candidates are the model's own first N
    retrieval: signed       the code sorts by the difference itself, so that exemplars which look least like the
                            prediction come first, where the paper's are those that look as much like it as the query
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, ModelError, ParamsError, suggest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAMPLING = ("even", "strided")
CANDIDATES = ("transition", "logits")
RETRIEVAL = ("absolute", "signed", "similarity")


def spread(confidences: Floats, budget: int, sampling: str = "even") -> Ints:
    """Support images of a class, spread over their confidence, the least confident first.

    Args:
        confidences: of the images of one class, (n,).
        budget: b, at least 1; with n <= b all are taken.
        sampling: `even`, b places from the first to the last; `strided`, every (n // b)th, which the code does, and
            which can be nearly 2 b.

    Returns:
        Positions in `confidences`.

    Example:
        >>> spread(np.array([0.9, 0.1, 0.5, 0.3, 0.7]), 3).tolist()
        [1, 2, 0]
    """
    if sampling not in SAMPLING:
        raise ParamsError(f"sampling is {sampling!r}; {suggest(sampling, SAMPLING)}")
    order = np.argsort(confidences, kind="stable")
    if len(order) <= budget:
        return order
    if sampling == "strided":
        return order[:: len(order) // budget]
    return order[np.round(np.linspace(0, len(order) - 1, budget)).astype(np.int64)]


def support(p: Floats, labels: Ints, budget: int, sampling: str = "even") -> Ints:
    """Indices of the support set among labelled images, class by class: `spread` of each class's.

    Args:
        p: probabilities of the vision model, (n, C).
        labels: true classes, (n,), 0 to C - 1.
        budget: images for each class.
        sampling: see `spread`.
    """
    chosen = [np.zeros(0, dtype=np.int64)]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        chosen.append(own[spread(p[own].max(axis=1), budget, sampling)])
    return np.concatenate(chosen)


def transition(p: Floats, labels: Ints) -> Floats:
    """The transition matrix (C, C) of a support set: means of p by true class, scaled from 0 to 1 as a whole.

    Args:
        p: probabilities of the vision model, (n, C).
        labels: true classes, (n,). A class without images has a row of zeros.

    Example:
        >>> transition(np.array([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8]]), np.array([0, 1, 1])).round(2).tolist()
        [[1.0, 0.0], [0.17, 0.83]]
    """
    matrix = np.zeros((p.shape[1], p.shape[1]))
    there = np.unique(labels)
    for label in there:
        matrix[label] = p[labels == label].mean(axis=0)
    low, high = matrix[there].min(), matrix[there].max()
    matrix[there] = (matrix[there] - low) / (high - low) if high > low else 0.0
    return matrix


def read_matrix(file: Path, classes: int) -> Floats:
    """Read a released transition matrix, a torch file such as `tran_mat/vit-l0ImageNetAimagenet_tran_mat.pt`.

    Args:
        file: holds one tensor (C, C), 0 to 1.
        classes: C.

    Raises:
        DataError: another shape, or values outside 0 to 1.
        ModelError: the file is missing.
    """
    import torch

    if not file.is_file():
        raise ModelError(f"{file} does not exist; check `path:` of the method, or leave it out")
    tensor = torch.load(file, map_location="cpu", weights_only=True)
    shape = tuple(getattr(tensor, "shape", ()))
    if shape != (classes, classes):
        raise DataError(
            f"{file} holds a matrix of shape {shape}, expected {(classes, classes)}: one row and one column for each "
            "class of the dataset"
        )
    matrix: Floats = tensor.double().numpy()
    if not (np.isfinite(matrix).all() and matrix.min() >= 0 and matrix.max() <= 1):
        raise DataError(f"{file} holds values outside 0 to 1; expected a scaled transition matrix")
    return matrix


def candidates(matrix: Floats, p: Floats, known: Collection[int], top: int = 6, rule: str = "transition") -> list[int]:
    """The classes that a query is asked about, the likeliest first.

    Args:
        matrix: T, (C, C).
        p: probabilities of the query, (C,).
        known: classes with exemplars; others are skipped.
        top: N, at most so many.
        rule: `transition`, the N true classes that are most mistaken for the prediction, which is put in front, its
            place taken from the last one, where it is none of them; ordered by p. `logits`: the first N by p.

    Raises:
        ParamsError: another rule.
    """
    if rule not in CANDIDATES:
        raise ParamsError(f"candidates is {rule!r}; {suggest(rule, CANDIDATES)}")
    hat = int(p.argmax())
    if rule == "logits":
        labels = np.argsort(-p, kind="stable")[:top].tolist()
    else:
        labels = np.argsort(-matrix[:, hat], kind="stable")[:top].tolist()
        if hat not in labels:
            labels = [hat, *labels[: top - 1]]
        labels = sorted(labels, key=lambda label: (label != hat, -p[label]))
    return [label for label in labels if label in known]


def retrieve(p: Floats, hat: int, sure: float, many: int, rule: str = "absolute", alike: Floats | None = None) -> Ints:
    """The exemplars of a class that a query is shown, best first.

    Args:
        p: probabilities of the class's exemplars, (m, C).
        hat: the query's prediction.
        sure: the query's probability of it.
        many: R, at most so many.
        rule: `absolute` or `signed`, the smallest |d| or d of d = p[:, hat] - sure; `similarity`, the largest `alike`.
        alike: cosines of the query's features with the exemplars', (m,).

    Raises:
        ParamsError: another rule, or no cosines for `similarity`.
    """
    if rule not in RETRIEVAL:
        raise ParamsError(f"retrieval is {rule!r}; {suggest(rule, RETRIEVAL)}")
    if rule == "similarity":
        if alike is None:
            raise ParamsError("retrieval: similarity takes features of the vision model, and it gives none")
        return np.argsort(-alike, kind="stable")[:many]
    apart = p[:, hat] - sure
    return np.argsort(np.abs(apart) if rule == "absolute" else apart, kind="stable")[:many]
