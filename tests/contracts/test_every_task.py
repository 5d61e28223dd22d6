import json

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.tasks import LabelSpace

TASKS = registry.names("tasks")
CLASSIFYING = [name for name in TASKS if registry.find("tasks", name).FIELDS.get("label") == "cls"]
CLASSES = ("cat", "dog", "owl")
SPACE = LabelSpace(CLASSES, CLASSES)


def samples(labels: list[int]) -> list[Sample]:
    return [Sample(f"toy/test/{i}", {"label": label}) for i, label in enumerate(labels)]


@pytest.mark.parametrize("name", TASKS)
def test_declarations(name: str) -> None:
    task = registry.find("tasks", name)
    assert task.__doc__
    assert set(task.REQUIRED) <= set(task.FIELDS)
    assert len(set(task.FIELDS.values())) == len(task.FIELDS)
    assert set(task.METRICS) <= set(registry.names("metrics"))
    for form in task.FORMATS:
        assert form.name.startswith("records/")
        assert schema.find_format(form.name) == form
        assert {"key", "group", "cluster"} <= set(form.names)
    for outputs in ("full", "top20"):
        assert schema.of(task.schema(3, outputs)) in task.FORMATS


@pytest.mark.parametrize("name", CLASSIFYING)
def test_samples_are_checked_and_shown(name: str) -> None:
    task = registry.find("tasks", name)
    fields = {"image": np.zeros((2, 3), np.uint8), "text": "so"}
    own = {field: value for field, value in fields.items() if field in task.FIELDS}
    task.check(Sample("toy/test/0", {**own, "label": 2}), list(CLASSES))
    with pytest.raises(RangeError, match="toy/test/0: label 3 lies outside the 3 classes"):
        task.check(Sample("toy/test/0", {**own, "label": 3}), list(CLASSES))
    row = task.shown(Sample("toy/test/0", {**own, "label": 2}))
    assert set(row) == {"label", *({"image": "png"}.get(field, field) for field in own)}
    json.dumps(row)


@pytest.mark.parametrize("name", CLASSIFYING)
@pytest.mark.parametrize("outputs", ["full", "top20"])
def test_one_row_per_sample_in_order(name: str, outputs: str) -> None:
    task = registry.find("tasks", name)
    logits = np.array([[0, 1, 2], [3, 0, 0], [0, 5, 5]], dtype=np.float32)
    table = task.rows(samples([2, 1, 1]), {"logits": logits}, SPACE, outputs)
    assert table.schema.equals(task.schema(3, outputs))
    assert table["prediction"].to_pylist() == [2, 0, 1]  # the lowest of equals
    assert table["correct"].to_pylist() == [True, False, True]
    # softmax(0, 1, 2) = (1, e, e^2) / 11.1073: confidence 0.665241, nll 0.407606,
    # brier 0.090031^2 + 0.244728^2 + 0.334759^2 = 0.180061
    assert table["confidence_e9"][0].as_py() == pytest.approx(0.665241e9, abs=1e3)
    assert table["nll_e9"][0].as_py() == pytest.approx(0.407606e9, abs=1e3)
    assert table["brier_e9"][0].as_py() == pytest.approx(0.180061e9, abs=1e3)
    assert len(task.rows([], {"logits": np.zeros((0, 3))}, SPACE, outputs)) == 0
    twice = [task.rows(samples([2, 1, 1])[i : i + 1], {"logits": logits[i : i + 1]}, SPACE, outputs) for i in range(3)]
    assert pa.concat_tables(twice)["nll_e9"].equals(pa.chunked_array([[row] for row in table["nll_e9"].to_pylist()]))


@pytest.mark.parametrize("name", CLASSIFYING)
def test_labels_are_mapped_by_name(name: str) -> None:
    task = registry.find("tasks", name)
    logits = np.array([[9, 1, 0], [9, 1, 0]], dtype=np.float32)
    # The dataset has two of the three classes: 'cat' cannot occur, so the best of owl and dog is predicted.
    fewer = task.rows(samples([0, 1]), {"logits": logits}, LabelSpace(CLASSES, ("owl", "dog")), "full")
    assert fewer["label"].to_pylist() == [2, 1]
    assert fewer["prediction"].to_pylist() == [1, 1]
    assert fewer["confidence_e9"][0].as_py() == pytest.approx(1e9 / (1 + np.exp(-1)), abs=1)
    assert fewer["logits"][0].as_py() == [9, 1, 0]
    # Partly shared classes: no restriction, and -1 where the model has no such class.
    other = task.rows(samples([0, 1]), {"logits": logits}, LabelSpace(CLASSES, ("dog", "sun")), "full")
    assert other["label"].to_pylist() == [1, -1]
    assert other["prediction"].to_pylist() == [0, 0]
    for column in ("correct", "nll_e9", "brier_e9"):
        assert [value is None for value in other[column].to_pylist()] == [False, True]


@pytest.mark.parametrize("name", CLASSIFYING)
def test_bad_input_is_named(name: str) -> None:
    task = registry.find("tasks", name)
    good = np.zeros((2, 3), dtype=np.float32)
    for bad in (np.nan, np.inf):
        logits = good.copy()
        logits[1, 2] = bad
        with pytest.raises(ModelError, match=f"sample 'toy/test/1': a logit is {bad}"):
            task.rows(samples([0, 1]), {"logits": logits}, SPACE, "full")
    with pytest.raises(ModelError, match=r"toy/test/0.*expected shape \(2, 3\).*found \(2, 4\)"):
        task.rows(samples([0, 1]), {"logits": np.zeros((2, 4))}, SPACE, "full")
    with pytest.raises(ModelError, match=r"gives no logits \(it gives boxes\)"):
        task.rows(samples([0, 1]), {"boxes": good}, SPACE, "full")
    with pytest.raises(RangeError, match=r"sample 'toy/test/1' has the label 3; expected 0 to 2"):
        task.rows(samples([0, 3]), {"logits": good}, SPACE, "full")
    with pytest.raises(ParamsError, match=r"evaluate.outputs is 'ful' \(did you mean full\?\)"):
        task.schema(3, "ful")
    with pytest.raises(RangeError, match=r"the model has the class 'cat' twice"):
        LabelSpace(("cat", "cat"), CLASSES)


