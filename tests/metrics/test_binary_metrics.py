"""AUROC, TPR at a false positive rate and F1 of two classes: against scikit-learn, and worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as peer

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.sample import Sample
from shiftbench.contracts.metric_inputs import poisson
from shiftbench.plugins.tasks import LabelSpace, text_classification
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows

CLASSES = ("human", "machine")


def records(margins: list[float], labels: list[int]) -> pa.Table:
    logits = np.stack([np.zeros(len(margins)), margins], axis=1).astype(np.float32)
    samples = [Sample(f"t/{i:04d}", {"label": label}) for i, label in enumerate(labels)]
    space = LabelSpace(CLASSES, CLASSES)
    return text_classification.rows(samples, {"logits": logits}, space, "full")


def drawn(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return margins with many ties, and labels that they tell something of."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, n)
    return np.round(random.normal(labels * 0.8, 1.0), 1), labels


def value(name: str, table: pa.Table, weights: np.ndarray, **options: float) -> np.ndarray:
    metric = registry.find("metrics", name)
    rows = Rows(table)
    if metric.KIND == "resampled":
        found: np.ndarray = metric.compute(rows, weights, **options)
        return found
    return np.asarray(metric.finish(weighted_sums([metric.reduce(rows)], weights)[0]))


def ones(n: int) -> np.ndarray:
    return np.ones((n, 1), np.uint8)


def test_auroc_and_f1_are_those_of_scikit_learn_under_every_weighting() -> None:
    margins, labels = drawn()
    table, weights = records(margins.tolist(), labels.tolist()), poisson(len(labels), 5)
    areas, f1s = (value(name, table, weights) for name in ("binary_auroc", "binary_f1"))
    for draw in range(weights.shape[1]):
        own = weights[:, draw]
        assert areas[draw] == pytest.approx(peer.roc_auc_score(labels, margins, sample_weight=own), abs=1e-12)
        assert f1s[draw] == pytest.approx(peer.f1_score(labels, margins > 0, sample_weight=own), abs=1e-12)


def test_tpr_is_the_best_vertex_that_keeps_the_rate() -> None:
    margins, labels = drawn()
    found = value("binary_tpr", records(margins.tolist(), labels.tolist()), ones(len(labels)))
    fpr, tpr, _ = peer.roc_curve(labels, margins, drop_intermediate=False)
    assert found[0] == tpr[fpr <= 0.05].max()
    nearest = tpr[np.abs(fpr - 0.05).argmin()]  # what the released evaluation takes
    assert fpr[np.abs(fpr - 0.05).argmin()] > 0.05
    assert nearest > found[0]


def test_worked_out_by_hand() -> None:
    # Humans at -2, -1, 0.5, 1; machines at -1.5, 0.5, 2, 3.
    table = records([-2, -1, 0.5, 1, -1.5, 0.5, 2, 3], [0, 0, 0, 0, 1, 1, 1, 1])
    # Pairs won by the machines: 1 + (2 + 1/2) + 4 + 4 = 11.5 of 16.
    assert value("binary_auroc", table, ones(8)) == [11.5 / 16]
    assert value("binary_tpr", table, ones(8)) == [2 / 4]  # above 1, with no human
    assert value("binary_tpr", table, ones(8), fpr=0.25) == [2 / 4]  # above 0.5, with one human
    assert value("binary_tpr", table, ones(8), fpr=0.5) == [3 / 4]  # above -1, with two
    assert value("binary_f1", table, ones(8)) == [2 * 3 / (2 * 3 + 2 + 1)]


def test_one_side_alone_has_no_value_and_a_rate_is_a_share() -> None:
    table = records([1.0, 2.0], [1, 1])
    assert np.isnan(value("binary_auroc", table, ones(2))).all()
    assert np.isnan(value("binary_tpr", table, ones(2))).all()
    with pytest.raises(ParamsError, match="fpr is 1.5"):
        value("binary_tpr", table, ones(2), fpr=1.5)
