"""Top-k accuracy and error: against scikit-learn, from full records and from the largest logits alone."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import top_k_accuracy_score

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import TOP
from shiftbench.plugins.metrics.classification import macro_auroc, topk_accuracy, topk_error
from shiftbench.statistics.contributions import Sums
from shiftbench.statistics.rows import Rows


def drawn(seed: int, classes: int, n: int = 200) -> tuple[pa.Table, pa.Table, np.ndarray, np.ndarray]:
    """Full records, records with the largest logits, labels and logits."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n, classes)).astype(np.float32), rng.integers(0, classes, n)
    order = np.argsort(-logits, axis=1, kind="stable")[:, : min(TOP, classes)].astype(np.int32)
    common = {"label": labels.astype(np.int32), "correct": logits.argmax(axis=1) == labels}
    full = pa.table({**common, "logits": pa.array(list(logits), pa.list_(pa.float32()))})
    top = pa.table({**common, "top_classes": pa.array(list(order), pa.list_(pa.int32()))})
    return full, top, labels, logits


def value(metric: object, table: pa.Table, k: int) -> float:
    contributions = metric.reduce(Rows(table), k=k)  # type: ignore[attr-defined]
    sums = Sums(
        contributions.count.sum(keepdims=True), np.stack([one.sum(keepdims=True) for one in contributions.sums]), None
    )
    return float(metric.finish(sums)[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("classes", [3, 12, 40])
def test_topk_is_that_of_scikit_learn(seed: int, classes: int) -> None:
    full, top, labels, logits = drawn(seed, classes)
    for k in (1, 2, 5):
        expected = 1.0 if k >= classes else top_k_accuracy_score(labels, logits, k=k, labels=range(classes))
        for table in (full, top):
            assert value(topk_accuracy, table, k) == pytest.approx(expected)
            assert value(topk_error, table, k) == pytest.approx(1 - expected)


def test_equal_logits_rank_the_lower_class_first() -> None:
    table = pa.table({"label": [2, 0], "correct": [False, True], "logits": [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]})
    assert value(topk_accuracy, table.set_column(2, "logits", table["logits"].cast(pa.list_(pa.float32()))), 2) == 0.5


def test_what_records_do_not_have_is_named() -> None:
    _, top, *_ = drawn(0, 40)
    with pytest.raises(ParamsError, match="20 largest logits, and this metric reads 21"):
        topk_accuracy.reduce(Rows(top), k=21)
    with pytest.raises(ParamsError, match="reads all logits"):
        macro_auroc.compute(Rows(top), np.ones((200, 1), np.uint8))
    with pytest.raises(ParamsError, match=r"rows\.logits"):
        Rows(drawn(0, 4)[0]).column("logits")