@pytest.mark.parametrize("name", CLASSIFYING)
def test_top20_keeps_the_largest(name: str) -> None:
    task = registry.find("tasks", name)
    many = tuple(str(i) for i in range(200))
    logits = np.random.default_rng(0).normal(size=(2, 200)).astype(np.float32)
    table = task.rows(samples([5, 6]), {"logits": logits}, LabelSpace(many, many), "top20")
    assert table["top_logits"][0].as_py() == sorted(logits[0].tolist(), reverse=True)[:20]
    assert logits[0, table["top_classes"][0].as_py()].tolist() == table["top_logits"][0].as_py()
    assert table["label_logit"].to_pylist() == logits[[0, 1], [5, 6]].tolist()
    assert table["logsumexp"][0].as_py() == pytest.approx(np.log(np.exp(logits[0].astype(float)).sum()))


# --- boxes -----------------------------------------------------------------------------------------


def boxed(*boxes: dict[str, object]) -> Sample:
    image = np.zeros((20, 30, 3), np.uint8)
    return Sample("toy/test/0", {"image": image, "boxes": list(boxes)})


def found(boxes: list[list[float]], scores: list[float], classes: list[int]) -> dict[str, np.ndarray]:
    outputs = {"boxes": boxes, "scores": scores, "classes": classes}
    made = {name: np.empty(1, dtype=object) for name in outputs}
    for name, value in outputs.items():
        made[name][0] = np.array(value)
    return made


OWL = {"box": [2.0, 3.0, 10.5, 8.0], "label": 2}


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ("no list", DataError, "toy/test/0: boxes are a list of dicts; got str"),
        ([{"label": 1}], DataError, r"box 0 is \{'label': 1\}; expected a dict with box"),
        ([{**OWL, "box": [1, 2, 3, float("nan")]}], DataError, "box 0 is .*expected a dict"),
        ([OWL, {**OWL, "label": 3}], RangeError, "box 1 has the label 3; there are 3 classes"),
        ([{**OWL, "box": [1, 2, 0, 3]}], RangeError, "box 0 is 0 pixels wide and 3 high"),
        ([{**OWL, "box": [25, 2, 9, 3]}], RangeError, r"\[25, 2, 9, 3\], lies outside of the image of 30 x 20"),
    ],
)
def test_boxes_are_checked(boxes: object, error: type[Exception], message: str) -> None:
    task = registry.find("tasks", "detection")
    task.check(boxed(OWL), list(CLASSES))
    task.check(boxed(), list(CLASSES))
    with pytest.raises(error, match=message):
        task.check(boxed().with_field("boxes", boxes), list(CLASSES))


def test_a_detector_has_one_row_per_image() -> None:
    task = registry.find("tasks", "detection")
    table = task.rows([boxed(OWL)], found([[2, 3, 10, 8], [0, 0, 1, 1]], [0.5, 0.25], [2, 0]), SPACE, "full")
    assert table.schema.equals(task.schema(3, "full"))
    row = table.to_pylist()[0]
    assert (row["width"], row["height"], row["true_boxes"]) == (30, 20, OWL["box"])
    # IoU 80 / 84 = 0.952: right at all ten thresholds, all areas and small ones; to others both are of the wrong size.
    assert row["matched"] == [2**20 - 1 + (2**20 - 1 << 20), 0]
    assert row["ignored"] == [2**20 - 1 << 20, 2**20 - 1 << 20]
    nothing = {name: np.empty(0, dtype=object) for name in ("boxes", "scores", "classes")}
    assert len(task.rows([], nothing, SPACE, "full")) == 0
    assert task.shown(boxed(OWL))["boxes"] == [[2.0, 3.0, 10.5, 8.0, 2]]
    lacks = task.rows([boxed(OWL)], found([], [], []), LabelSpace(("cat",), CLASSES), "full")
    assert lacks["true_classes"].to_pylist() == [[-1]]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": np.zeros((1, 3))}, r"one entry per image \(1\); this one gives \{'logits': 1\}"),
        (found([[0, 0, 1, 1]], [0.5, 0.5], [0]), "'toy/test/0': 1 boxes, 2 scores and 1 classes"),
        (found([[0, 0, 1, np.inf]], [0.5], [0]), "'toy/test/0': a box or a score is not finite"),
        (found([[0, 0, 1, -1]], [0.5], [0]), "'toy/test/0': a box has a negative size"),
        (found([[0, 0, 1, 1]], [0.5], [3]), "'toy/test/0': a prediction has the class 3; expected 0 to 2"),
    ],
)
def test_bad_detections_are_named(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        registry.find("tasks", "detection").rows([boxed(OWL)], outputs, SPACE, "full")


def test_a_question_asks_something() -> None:
    task = registry.find("tasks", "visual_question")
    asked = {"image": np.zeros((2, 3), np.uint8), "text": "  ", "label": 0}
    with pytest.raises(DataError, match="toy/test/0: the question is empty"):
        task.check(Sample("toy/test/0", asked), list(CLASSES))
    task.check(Sample("toy/test/0", {**asked, "text": "how many owls"}), list(CLASSES))
