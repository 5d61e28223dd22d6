"""What poses are is checked in words, joints follow the pixels of a moved picture, records say what they should."""

import numpy as np
import pytest
from scipy import ndimage

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, poses, skeletons
from shiftbench.data.skeletons import BLAZEPOSE_33, COCO_17, SMPL_24
from shiftbench.evaluation.corruption import corrupt
from shiftbench.plugins.tasks import LabelSpace, keypoints

NAMES = ("nose", "left_hip", "right_hip")
GOOD = {"joints": [[3.0, 4, 2], [5.5, 9, 1], [0, 0, 0]], "box": [1.0, 2.0, 10.0, 12.0]}
MOVING = [name for name in registry.names("shifts") if getattr(registry.find("shifts", name), "MOVES", False)]


def sample(*persons: object, side: tuple[int, int] = (20, 30)) -> Sample:
    return Sample("toy/test/0", {"image": np.zeros((*side, 3), np.uint8), "poses": list(persons)})


@pytest.mark.parametrize(
    ("person", "error", "message"),
    [
        ("no dict", DataError, "toy/test/0: person 1 is 'no dict'; expected a dict"),
        ({"joints": GOOD["joints"]}, DataError, "person 1 is .*expected a dict with joints"),
        ({**GOOD, "joints": [[3.0, 4, 2]]}, DataError, "person 1 has 1 joints; the dataset has 3 joints"),
        ({**GOOD, "joints": 7}, DataError, "person 1 has int joints; the dataset has 3 joints"),
        ({**GOOD, "joints": [[3.0, 4], *GOOD["joints"][1:]]}, DataError, r"nose, is .*: its visibility is missing"),
        ({**GOOD, "joints": [[3.0, float("nan"), 2], *GOOD["joints"][1:]]}, DataError, "nose, is .*three finite"),
        ({**GOOD, "joints": [[3.0, 4, 3], *GOOD["joints"][1:]]}, RangeError, "nose, has the visibility 3; COCO has 0"),
        ({**GOOD, "joints": [[31.0, 4, 2], *GOOD["joints"][1:]]}, RangeError,
         r"nose, at \(31, 4\) lies outside of the picture of 30 x 20 pixels; a joint that is not in"),
        ({**GOOD, "box": [1, 2, 0, 3]}, RangeError, "person 1: box 0 is 0 pixels wide"),
        ({**GOOD, "joints3d": [[0, 0, 0]]}, DataError, "person 1 has 1 joints3d; the dataset has 3"),
        ({**GOOD, "joints3d": [[0, 0]] * 3}, DataError, "person 1: joints3d are three numbers each"),
    ],
)  # fmt: skip
def test_poses_are_checked(person: object, error: type[Exception], message: str) -> None:
    keypoints.check(sample(GOOD), list(NAMES))
    keypoints.check(sample(), list(NAMES))
    outside = {**GOOD, "joints": [*GOOD["joints"][:2], [-5.0, 99, 0]]}
    keypoints.check(sample(outside), list(NAMES))  # what is not labelled may lie anywhere
    with pytest.raises(error, match=message):
        keypoints.check(sample(GOOD, person), list(NAMES))
    with pytest.raises(DataError, match="toy/test/0: poses are a list of dicts; got str"):
        keypoints.check(sample().with_field("poses", "x"), list(NAMES))


def test_the_codec_keeps_poses() -> None:
    data = codecs.encode(keypoints.FIELDS["poses"], [GOOD])
    assert codecs.decode(keypoints.FIELDS["poses"], data) == [GOOD]
    assert keypoints.shown(sample(GOOD))["poses"] == [GOOD["joints"]]


