"""Macro AUROC: against scikit-learn under every weighting; classes without a sample."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as peer

from shiftbench.contracts.metric_inputs import poisson, records
from shiftbench.plugins.metrics.classification import macro_auroc
from shiftbench.statistics.rows import Rows


def test_macro_auroc_is_that_of_scikit_learn_under_every_weighting() -> None:
    table, weights = records(), poisson(300, 4)
    labels = table.column("label").to_numpy()
    scores = softmax(np.stack(table.column("logits").to_pylist()).astype(np.float64), axis=1)
    found = macro_auroc.compute(Rows(table), weights)
    for draw in range(4):
        wanted = peer.roc_auc_score(labels, scores, multi_class="ovr", average="macro", sample_weight=weights[:, draw])
        assert found[draw] == pytest.approx(wanted, abs=1e-7)


def test_classes_without_a_sample_do_not_count_and_of_nothing_there_is_no_value() -> None:
    table = records()
    labels = table.column("label").to_numpy()
    lacking = table.filter(labels != 2)
    scores = softmax(np.stack(lacking.column("logits").to_pylist()).astype(np.float64), axis=1)
    areas = [peer.roc_auc_score(labels[labels != 2] == one, scores[:, one]) for one in (0, 1, 3, 4)]
    ones = np.ones((len(lacking), 1), np.uint8)
    assert macro_auroc.compute(Rows(lacking), ones)[0] == pytest.approx(np.mean(areas), abs=1e-7)
    assert np.isnan(macro_auroc.compute(Rows(lacking), ones * np.uint8(0))).all()
    assert np.isnan(macro_auroc.compute(Rows(table.slice(0, 0)), ones[:0])).all()
