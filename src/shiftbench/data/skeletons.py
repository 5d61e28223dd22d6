"""Skeletons: names of joints in the order of well-known data, their sides, bones and OKS constants.

A joint is the same in all skeletons in which it has the same name, as a class is in all datasets; so a model's joints
are mapped to a dataset's by name (`mapping`). SMPL's names are MMHuman3D's.

Source: COCO's joints and OKS constants, Lin et al. 2014, arXiv:1405.0312, and pycocotools 2.0.11 (`kpt_oks_sigmas`);
BlazePose's 33 landmarks, Bazarevsky et al. 2020, arXiv:2006.10204, and MediaPipe 0.10.14 (`PoseLandmark`); SMPL's 24
joints, Loper et al. 2015, doi:10.1145/2816795.2818013.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIDES = ("left", "right")


def _both(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts for side in _SIDES)


_FACE = ("left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
         "left_ear", "right_ear", "mouth_left", "mouth_right")  # fmt: skip
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_17 = ("nose", *_both("eye", "ear", *_LIMBS))
BLAZEPOSE_33 = (
    *("nose", *_FACE, *_both("shoulder", "elbow", "wrist", "pinky", "index", "thumb")),
    *_both("hip", "knee", "ankle", "heel", "foot_index"),
)
SMPL_24 = (
    *("pelvis", *_both("hip"), "spine_1", *_both("knee"), "spine_2", *_both("ankle"), "spine_3"),
    *(*_both("foot"), "neck", *_both("collar"), "head", *_both("shoulder", "elbow", "wrist", "hand")),
)
SKELETONS = {"coco_17": COCO_17, "blazepose_33": BLAZEPOSE_33, "smpl_24": SMPL_24}

LIMB_JOINTS = _both(*_LIMBS)
"""The twelve joints of arms and legs."""
BONES = (
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    *((f"{side}_{a}", f"{side}_{b}") for side in _SIDES for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"),
        ("eye", "ear"))),
    *(("nose", "left_eye"), ("nose", "right_eye")),
)  # fmt: skip
"""Pairs of names that a picture joins by a line."""
SIGMAS = dict(
    zip(
        COCO_17,
        (0.026, *(s for s in (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089) for _ in "lr")),
        strict=True,
    )
)
"""OKS's sigma of each joint of COCO; OKS ignores other joints."""
AREA = 0.53
"""Share of the box that a person without a measured area covers (MMPose's rule)."""


def mapping(source: Sequence[str], target: Sequence[str]) -> NDArray[np.int64]:
    """Index in `source` of each joint of `target`, int64 (len(target),); -1: it is not in `source`.

    Example:
        >>> mapping(SMPL_24, ("left_knee", "nose")).tolist()
        [4, -1]
    """
    indices = {name: index for index, name in enumerate(source)}
    return np.array([indices.get(name, -1) for name in target], dtype=np.int64)


def mirror_indices(names: Sequence[str]) -> NDArray[np.int64]:
    """Index of the joint on the other side of each joint; a joint in the middle has its own index.

    Example:
        >>> mirror_indices(("nose", "left_eye", "right_eye")).tolist()
        [0, 2, 1]
    """
    opposite = {"left": "right", "right": "left"}
    mirrored_names = ["_".join(opposite.get(part, part) for part in name.split("_")) for name in names]
    indices = mapping(names, mirrored_names)
    return np.where(indices < 0, np.arange(len(names)), indices)


def bones(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices of joints that a picture joins by a line."""
    indices = {name: index for index, name in enumerate(names)}
    return [(indices[a], indices[b]) for a, b in BONES if a in indices and b in indices]
