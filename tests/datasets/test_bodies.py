"""Bodies: joints lie on the drawn limbs, the same parameters give the same bytes, limits hold; COCO's files."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from makers import miniature_scenes
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import poses
from shiftbench.data.skeletons import COCO_17
from shiftbench.evaluation import nets
from shiftbench.plugins.datasets import _bodies, _capsules, capsule_bodies

GREY = np.full((128, 96, 3), 128, np.uint8)


def body(number: int, spread: float = 0.6) -> _bodies.Body:
    return _bodies.drawn(RandomStream(0, "body", "test", str(number)), spread, 60.0, 20.0)


@pytest.mark.parametrize("number", range(6))
def test_joints_lie_in_the_middle_of_the_drawn_limbs(number: int) -> None:
    """Each limb alone: the middle of its pixels is the middle between its two joints, as far as radii allow."""
    one = body(number)
    view = _bodies.fitted(one, 256, 192, 0.8)
    places = _bodies.joints(one)
    for side in ("left", "right"):
        for a, b in (("elbow", "wrist"), ("knee", "ankle"), ("shoulder", "elbow")):
            ends = [_bodies._away(places[f"{side}_{name}"]) for name in (a, b)]
            row = np.array([[*ends[0], 0.02, *ends[1], 0.02]])
            drawn = _capsules.draw(row, np.full((1, 3), 255, np.uint8), view)
            rows, columns = np.nonzero(drawn.cover)
            weights = drawn.cover[rows, columns].astype(float)
            found = (np.average(columns + 0.5, weights=weights), np.average(rows + 0.5, weights=weights))
            middle = np.mean([view.project(end) for end in ends], axis=0)
            assert np.hypot(*(found - middle)) < 1.0


@pytest.mark.parametrize("number", range(6))
def test_a_picture_holds_its_body(number: int) -> None:
    one = body(number)
    view = _bodies.fitted(one, 128, 96, 0.85)
    made = _bodies.render(one, view, GREY)
    x, y, w, h = made.pose["box"]
    assert max(w / 96, h / 128) == pytest.approx(0.85, abs=0.03)
    poses.check("a", [made.pose], made.image.shape, COCO_17)
    assert all(joint[2] for joint in made.pose["joints"])
    assert made.pose["area"] == (made.mask > 0).sum()
    outside = made.mask[:, : int(x)].any() or made.mask[int(y + h) :].any()
    assert not outside
    for name in ("left_knee", "right_elbow", "left_hip", "nose"):
        column, row, _ = made.pose["joints"][COCO_17.index(name)]
        assert made.mask[int(row), int(column)] == 255
    assert (made.image[made.mask == 0] == 128).mean() > 0.9


def test_the_same_parameters_give_the_same_bytes() -> None:
    digest = hashlib.sha256()
    for number in range(5):
        one = body(number)
        made = _bodies.render(one, _bodies.fitted(one, 128, 96, 0.85, (0.2, -0.4)), GREY)
        digest.update(made.image.tobytes() + made.mask.tobytes())
        digest.update(json.dumps(made.pose).encode())
    assert digest.hexdigest() == DIGEST


DIGEST = "3e912a73535c8c9ee478644b9bf2d0599691c872ec2a3b975379ed0c72e8a923"
"""Of what this drew on an x86 with AVX-512; the same everywhere."""


def test_bones_keep_their_lengths_and_angles_turn_them() -> None:
    for number in range(20):
        places = _bodies.joints(body(number, 1.0))
        for side in ("left", "right"):
            for a, b, length in (("shoulder", "elbow", 0.29), ("elbow", "wrist", 0.25), ("hip", "knee", 0.43)):
                apart = np.subtract(places[f"{side}_{a}"], places[f"{side}_{b}"])
                assert np.linalg.norm(apart) == pytest.approx(length, abs=1e-4)
    rest = _bodies.joints(_bodies.Body({}))
    assert rest["left_wrist"] == pytest.approx((0.19, 0.05, 0.0))  # 0.49 up, 0.54 down
    raised = _bodies.joints(_bodies.Body({"left_shoulder_out": 90.0, "left_elbow": 90.0}))
    assert raised["left_elbow"] == pytest.approx((0.48, -0.49, 0.0))
    assert raised["left_wrist"] == pytest.approx((0.48, -0.49, -0.25))  # towards the camera
    turned = _bodies.joints(_bodies.Body({}, yaw=90.0))
    assert turned["nose"][0] == pytest.approx(-0.115)
    sitting = _bodies.joints(_bodies.Body({"right_hip_forward": 90.0, "right_knee": 90.0}))
    assert sitting["right_knee"] == pytest.approx((-0.10, 0.0, -0.43))
    assert sitting["right_ankle"] == pytest.approx((-0.10, 0.42, -0.43))


def test_angles_stay_within_the_limits_of_their_joints() -> None:
    for number in range(200):
        for name, angle in body(number, 1.0).angles.items():
            low, high = _bodies.LIMITS[name]
            assert low <= angle <= high
    with pytest.raises(RangeError, match="left_knee is -5 degrees; the joint goes from 0 to 140"):
        _bodies.joints(_bodies.Body({"left_knee": -5.0}))
    with pytest.raises(ParamsError, match="no joint has the angle 'tail'"):
        _bodies.joints(_bodies.Body({"tail": 1.0}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("test_photos", ["camera.png"], "camera.png is in train_photos and in test_photos"),
        ("contrast", 1.5, "contrast is 1.5; expected 0 to 1"),
        ("spread", -1.0, "spread is -1; expected 0 to 1"),
    ],
)
def test_wrong_options_are_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(ParamsError, match=f"capsule_bodies: {message}"):
        capsule_bodies.check({**defaults(capsule_bodies), option: value})


# --- the user's own --------------------------------------------------------------------------------


def changed(tmp_path: Path, change: object) -> dict[str, object]:
    """Return options of the miniature after its file for val was changed."""
    _, params = miniature_scenes.coco_keypoints(tmp_path)
    file = Path(str(params["root"])) / "annotations/person_keypoints_val2017.json"
    content = json.loads(file.read_text())
    change(content)  # type: ignore[operator]
    file.write_text(json.dumps(content))
    module = registry.find("datasets", "coco_keypoints")
    return {**defaults(module), **params, "name": "mine"}


def read(params: dict[str, object]) -> list[object]:
    return list(registry.find("datasets", "coco_keypoints").samples("test", {}, params))


def test_cocos_files_are_read(tmp_path: Path) -> None:
    params = changed(tmp_path, len)
    module = registry.find("datasets", "coco_keypoints")
    assert module.classes(params, {}) == ("nose", "left_hip", "right_hip")
    found = read(params)
    assert [one.key for one in found] == [f"mine/test/{n:012d}" for n in range(6)]  # type: ignore[attr-defined]
    assert found[1].fields["poses"][1] == {  # type: ignore[attr-defined]
        "box": [1.0, 2.0, 8.5, 6.0],
        "joints": [[4.0, 4.0, 2], [6.5, 8.0, 1], [0.0, 0.0, 0]],
        "area": 40.5,
    }
    assert found[3].fields["poses"][0]["crowd"]  # type: ignore[attr-defined]
    assert len(read({**params, "limit": 2})) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][0].update(keypoints=[1, 2, 2]), "annotation 0 has 3 numbers of keypoints; "),
        (lambda c: c["annotations"][0].update(image_id=99), "annotation 0 is of image 99, which is not there"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"annotation 0 has the bbox \[1, 2\]"),
        (lambda c: c["categories"][0].pop("keypoints"), "0 categories list keypoints; expected one, `person`"),
        (lambda c: c["images"].append(c["images"][0]), "two images have the id 0"),
    ],
)
def test_wrong_files_stop(tmp_path: Path, change: object, message: str) -> None:
    params = changed(tmp_path, change)
    with pytest.raises(DataError, match=message):
        read(params)


def test_a_picture_of_another_size_is_its_own_error_or_is_resized(tmp_path: Path) -> None:
    params = changed(tmp_path, lambda content: content["images"][0].update(width=50, height=40))
    first, *others = read(params)
    assert isinstance(first, DataError)
    assert "its entry 50 x 40; joints would lie elsewhere" in str(first)
    assert all(isinstance(one, Sample) for one in others)
    assert read({**params, "resize": True})[0].fields["image"].shape == (40, 50, 3)  # type: ignore[attr-defined]


def test_published_predictions_are_looked_up(tmp_path: Path) -> None:
    model = registry.find("models", "pose_predictions")
    (tmp_path / "mine").mkdir()
    results = [{"image_id": 7, "category_id": 1, "keypoints": [1, 2, 0.5, 3, 4, 0.25], "score": s} for s in (0.5, 0.75)]
    file = tmp_path / "mine/test.keypoints.json"
    file.write_text(json.dumps(results))
    params, weights = {"path": str(tmp_path)}, tmp_path.parent / f"{tmp_path.name}.safetensors"
    weights.write_bytes(nets.state_bytes(model.pretrained(params, {})))
    predictor = model.load(weights, params, ("a", "b"), "cpu", {})
    image = np.zeros((9, 9, 3), np.uint8)
    some = [Sample(f"mine/test/{n}", {"image": image, "poses": []}) for n in ("000007", "8")]
    found = predictor(some)
    assert found["joints"][0].tolist() == [[[1, 2, 0.5], [3, 4, 0.25]]] * 2
    assert found["scores"][0].tolist() == [0.5, 0.75]
    assert found["joints"][1].shape == (0, 2, 3)
    with pytest.raises(ModelError, match=r"other/test.keypoints.json is not there; published"):
        predictor([Sample("other/test/1", {"image": image, "poses": []})])
    with pytest.raises(ModelError, match="image 7 has a person of 6 numbers; expected 9"):
        model.read(file, 3)
    file.write_text("[{}]")
    with pytest.raises(ModelError, match="is no list of image_id, category_id, keypoints and score"):
        model.read(file, 2)
