"""Skeletons: the names of joints, in the order of well-known data, and what follows from a name.

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
"""OKS's sigma of each joint of COCO; a joint that is not there has no part in OKS."""
AREA = 0.53
"""Of its box, the share that a person whose area nobody measured is taken to cover (MMPose's rule)."""


def mapping(source: Sequence[str], target: Sequence[str]) -> NDArray[np.int64]:
    """For each joint of `target` its place in `source`, -1 where it has none; int64 (len(target),).

    Example:
        >>> mapping(SMPL_24, ("left_knee", "nose")).tolist()
        [4, -1]
    """
    at = {name: place for place, name in enumerate(source)}
    return np.array([at.get(name, -1) for name in target], dtype=np.int64)


def mirror_indices(names: Sequence[str]) -> NDArray[np.int64]:
    """For each joint the place of the one on the other side, its own for a joint in the middle.

    Example:
        >>> mirrored(("nose", "left_eye", "right_eye")).tolist()
        [0, 2, 1]
    """
    other = {"left": "right", "right": "left"}
    turned = ["_".join(other.get(part, part) for part in name.split("_")) for name in names]
    found = mapping(names, turned)
    return np.where(found < 0, np.arange(len(names)), found)


def bones(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places that a picture joins by a line."""
    at = {name: place for place, name in enumerate(names)}
    return [(at[a], at[b]) for a, b in BONES if a in at and b in at]
