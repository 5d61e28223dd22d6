"""Shape bias by hand and by the released rule, the stimuli by their names, released answers, lists of ImageNet-CL."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from makers.stimuli_miniature import CONFLICTS, answers, texture_vs_shape
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import formats, schema
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows
from shiftbench.systems.shape_bias_robust_cnns.analyses import common_correct, released_decisions

STIMULI = registry.find("datasets", "texture_vs_shape")
SHAPES, TEXTURES = ([0, 0, 1, 1, 2, 2, 2, 0], [1, 2, 1, 0, 0, 1, 2, 0])  # rows 3, 7 and 8 have no conflict
ANSWERS = [0, 2, 1, 2, 2, 1, 0, 0]


def table() -> pa.Table:
    """Eight rows: the shape is answered to two conflicts, the texture to two, neither to one."""
    samples = [
        Sample(f"d/test/{at}", {"label": shape, "meta": {"group": f"{texture:02d}_t"}})
        for at, (shape, texture) in enumerate(zip(SHAPES, TEXTURES, strict=True))
    ]
    logits = np.eye(3, dtype=np.float32)[ANSWERS] * 9
    space = LabelSpace(tuple("abc"), tuple("abc"))
    return classification.rows(samples, {"logits": logits}, space, "full")


def metric(name: str, rows: pa.Table, **params: Any) -> tuple[float, int]:
    module = registry.find("metrics", name)
    options = {**defaults(module), **params}
    weights = np.ones((len(rows), 1), np.uint8)
    (sums,) = weighted_sums([module.reduce(Rows(rows), **options)], weights)
    return float(module.finish(sums, **options)[0]), int(sums.count[0])


def released(rows: pa.Table) -> dict[str, float]:
    """Return the released rule: hits on conflicts, fractions of all rows, and their ratio."""
    every = list(zip(SHAPES, TEXTURES, rows.column("prediction").to_pylist(), strict=True))
    conflicts = [(shape, texture, answer) for shape, texture, answer in every if shape != texture]
    shape = sum(answer == own for own, _, answer in conflicts) / len(every)
    texture = sum(answer == other for _, other, answer in conflicts) / len(every)
    return {"shape": shape, "texture": texture, "bias": shape / (shape + texture)}


def test_shape_bias_of_eight_rows() -> None:
    rows, literal = table(), released(table())
    assert metric("shape_bias", rows) == (0.5, 5)
    assert metric("shape_share", rows) == (0.4, 5)
    assert metric("texture_share", rows) == (0.4, 5)
    assert metric("shape_bias", rows, over="all")[0] == literal["bias"] == 0.5
    assert metric("shape_share", rows, over="all") == (literal["shape"], 8) == (0.25, 8)
    assert metric("texture_share", rows, over="all") == (literal["texture"], 8) == (0.25, 8)


def test_answers_to_nothing_or_without_a_number_are_said() -> None:
    rows = table()
    plain = rows.set_column(rows.column_names.index("group"), "group", pa.nulls(8, pa.string()))
    assert np.isnan(metric("shape_bias", plain)[0])
    named = rows.set_column(rows.column_names.index("group"), "group", pa.array(["brick"] * 8))
    with pytest.raises(DataError, match="begins with no number"):
        metric("shape_bias", named)
    with pytest.raises(ParamsError, match="of is 'colour'"):
        metric("shape_bias", rows, of="colour")


def stimuli(tmp_path: Path, **options: Any) -> list[Any]:
    _, given = texture_vs_shape(tmp_path)
    return list(STIMULI.samples("test", {}, {**defaults(STIMULI), **given, "name": "cues", **options}))


def test_stimuli_are_read_by_their_names(tmp_path: Path) -> None:
    found = {sample.key: sample.fields for sample in stimuli(tmp_path)}
    assert list(found) == [f"cues/test/{name}" for name in CONFLICTS]
    cat = found["cues/test/cat7-elephant3"]
    assert STIMULI.CLASSES[cat["label"]] == "cat"
    assert cat["meta"] == {"shape": "cat7", "texture": "elephant3", "group": "11_elephant"}
    assert STIMULI.CLASSES[11] == "elephant"
    alone = stimuli(tmp_path / "b", stimuli="filled-silhouettes")
    assert [sample.fields["meta"] for sample in alone] == [{"shape": name} for name in ("airplane1", "cat7", "oven2")]
    assert STIMULI.STIMULI == {"style-transfer-preprocessed-512": 1280, "edges": 160, "filled-silhouettes": 160}


def test_stimuli_of_another_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 4 pictures .* expected 1280"):
        stimuli(tmp_path, complete=True)
    with pytest.raises(ParamsError, match="stimuli is 'edge'"):
        stimuli(tmp_path, stimuli="edge")
    with pytest.raises(ParamsError, match="path is missing"):
        stimuli(tmp_path, path="")
    folder = tmp_path / "clone/stimuli/style-transfer-preprocessed-512/cat"
    for wrong in ("dog1-cat2", "cat3", "cat1-sofa2"):
        (folder / "cat7-elephant3.png").rename(folder / f"{wrong}.png")
        errors = [one for one in stimuli(tmp_path / wrong) if isinstance(one, DataError)]
        assert errors == []
        own = {**defaults(STIMULI), "path": str(tmp_path / "clone"), "complete": False}
        (error,) = [e for e in STIMULI.samples("test", {}, own) if isinstance(e, DataError)]
        assert wrong in str(error)
        (folder / f"{wrong}.png").rename(folder / "cat7-elephant3.png")


def test_released_answers_are_replayed(tmp_path: Path) -> None:
    """Rows whose cues agree, and answers that name neither, count for nothing; two runs of one net stay apart."""
    given = dict(zip(CONFLICTS, ("airplane", "airplane", "elephant", "dog"), strict=True))
    home, name = tmp_path / "raw-data", "style-transfer-512-nomask-experiment"
    answers(home / name, f"{name}_alexnet_session_1.csv", given)
    answers(home / f"{name}-trained-CNNs", f"{name}_alexnet_session-1.csv", {"cat1-oven2": "cat"})
    params = {**defaults(released_decisions), "path": str(tmp_path), "dataset": "cues", "split": "test"}
    rows = list(released_decisions.measure(Measurement(params, {}, 0, {})))
    assert [(row.model.split("/")[1], row.key, row.value) for row in rows] == [
        ("alexnet-released-s0", "airplane1-bicycle2", 1.0),
        ("alexnet-released-s0", "cat7-elephant3", 0.0),
        ("alexnet_pytorch-released-s0", "cat1-oven2", 1.0),
    ]
    answers(home / name, f"{name}_vgg_session_1.csv", {"lamp1": "cat"})
    with pytest.raises(DataError, match="lamp1"):
        list(released_decisions.measure(Measurement(params, {}, 0, {})))
    with pytest.raises(DataError, match="holds no CSV"):
        list(released_decisions.measure(Measurement({**params, "folders": ["x"]}, {}, 0, {})))


def test_the_reported_percentages_follow_from_the_released_counts() -> None:
    """Shape and texture answers of the released files, counted once, give what the README reports, to its rounding."""
    counted = {"alexnet": (182, 537), "vgg16": (84, 828), "resnet50": (162, 572)}
    percent = {name: round(100 * s / (s + t), 1) for name, (s, t) in counted.items()}
    assert percent == {"alexnet": 25.3, "vgg16": 9.2, "resnet50": 22.1}


def records(tmp_path: Path, name: str, keys: list[str], correct: list[bool]) -> Path:
    samples = [Sample(key, {"label": 0}) for key in keys]
    logits = np.array([[9, 0] if hit else [0, 9] for hit in correct], np.float32)
    made = classification.rows(samples, {"logits": logits}, LabelSpace(("a", "b"), ("a", "b")), "full")
    file = tmp_path / f"{name}.parquet"
    schema.write(made, file, "0" * 64, formats.RECORDS_FULL)
    return file


def pair(tmp_path: Path, **options: Any) -> list[Observation]:
    """Return what is observed of a pair on four pictures of ImageNet under a scramble."""
    params = {
        **defaults(common_correct),
        "standard": "net-erm",
        "robust": "net-adversarial",
        "shifts": ["patch_scramble/1"],
        "dataset": "d",
        "split": "test",
        "checkpoints": ["d/net-erm-s1", "d/net-adversarial-s1"],
        **options,
    }
    keys = [f"d/test/n0{at}/ILSVRC2012_val_0000000{at}" for at in range(1, 5)]
    hits = {
        ("net-erm", "identity", "0"): [True, True, False, True],
        ("net-adversarial", "identity", "0"): [True, False, False, True],
        ("net-erm", "patch_scramble", "1"): [True, True, True, True],
        ("net-adversarial", "patch_scramble", "1"): [False, True, True, True],
    }
    inputs = {
        refs.records(Ref("checkpoints", f"d/{arm}-s1"), "plain", f"d/test/{shift}", at): records(
            tmp_path, f"{arm}{shift}", keys, correct
        )
        for (arm, shift, at), correct in hits.items()
    }
    assert set(common_correct.needs(params)) == set(inputs)
    return list(common_correct.measure(Measurement(params, inputs, 0, {})))


def test_a_list_of_what_both_get_right_is_made_from_records(tmp_path: Path) -> None:
    rows = pair(tmp_path)
    both = {row.key[-1]: row.value for row in rows if row.metric == "both_correct"}
    assert both == {"1": 1.0, "2": 0.0, "3": 0.0, "4": 1.0}
    seen = {(row.model, row.key[-1]): row.value for row in rows if row.metric == "cl_accuracy"}
    assert seen == {
        ("d/net-erm-s1", "1"): 1.0,
        ("d/net-erm-s1", "4"): 1.0,
        ("d/net-adversarial-s1", "1"): 0.0,
        ("d/net-adversarial-s1", "4"): 1.0,
    }
    with pytest.raises(ParamsError, match="expected two arms"):
        pair(tmp_path, robust="other-net")


def test_a_released_list_takes_the_place_of_predictions(tmp_path: Path) -> None:
    listed = np.array([f"ILSVRC2012_val_0000000{at}.JPEG" for at in (2, 3)])
    np.save(tmp_path / "list.npy", listed)
    rows = pair(tmp_path, path=str(tmp_path / "list.npy"))
    assert {row.key[-1] for row in rows if row.metric == "cl_accuracy"} == {"2", "3"}
    np.save(tmp_path / "list.npy", np.array(["ILSVRC2012_val_00000009.JPEG"]))
    with pytest.raises(DataError, match="lists 1 pictures, of which 0"):
        pair(tmp_path, path=str(tmp_path / "list.npy"))
    np.save(tmp_path / "list.npy", np.arange(3))
    with pytest.raises(DataError, match="expected file names"):
        pair(tmp_path, path=str(tmp_path / "list.npy"))
