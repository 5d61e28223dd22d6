"""Records of forgeries: the binary fold, and masks that are compared once; held against scikit-learn's and by hand."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as peer

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts.metric_inputs import value
from shiftbench.plugins.tasks import LabelSpace, forgery
from shiftbench.statistics.rows import Rows

CLASSES = ("real", "full_synthetic", "tampered")
SPACE = LabelSpace(CLASSES, CLASSES)
SIDE = 4


def picture(number: int, label: int, mask: np.ndarray | None = None) -> Sample:
    fields: dict[str, Any] = {"image": np.zeros((SIDE, SIDE), np.uint8), "label": label}
    return Sample(f"toy/test/{number}", fields if mask is None else {**fields, "mask": mask})


def square(top: int, left: int, side: int = 2) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


def several(masks: list[np.ndarray]) -> np.ndarray:
    found = np.empty(len(masks), dtype=object)
    for at, mask in enumerate(masks):
        found[at] = mask
    return found


def drawn(n: int = 90) -> tuple[list[Sample], dict[str, np.ndarray]]:
    """Return samples of which a third is tampered, and answers that are right more often than not."""
    random = np.random.default_rng(5)
    samples, masks = [], []
    for number in range(n):
        true = square(*random.integers(0, 3, 2)) if number % 3 == 2 else None
        samples.append(picture(number, number % 3, true))
        masks.append(random.random((SIDE, SIDE)).astype(np.float32))
    logits = random.normal(scale=2, size=(n, 3)).astype(np.float32)
    logits[np.arange(n), [one.fields["label"] for one in samples]] += 2
    return samples, {"logits": logits, "masks": several(masks)}


def measured(name: str, table: pa.Table, **options: Any) -> float:
    metric = registry.find("metrics", name)
    if metric.KIND == "resampled":
        weights = np.ones((len(table), 1), np.uint8)
        return float(metric.compute(Rows(table), weights, **defaults(metric))[0])
    return float(value(metric, table, **options)[0])


def test_one_row_by_hand() -> None:
    found = np.zeros((SIDE, SIDE), np.float32)
    found[0:2, 1:3] = 0.5  # two columns of the mask's right, two false
    logits = np.array([[0, 1, 2], [1, 0, 0]], np.float32)
    outputs = {"logits": logits, "masks": several([found, found])}
    first, second = forgery.rows([picture(0, 2, square(0, 0)), picture(1, 0)], outputs, SPACE, "full").to_pylist()
    assert (first["mask_hit"], first["mask_false"], first["mask_missed"]) == (2, 2, 2)
    assert (first["fake"], first["called"], second["fake"], second["called"]) == (*(True, True), *(False, False))
    assert first["fake_e9"] == pytest.approx(1e9 * np.log(np.e + np.e**2), abs=1)
    assert second["fake_e9"] == pytest.approx(1e9 * (np.log(2) - 1), abs=1)
    assert second["mask_hit"] is None  # nothing is defined there, and it is not 1


def test_masks_by_hand() -> None:
    """Two tampered images: of one a half of the mask and as much beside it (1/3, 1/2), of the other all (1, 1)."""
    half = np.zeros((SIDE, SIDE), bool)
    half[0:2, 1:3] = True
    samples = [picture(0, 2, square(0, 0)), picture(1, 2, square(1, 1)), picture(2, 0), picture(3, 1)]
    logits = np.array([[0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]], np.float32)
    masks = several([half, square(1, 1) > 0, half, half])
    table = forgery.rows(samples, {"logits": logits, "masks": masks}, SPACE, "full")
    assert measured("mean_iou", table) == pytest.approx((1 / 3 + 1) / 2, abs=1e-9)
    assert measured("pixel_f1", table) == pytest.approx((1 / 2 + 1) / 2, abs=1e-9)
    # The second is called real: left out, or taken for an empty mask.
    assert measured("mean_iou", table, rule="detected") == pytest.approx(1 / 3, abs=1e-9)
    assert measured("mean_iou", table, rule="gated") == pytest.approx(1 / 6, abs=1e-9)
    assert measured("pixel_f1", table, rule="gated") == pytest.approx(1 / 4, abs=1e-9)
    assert measured("mean_iou_gated", table, rule="gated") == pytest.approx(1 / 6, abs=1e-9)
    assert np.isnan(measured("mean_iou", table.slice(2)))
    with pytest.raises(ParamsError, match=r"rule = 'some'"):
        measured("mean_iou", table, rule="some")


def test_measures_are_those_of_scikit_learn() -> None:
    samples, outputs = drawn()
    table = forgery.rows(samples, outputs, SPACE, "full")
    truth = np.array([one.fields["label"] for one in samples])
    called = outputs["logits"].argmax(axis=1)
    assert measured("accuracy", table) == pytest.approx(peer.accuracy_score(truth, called))
    assert measured("macro_f1", table) == pytest.approx(peer.f1_score(truth, called, average="macro"))
    assert measured("balanced_accuracy", table) == pytest.approx(peer.balanced_accuracy_score(truth, called))
    recalls = peer.recall_score(truth, called, average=None)
    for label, name in enumerate(CLASSES):
        assert measured("recall", table, label=label) == pytest.approx(recalls[label])
        assert measured(f"recall_{name}", table, label=label) == pytest.approx(recalls[label])
    logits = outputs["logits"].astype(np.float64)
    odds = np.log(np.exp(logits[:, 1:]).sum(axis=1)) - logits[:, 0]
    assert measured("fake_auroc", table) == pytest.approx(peer.roc_auc_score(truth > 0, odds))
    tampered = [
        (one.fields["mask"] > 0, mask >= 0.5)
        for one, mask in zip(samples, outputs["masks"], strict=True)
        if "mask" in one.fields
    ]
    for name, score in (("mean_iou", peer.jaccard_score), ("pixel_f1", peer.f1_score)):
        wanted = np.mean([score(true.ravel(), own.ravel()) for true, own in tampered])
        assert measured(name, table) == pytest.approx(wanted, abs=1e-9)


def test_a_weight_is_a_number_of_copies() -> None:
    samples, outputs = drawn()
    table = forgery.rows(samples, outputs, SPACE, "full")
    weights = np.random.default_rng(1).poisson(1, (len(table), 4)).astype(np.uint8)
    metric = registry.find("metrics", "fake_auroc")
    for draw, found in enumerate(metric.compute(Rows(table), weights)):
        copies = table.take(pa.array(np.repeat(np.arange(len(table)), weights[:, draw])))
        assert measured("fake_auroc", copies) == pytest.approx(found, abs=1e-12)
    assert np.isnan(metric.compute(Rows(table), weights * np.uint8(0))).all()


def test_macro_f1_counts_what_occurs() -> None:
    """Of three classes two occur: right 2 of 2, and 1 of 2 with the other called the third, whose F1 is 0."""
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    samples = [picture(at, label) for at, label in enumerate((0, 0, 1, 1))]
    table = forgery.rows(samples, {"logits": logits}, LabelSpace(CLASSES, CLASSES), "full")
    truth, called = [0, 0, 1, 1], [0, 0, 1, 2]
    assert measured("macro_f1", table) == pytest.approx(peer.f1_score(truth, called, average="macro", zero_division=0))
    assert measured("macro_f1", table.slice(0, 2)) == 1  # one class alone


def test_a_detector_without_masks_or_the_class_has_none() -> None:
    samples, outputs = drawn(9)
    table = forgery.rows(samples, {"logits": outputs["logits"]}, SPACE, "top20")
    assert table["mask_hit"].null_count == 9
    assert np.isnan(measured("mean_iou", table))
    other = LabelSpace(("a", "b", "c"), ("a", "b", "c"))
    table = forgery.rows(samples, outputs, other, "full")
    assert table["fake"].null_count == table["fake_e9"].null_count == table["called"].null_count == 9
    assert np.isnan(measured("fake_auroc", table))


@pytest.mark.parametrize(
    ("mask", "label", "message"),
    [
        (None, 2, "class 'tampered' without a mask; expected one for each"),
        (square(0, 0), 0, "class 'real' with a mask"),
        (np.zeros((SIDE, SIDE), np.uint8), 2, "255 on tampered pixels, of which there are some"),
        (np.ones((SIDE, SIDE), np.uint8), 2, "255 on tampered pixels"),
        (np.zeros((2, 2), np.uint8), 2, r"mask is uint8 \(2, 2\); expected uint8 \(4, 4\)"),
    ],
)
def test_masks_are_checked(mask: np.ndarray | None, label: int, message: str) -> None:
    forgery.check(picture(0, 2, square(0, 0)), list(CLASSES))
    forgery.check(picture(0, 0), list(CLASSES))
    with pytest.raises(DataError, match=message):
        forgery.check(picture(0, label, mask), list(CLASSES))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2), bool), r"'toy/test/0': the mask is \(2, 2\); expected \(4, 4\)"),
        (np.zeros((SIDE, SIDE), np.uint8), "a mask of uint8; expected bool, or finite float"),
        (np.full((SIDE, SIDE), np.nan), "a mask of float64; expected bool"),
    ],
)
def test_bad_masks_are_named(mask: np.ndarray, message: str) -> None:
    outputs = {"logits": np.zeros((1, 3), np.float32), "masks": several([mask])}
    with pytest.raises(ModelError, match=message):
        forgery.rows([picture(0, 2, square(0, 0))], outputs, SPACE, "full")
    with pytest.raises(ModelError, match="0 masks for 1 images"):
        forgery.rows([picture(0, 0)], {**outputs, "masks": outputs["masks"][:0]}, SPACE, "full")


def test_a_mask_is_shown_as_rectangles() -> None:
    mask = square(0, 0) | square(2, 0, 1) | square(2, 2)
    shown = forgery.shown(picture(0, 2, mask))["areas"]
    back = np.zeros_like(mask)
    for x, y, w, h in shown:
        assert not back[y : y + h, x : x + w].any()
        back[y : y + h, x : x + w] = 255
    assert np.array_equal(back, mask)
    assert shown == [[0, 0, 2, 2], [0, 2, 1, 1], [2, 2, 2, 2]]
    assert "areas" not in forgery.shown(picture(0, 0))
