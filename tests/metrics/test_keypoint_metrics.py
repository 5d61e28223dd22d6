"""AP and AR of keypoints equal pycocotools; PCK, MPJPE and PA-MPJPE by hand and by SciPy."""

import contextlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import skeletons
from shiftbench.data.skeletons import BLAZEPOSE_33, COCO_17
from shiftbench.plugins.tasks import LabelSpace, keypoints
from shiftbench.statistics import pose_errors
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows

SIDE = 300
STATS = {"ap": 0, "ap50": 1, "ap75": 2, "ap_medium": 3, "ap_large": 4, "ar": 5}
Image = tuple[list[dict[str, Any]], np.ndarray, np.ndarray]
"""True poses; predicted joints (p, 17, 3), scores (p,)."""


def image(
    random: np.random.Generator, persons: int = 4, found: int = 7, crowd: float = 0.15, blank: float = 0.15
) -> Image:
    """Return persons of all sizes, some crowds, some without a labelled joint, and predictions near some of them."""
    poses = []
    for _ in range(persons):
        size = np.exp(random.uniform(np.log(15), np.log(200), 2))
        corner = random.uniform(0, 1, 2) * (SIDE - size)
        joints = np.concatenate([corner + random.random((17, 2)) * size, random.integers(0, 3, (17, 1))], axis=1)
        joints[:, 2] *= random.random() >= blank
        joints[joints[:, 2] == 0] = 0
        poses.append(
            {
                "joints": joints.tolist(),
                "box": [*corner.tolist(), *size.tolist()],
                "area": float(size.prod() * random.uniform(0.3, 0.8)),
                "crowd": bool(random.random() < crowd),
            }
        )
    near = np.zeros((found, 17, 3), np.float32)
    for at in range(found):
        pose = poses[int(random.integers(persons))] if persons else {"joints": [[9, 9, 2]] * 17, "box": [0, 0, 20, 20]}
        spread = pose["box"][2] * random.uniform(0, 0.15)
        near[at, :, :2] = np.array(pose["joints"])[:, :2] + random.normal(scale=spread, size=(17, 2))
        near[at, :, 2] = random.random(17)
    return poses, near, np.round(random.random(found), 1).astype(np.float32)


def records(images: list[Image], model: tuple[str, ...] = COCO_17) -> pa.Table:
    blank = np.zeros((SIDE, SIDE), np.uint8)
    samples = [Sample(f"toy/test/{i:03d}", {"image": blank, "poses": poses}) for i, (poses, *_) in enumerate(images)]
    outputs = {name: np.empty(len(images), dtype=object) for name in ("joints", "scores")}
    for i, (_, joints, scores) in enumerate(images):
        outputs["joints"][i], outputs["scores"][i] = joints, scores
    return keypoints.rows(samples, outputs, LabelSpace(model, COCO_17), "full")