def test_skeletons() -> None:
    assert {name: len(own) for name, own in skeletons.SKELETONS.items()} == {
        "coco_17": 17,
        "blazepose_33": 33,
        "smpl_24": 24,
    }
    # MediaPipe's and SMPL's published numbers of some joints
    assert [BLAZEPOSE_33[i] for i in (0, 7, 11, 16, 23, 28, 32)] == [
        *("nose", "left_ear", "left_shoulder", "right_wrist", "left_hip", "right_ankle"),
        "right_foot_index",
    ]
    assert [SMPL_24[i] for i in (0, 4, 8, 12, 15, 17, 20, 23)] == [
        *("pelvis", "left_knee", "right_ankle", "neck", "head", "right_shoulder", "left_wrist"),
        "right_hand",
    ]
    assert (skeletons.mapping(BLAZEPOSE_33, COCO_17) >= 0).all()
    lacking = skeletons.mapping(SMPL_24, COCO_17) < 0
    assert [name for name, no in zip(COCO_17, lacking, strict=True) if no] == list(COCO_17[:5])
    for names in skeletons.SKELETONS.values():
        turned = skeletons.mirror_indices(names)
        assert (turned[turned] == np.arange(len(names))).all()
        middle = [n for n, o in zip(names, turned, strict=True) if names[o] == n and n != "mouth_left"]
        assert not any("left" in n or "right" in n for n in middle)
        assert all(names[a] != names[b] for a, b in skeletons.bones(names))


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("severity", [1.0, 3.0, 5.0])
def test_joints_lie_where_their_pixels_went(name: str, severity: float) -> None:
    """Blobs of light at joints of a black picture, moved as pixels: their middles are where the joints are."""
    module, random = registry.find("shifts", name), np.random.default_rng(int(severity))
    border = {"border": "constant"} if "border" in defaults(module) else {}
    seen = 0
    for number in range(6):
        height, width = (int(side) for side in random.integers(60, 140, 2))
        x, y = float(random.uniform(12, width - 12)), float(random.uniform(12, height - 12))
        columns, rows = np.arange(width) + 0.5 - x, np.arange(height) + 0.5 - y
        blob = 255 * np.exp(-(columns**2 + rows[:, None] ** 2) / 3)
        pose = {"joints": [[x, y, 2]], "box": [0.0, 0.0, float(width), float(height)]}
        image = np.rint(np.repeat(blob[..., None], 3, axis=2)).astype(np.uint8)
        one = Sample(f"toy/test/{number}", {"image": image, "poses": [pose]})
        shifted = corrupt(one, name, severity, **border)
        light = shifted.fields["image"][..., 0].astype(float)
        ((joint,),) = [p["joints"] for p in shifted.fields["poses"]]
        if not joint[2]:
            assert light.max() < 128  # its light is gone, or on the edge
            continue
        edge = min(joint[0], joint[1], width - joint[0], height - joint[1])
        if edge < 8:
            continue  # what is cut off has another middle
        down, right = ndimage.center_of_mass(light)
        assert np.hypot(right + 0.5 - joint[0], down + 0.5 - joint[1]) < (1.0 if name == "elastic_transform" else 0.6)
        seen += 1
    assert seen or severity > 3


def test_a_joint_that_leaves_the_picture_is_no_longer_labelled() -> None:
    def right(mask: poses.Pixels) -> poses.Pixels:
        return np.pad(mask, ((0, 0), (12, 0)))[:, : mask.shape[1]]

    whole = {**GOOD, "joints": [[3.0, 4, 2], [25.5, 9, 1], [0, 0, 0]], "area": 60.0}
    (found,) = poses.move_poses([whole], (20, 30), right)
    assert found["joints"] == [[15.0, 4.0, 2], [0.0, 0.0, 0], [0.0, 0.0, 0]]
    assert found["box"] == [13.0, 2.0, 10.0, 12.0]
    assert found["area"] == 60.0
    assert poses.move_poses([{**GOOD, "box": [20.0, 2.0, 9.0, 9.0]}], (20, 30), right) == []


def found(joints: object, scores: object, **more: object) -> dict[str, np.ndarray]:
    made = {}
    for name, value in {"joints": joints, "scores": scores, **more}.items():
        made[name] = np.empty(1, dtype=object)
        made[name][0] = np.array(value, dtype=np.float32)
    return made


def test_a_row_per_image() -> None:
    space = LabelSpace(NAMES, NAMES)
    table = keypoints.rows([sample(GOOD)], found([GOOD["joints"]], [0.5]), space, "full")
    assert table.schema.equals(keypoints.schema(3, "full"))
    row = table.to_pylist()[0]
    assert (row["width"], row["height"], row["oks_e9"], row["missed"]) == (30, 20, [10**9], [False])
    assert row["true_joints"] == [3, 4, 2, 5.5, 9, 1, 0, 0, 0]
    assert row["errors_e9"] == [-1, -1, -1]  # no shoulder is known, so there is no torso
    nothing = {name: np.empty(0, dtype=object) for name in ("joints", "scores")}
    assert len(keypoints.rows([], nothing, space, "full")) == 0
    nobody = keypoints.rows([sample()], found(np.zeros((0, 3, 3)), []), space, "full").to_pylist()
    assert nobody[0]["scores"] == nobody[0]["true_areas"] == []


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": np.zeros((1, 3))}, r"one entry per image \(1\); this one gives \{'logits': 1\}"),
        (found([[[0, 0, 1]] * 2], [0.5]), r"joints of shape \(1, 2, 3\) for 1 scores; expected \(1, 3, 3\)"),
        (found([[[0, 0, np.inf]] * 3], [0.5]), "'toy/test/0': joints are not all finite"),
        (found([[[0, 0, 1]] * 3], [np.nan]), "'toy/test/0': a score is not finite"),
        (found([[[0, 0, 1]] * 3], [1], joints3d=[[0, 0, 1]]), r"joints3d of shape \(1, 3\) for 1 scores"),
    ],
)
def test_bad_predictions_are_named(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        keypoints.rows([sample(GOOD)], outputs, LabelSpace(NAMES, NAMES), "full")