def reference(images: list[Image]) -> dict[str, float]:
    """Return what pycocotools says; -1 (no person) is NaN."""
    truth, notes = COCO(), []
    for i, (poses, *_) in enumerate(images):
        for j, pose in enumerate(poses):
            labelled = sum(joint[2] > 0 for joint in pose["joints"])
            notes.append({"id": 1 + 100 * i + j, "image_id": i, "category_id": 1, "bbox": pose["box"],
                          "area": pose["area"], "iscrowd": int(pose["crowd"]), "num_keypoints": labelled,
                          "keypoints": np.ravel(pose["joints"]).tolist()})  # fmt: skip
    truth.dataset = {"images": [{"id": i} for i in range(len(images))], "categories": [{"id": 1}], "annotations": notes}
    results = [
        {"image_id": i, "category_id": 1, "score": float(score), "keypoints": person.astype(float).ravel().tolist()}
        for i, (_, joints, scores) in enumerate(images)
        for person, score in zip(joints, scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "keypoints")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {name: judge.stats[at] if judge.stats[at] > -1 else np.nan for name, at in STATS.items()}


def value(name: str, table: pa.Table, **options: Any) -> float:
    metric = registry.find("metrics", name)
    weights, given = np.ones((len(table), 1), dtype=np.uint8), {**defaults(metric), **options}
    if metric.KIND == "resampled":
        return float(metric.compute(Rows(table), weights, **given)[0])
    (sums,) = weighted_sums([metric.reduce(Rows(table), **given)], weights)
    return float(metric.finish(sums, **given)[0])


def sets() -> dict[str, list[Image]]:
    random = np.random.default_rng(0)
    some = [image(random) for _ in range(15)]
    return {
        "crowds and blanks": some,
        "plain": [image(random, crowd=0, blank=0) for _ in range(15)],
        "mostly blank": [image(random, blank=0.7) for _ in range(10)],
        "more than twenty": [image(random, found=60) for _ in range(5)],
        "nobody there in some": [*some[:5], image(random, persons=0)],
        "equal scores": [(poses, joints, scores * 0) for poses, joints, scores in some],
        "one each": [image(random, 1, 1, 0, 0) for _ in range(30)],
    }


@pytest.mark.parametrize("name", sets())
def test_values_are_those_of_pycocotools(name: str) -> None:
    images = sets()[name]
    table = records(images)
    found = {metric: value(metric, table) for metric in STATS}
    assert found == pytest.approx(reference(images), abs=1e-6, nan_ok=True)
    assert found["ap"] > 0.05


def test_sigmas_and_order_are_cocos() -> None:
    params = Params("keypoints")
    assert list(skeletons.SIGMAS.values()) == pytest.approx(params.kpt_oks_sigmas.tolist())
    assert params.maxDets == [keypoints.MAX_DETS]


def test_a_model_of_more_joints_is_mapped_by_name() -> None:
    images = sets()["plain"]
    wide = []
    for poses, joints, scores in images:
        whole = np.full((len(scores), 33, 3), 7, np.float32)
        whole[:, [BLAZEPOSE_33.index(name) for name in COCO_17]] = joints
        wide.append((poses, whole, scores))
    own, other = records(images), records(wide, BLAZEPOSE_33)
    assert other.equals(own)


def test_joints_that_a_model_lacks_do_not_count() -> None:
    images = sets()["plain"]
    fewer = tuple(name for name in COCO_17 if "ear" not in name)
    kept = [COCO_17.index(name) for name in fewer]
    table = records([(poses, joints[:, kept], scores) for poses, joints, scores in images], fewer)

    def without(pose: dict[str, Any]) -> dict[str, Any]:
        return {**pose, "joints": [j if at in kept else [0, 0, 0] for at, j in enumerate(pose["joints"])]}

    blind = [([without(pose) for pose in people], joints, scores) for people, joints, scores in images]
    assert value("ap50", table) == pytest.approx(value("ap50", records(blind)), abs=1e-12)
    errors = np.array(table["errors_e9"].to_pylist()[0]).reshape(-1, 17)
    ears = [COCO_17.index(f"{side}_ear") for side in ("left", "right")]
    assert (errors[:, ears] == -1).all()


def standing() -> dict[str, Any]:
    """Return a person whose torso is 50 pixels: shoulders and hips 30 apart, 40 above each other."""
    joints = [[0.0, 0.0, 0]] * 17
    places = {"left_shoulder": (130, 100), "right_shoulder": (100, 100), "left_hip": (130, 140),
              "right_hip": (100, 140), "left_wrist": (150, 120), "nose": (115, 80)}  # fmt: skip
    for name, (x, y) in places.items():
        joints[COCO_17.index(name)] = [float(x), float(y), 2]
    return {"joints": joints, "box": [90.0, 70.0, 70.0, 80.0]}


def test_distances_by_hand() -> None:
    pose = standing()
    found = np.array(pose["joints"], np.float32)[None]
    found[0, COCO_17.index("left_wrist"), 0] += 9  # 0.18 torsos
    found[0, COCO_17.index("nose"), 1] += 40  # 0.8
    table = records([([pose], found, np.ones(1))])
    assert value("pck", table) == pytest.approx(5 / 6)
    assert value("pck", table, within=0.1) == pytest.approx(4 / 6)
    assert value("joint_error", table) == pytest.approx(0.18 / 5)  # of five joints of arms and legs
    assert value("missed_persons", table) == 0
    both = records([([pose], found, np.ones(1)), ([pose], np.zeros((0, 17, 3), np.float32), np.zeros(0))])
    assert value("joint_error", both) == pytest.approx((0.18 / 5 + 1) / 2)
    assert value("missed_persons", both) == 0.5
    crowd = records([([{**pose, "crowd": True}], found, np.ones(1))])
    assert np.isnan(value("pck", crowd))
    # The area that nobody measured is 0.53 of the box; one joint of six off by 40: OKS is 5/6 plus nearly nothing.
    wrist = np.exp(-81 / (2 * 0.53 * 5600 * (2 * 0.062) ** 2))
    nose = np.exp(-1600 / (2 * 0.53 * 5600 * (2 * 0.026) ** 2))
    assert table["oks_e9"][0][0].as_py() / 1e9 == pytest.approx((4 + wrist + nose) / 6)
    with pytest.raises(ParamsError, match="pck: within is 1; expected torsos, above 0 and below 1"):
        value("pck", table, within=1.0)


def test_alignment_is_scipys_and_undoes_a_similarity() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        one, other = random.normal(size=(2, 17, 3))
        ours = pose_errors.align(one, other)
        centred = other - other.mean(axis=0)
        _, nearest, disparity = procrustes(other, one)
        scale = np.linalg.norm(centred)
        u, _, v = np.linalg.svd((one - one.mean(axis=0)).T @ centred)
        if np.linalg.det(u @ v) > 0:  # SciPy also mirrors; where it does not, both are the same points
            assert np.allclose(ours - other.mean(axis=0), nearest * scale)
            assert ((ours - other) ** 2).sum() == pytest.approx(disparity * scale**2)
        turned = 0.7 * Rotation.random(random_state=3).apply(one) + [1.0, -2.0, 3.0]
        assert pose_errors.pa_mpjpe(turned, one) < 1e-9
        mirrored = turned * [-1, 1, 1]
        assert pose_errors.pa_mpjpe(mirrored, one) > 0.1  # a mirrored body is another body
    names = ("left_hip", "right_hip", "nose")
    found = np.array([[0, 0, 0], [2, 0, 0], [1, 2, 0.0]])
    true = np.array([[1, 0, 0], [3, 0, 0], [2, 5, 0.0]])
    assert pose_errors.mpjpe(found, true, names) == pytest.approx(1.0)  # only the nose is off, by 3 of 3 joints


def test_errors_in_space_are_told_where_both_sides_have_joints_there() -> None:
    pose = standing()
    space = np.random.default_rng(0).normal(size=(17, 3))
    there = {**pose, "joints3d": space.tolist()}
    image = np.zeros((SIDE, SIDE), np.uint8)
    samples = [Sample(f"toy/test/{i}", {"image": image, "poses": [p]}) for i, p in enumerate((there, pose))]
    outputs = {name: np.empty(2, dtype=object) for name in ("joints", "scores", "joints3d")}
    for i in range(2):
        outputs["joints"][i] = np.array(pose["joints"], np.float32)[None]
        outputs["scores"][i] = np.ones(1)
        outputs["joints3d"][i] = (2 * space)[None].astype(np.float32)
    table = keypoints.rows(samples, outputs, LabelSpace(COCO_17, COCO_17), "full")
    assert table["mpjpe_e9"].to_pylist()[1] == [-1]
    hips = space[11:13].mean(axis=0)
    assert value("mpjpe", table) == pytest.approx(np.linalg.norm(space - hips, axis=1).mean(), abs=1e-6)
    assert value("pa_mpjpe", table) == pytest.approx(0, abs=1e-6)
