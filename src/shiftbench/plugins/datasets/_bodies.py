"""Articulated bodies of capsules: from angles and colours to a picture with exact joints; helper of datasets.

What keypoint systems are rehearsed on. A body has sixteen angles (`ANGLES`), in degrees within `LIMITS`, a turn of
the whole (`yaw` about the upright axis, `roll` in the picture's plane) and colours; a picture of it comes with its
mask, its box, and COCO's seventeen joints in the picture and in space. The joints of limbs lie on the axes of the
drawn limbs.

Bytes are the same on every CPU: sines from a table (`shifts/_sines.py`; angles are whole parts of 360 / 8,192
degrees), all else single float64 operations.

Source: ours, in place of SMPL (Loper et al. 2015) and its renderer in PoseExaminer (Liu et al. 2023,
arXiv:2303.07337), whose licence forbids to ship it; the proportions are those of a grown person of 1.7 m.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.data.poses import Pose
from shiftbench.data.skeletons import COCO_17
from shiftbench.plugins.datasets import _capsules
from shiftbench.plugins.datasets._capsules import View
from shiftbench.plugins.shifts import _sines

Point = tuple[float, float, float]
Matrix = tuple[Point, Point, Point]
Pixels = NDArray[np.uint8]

LIMITS: dict[str, tuple[float, float]] = {
    "spine_forward": (-20.0, 60.0), "spine_side": (-30.0, 30.0),
    **{f"{side}_{name}": limits for side in ("left", "right") for name, limits in {
        "shoulder_forward": (-60.0, 170.0), "shoulder_out": (0.0, 150.0), "shoulder_twist": (-80.0, 80.0),
        "elbow": (0.0, 145.0), "hip_forward": (-20.0, 110.0), "hip_out": (-10.0, 45.0), "knee": (0.0, 140.0),
    }.items()},
}  # fmt: skip
"""Smallest and largest angle of each joint, in degrees; 0 stands upright with hanging arms."""
ANGLES = tuple(LIMITS)
REST: dict[str, float] = {
    **dict.fromkeys(ANGLES, 0.0),
    **{f"{side}_{name}": angle for side in ("left", "right") for name, angle in {
        "shoulder_forward": 20.0, "shoulder_out": 25.0, "elbow": 30.0, "hip_forward": 10.0, "hip_out": 8.0,
        "knee": 15.0}.items()},
}  # fmt: skip
"""Around what plausible poses lie."""
DISTANCE = 4.0
"""Metres from the camera to the pelvis."""

# metres: half widths, lengths, heights above the pelvis
_HIP, _SHOULDER, _NECK, _HEAD = 0.10, 0.19, 0.52, 0.68
_UPPER, _LOWER, _HAND, _THIGH, _SHIN, _FOOT = 0.29, 0.25, 0.08, 0.43, 0.42, 0.15
_FACE: dict[str, Point] = {
    "nose": (0.0, -0.66, -0.115), "left_eye": (0.036, -0.70, -0.095), "right_eye": (-0.036, -0.70, -0.095),
    "left_ear": (0.098, -0.68, 0.0), "right_ear": (-0.098, -0.68, 0.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """What a body is.

    Attributes:
        angles: by name, in degrees; those that are not named are 0.
        yaw: turn about the upright axis, in degrees; 0 faces the camera.
        roll: turn in the plane of the picture, in degrees, clockwise.
        colours: of `skin`, `shirt`, `trousers`, `hair` and `shoes`, red, green and blue of 0 to 255.
        girth: factor of all radii.
    """

    angles: Mapping[str, float]
    yaw: float = 0.0
    roll: float = 0.0
    colours: Mapping[str, Sequence[int]] = field(default_factory=dict)
    girth: float = 1.0

    def check(self) -> None:
        """Refuse what no body can be.

        Raises:
            ParamsError: an angle of another name.
            RangeError: an angle outside of its joint's limits.
        """
        for name, angle in self.angles.items():
            if name not in LIMITS:
                raise ParamsError(f"no joint has the angle {name!r}; known: {', '.join(LIMITS)}")
            low, high = LIMITS[name]
            if not low - 1e-9 <= angle <= high + 1e-9:
                raise RangeError(f"{name} is {angle:g} degrees; the joint goes from {low:g} to {high:g}")


COLOURS: dict[str, tuple[int, int, int]] = {
    "skin": (224, 172, 137), "shirt": (180, 60, 60), "trousers": (50, 60, 110), "hair": (60, 40, 25),
    "shoes": (40, 40, 40),
}  # fmt: skip


class Rendered(NamedTuple):
    """A picture of a body.

    Attributes:
        image: uint8 (h, w, 3).
        mask: what is body, 255 there, uint8 (h, w).
        pose: its joints, box, area and joints in space, as `data/poses.py` has them.
    """

    image: Pixels
    mask: Pixels
    pose: Pose


def joints(body: Body) -> dict[str, Point]:
    """COCO's joints, and `pelvis`, `neck`, `head`, hands and feet; metres from the pelvis."""
    body.check()
    angle = {**dict.fromkeys(ANGLES, 0.0), **body.angles}
    root = _product(_about_z(body.roll), _about_y(body.yaw))
    trunk = _product(root, _about_z(angle["spine_side"]), _about_x(angle["spine_forward"]))
    points: dict[str, Point] = {"pelvis": (0.0, 0.0, 0.0), "neck": _apply(trunk, (0.0, -_NECK, 0.0))}
    points["head"] = _apply(trunk, (0.0, -_HEAD, 0.0))
    points |= {name: _apply(trunk, place) for name, place in _FACE.items()}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        own = {name: angle[f"{side}_{name}"] for name in _SIDED}
        points |= {f"{side}_{name}": place for name, place in _arm(trunk, sign, own).items()}
        points |= {f"{side}_{name}": place for name, place in _leg(root, sign, own).items()}
    return points


_SIDED = tuple(name.removeprefix("left_") for name in ANGLES if name.startswith("left_"))


def _arm(trunk: Matrix, sign: float, angle: Mapping[str, float]) -> dict[str, Point]:
    shoulder = _apply(trunk, (sign * _SHOULDER, 0.03 - _NECK, 0.0))
    turned = _product(
        trunk,
        _about_z(-sign * angle["shoulder_out"]),
        _about_x(-angle["shoulder_forward"]),
        _about_y(sign * angle["shoulder_twist"]),
    )
    bent = _product(turned, _about_x(-angle["elbow"]))
    elbow = _plus(shoulder, _apply(turned, (0.0, _UPPER, 0.0)))
    wrist = _plus(elbow, _apply(bent, (0.0, _LOWER, 0.0)))
    return {"shoulder": shoulder, "elbow": elbow, "wrist": wrist,
            "hand": _plus(wrist, _apply(bent, (0.0, _HAND, 0.0)))}  # fmt: skip


def _leg(root: Matrix, sign: float, angle: Mapping[str, float]) -> dict[str, Point]:
    hip = _apply(root, (sign * _HIP, 0.0, 0.0))
    turned = _product(root, _about_z(-sign * angle["hip_out"]), _about_x(-angle["hip_forward"]))
    bent = _product(turned, _about_x(angle["knee"]))
    knee = _plus(hip, _apply(turned, (0.0, _THIGH, 0.0)))
    ankle = _plus(knee, _apply(bent, (0.0, _SHIN, 0.0)))
    return {"hip": hip, "knee": knee, "ankle": ankle,
            "foot": _plus(ankle, _apply(bent, (0.0, 0.05, -_FOOT)))}  # fmt: skip


def _parts() -> list[tuple[str, str, float, float, str]]:
    """The capsules: two joints, the radius in metres at each, and what colour it has."""
    both = ("left", "right")
    return [
        ("left_hip", "right_hip", 0.105, 0.105, "trousers"),
        ("pelvis", "neck", 0.125, 0.10, "shirt"),
        ("left_shoulder", "right_shoulder", 0.07, 0.07, "shirt"),
        ("neck", "head", 0.055, 0.055, "skin"),
        ("head", "head", 0.105, 0.105, "skin"),
        ("crown", "crown", 0.106, 0.106, "hair"),
        *((f"{side}_eye", f"{side}_eye", 0.018, 0.018, "hair") for side in both),
        ("nose", "nose", 0.02, 0.02, "skin"),
        *((f"{side}_ear", f"{side}_ear", 0.025, 0.025, "skin") for side in both),
        *((f"{side}_shoulder", f"{side}_elbow", 0.058, 0.047, "shirt") for side in both),
        *((f"{side}_elbow", f"{side}_wrist", 0.045, 0.034, "skin") for side in both),
        *((f"{side}_wrist", f"{side}_hand", 0.04, 0.036, "skin") for side in both),
        *((f"{side}_hip", f"{side}_knee", 0.088, 0.062, "trousers") for side in both),
        *((f"{side}_knee", f"{side}_ankle", 0.058, 0.042, "trousers") for side in both),
        *((f"{side}_ankle", f"{side}_foot", 0.05, 0.038, "shoes") for side in both),
    ]


def capsules(body: Body) -> tuple[NDArray[np.float64], Pixels]:
    """Capsules of a body, float64 (n, 8), metres from the camera, and their colours, uint8 (n, 3)."""
    places = joints(body)
    toward, ear = places["nose"], places["head"]
    places["crown"] = tuple(h - 0.25 * (n - h) for h, n in zip(ear, toward, strict=True))  # type: ignore[assignment]
    colours = {**COLOURS, **body.colours}
    rows, tints = [], []
    for one, other, wide, narrow, colour in _parts():
        a, b = _away(places[one]), _away(places[other])
        rows.append((*a, wide * body.girth, *b, narrow * body.girth))
        tints.append(tuple(colours[colour]))
    return np.array(rows, dtype=np.float64), np.array(tints, dtype=np.uint8)


def fitted(body: Body, height: int, width: int, share: float, shift: tuple[float, float] = (0.0, 0.0)) -> View:
    """The camera for which a body's silhouette takes `share` of the picture, along the side that is tighter.

    Args:
        body: what is seen.
        height: of the picture.
        width: of the picture.
        share: 0 to 1.
        shift: of the middle, as shares of what is free on either side, -1 to 1, right and down.
    """
    rows, _ = capsules(body)
    low, high = [np.inf, np.inf], [-np.inf, -np.inf]
    for x, y, z, r, *other in rows.tolist():
        for a, b, c, d in ((x, y, z, r), tuple(other)):
            for axis, value in enumerate((a, b)):
                low[axis] = min(low[axis], (value - d) / c)
                high[axis] = max(high[axis], (value + d) / c)
    spans = [b - a for a, b in zip(low, high, strict=True)]
    focal = share * min(width / spans[0], height / spans[1])
    middle = [
        size / 2 + off * (size - focal * span) / 2 - focal * (a + b) / 2
        for size, off, span, a, b in zip((width, height), shift, spans, low, high, strict=True)
    ]
    return View(height, width, focal, middle[0], middle[1])


def render(body: Body, view: View, background: Pixels) -> Rendered:
    """A picture of a body over a background, uint8 (h, w, 3).

    Raises:
        RangeError: an angle outside of its limits, or a body that is not in the picture.
    """
    drawn = _capsules.draw(*capsules(body), view)
    cover = drawn.cover.astype(np.int64)[..., None]
    mixed = (drawn.colours * cover + background.astype(np.int64) * (4 - cover) + 2) // 4
    mask = np.where(drawn.cover >= 2, 255, 0).astype(np.uint8)
    return Rendered(mixed.astype(np.uint8), mask, _pose(body, view, mask, drawn.depth))


def _pose(body: Body, view: View, mask: Pixels, depth: NDArray[np.float64]) -> Pose:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise RangeError(f"the body is not in the picture of {view.width} x {view.height} pixels")
    left, top = int(columns[0]), int(rows[0])
    box = [float(v) for v in (left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)]
    places = joints(body)
    return {
        "joints": [_seen(places[name], view, depth) for name in COCO_17],
        "box": box,
        "area": float(np.count_nonzero(mask)),
        "joints3d": [[round(v, 6) for v in places[name]] for name in COCO_17],
    }


def _seen(place: Point, view: View, depth: NDArray[np.float64]) -> list[float]:
    """X, y and visibility of a joint: hidden where another part lies nearer to the camera."""
    away = _away(place)
    x, y = view.project(away)
    if not (0 <= x < view.width and 0 <= y < view.height):
        return [0.0, 0.0, 0]
    near = depth[int(y * _capsules.FINE), int(x * _capsules.FINE)]
    return [round(x, 4), round(y, 4), 2 if near > away[2] - _THICK else 1]


_THICK = 0.14
"""Metres: what lies further in front of a joint is no part of its own limb."""


# ------------------------------------------------------------------ turns, in single operations


def _away(point: Point) -> Point:
    return point[0], point[1], point[2] + DISTANCE


def _turn(degrees: float) -> tuple[float, float]:
    phase = round(degrees * _sines.TURN / 360)
    return _sines.cosine(phase), _sines.sine(phase)


def _about_x(degrees: float) -> Matrix:
    c, s = _turn(degrees)
    return (1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)


def _about_y(degrees: float) -> Matrix:
    c, s = _turn(degrees)
    return (c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)


def _about_z(degrees: float) -> Matrix:
    c, s = _turn(degrees)
    return (c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)


def _apply(matrix: Matrix, point: Point) -> Point:
    x, y, z = point
    product = [row[0] * x + row[1] * y + row[2] * z for row in matrix]
    return product[0], product[1], product[2]


def _product(first: Matrix, *others: Matrix) -> Matrix:
    for other in others:
        columns = [_apply(first, (other[0][c], other[1][c], other[2][c])) for c in range(3)]
        first = tuple(tuple(columns[c][r] for c in range(3)) for r in range(3))  # type: ignore[assignment]
    return first


def _plus(one: Point, other: Point) -> Point:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


# ------------------------------------------------------------------ bodies at random


def drawn(rng: RandomStream, spread: float, yaw: float, roll: float) -> Body:
    """A random body: angles around `REST`, each by the mean of three uniform words, and random colours.

    Args:
        rng: takes 64 uniform words.
        spread: share of the way from rest to the limits that angles may go, 0 to 1.
        yaw: largest turn about the upright axis, in degrees.
        roll: largest turn in the picture, likewise.
    """
    words = [float(word) for word in rng.uniform(64)]
    swings = [2 * (words[i] + words[i + 1] + words[i + 2]) / 3 - 1 for i in range(0, 48, 3)]
    angles = {}
    for name, swing in zip(ANGLES, swings, strict=True):
        low, high = LIMITS[name]
        rest = REST[name]
        angles[name] = rest + spread * 1.6 * swing * ((high - rest) if swing > 0 else (rest - low))
        angles[name] = min(high, max(low, angles[name]))
    rest_of = iter(words[48:])
    turns = yaw * (2 * next(rest_of) - 1), roll * (2 * next(rest_of) - 1)
    skin = _SKINS[int(next(rest_of) * len(_SKINS))]
    colours: dict[str, Sequence[int]] = {"skin": skin, "hair": _HAIRS[int(next(rest_of) * len(_HAIRS))]}
    for name in ("shirt", "trousers", "shoes"):
        colours[name] = [int(30 + 200 * next(rest_of)) for _ in range(3)]
    return Body(angles, *turns, colours, girth=0.9 + 0.3 * next(rest_of))


_SKINS = ((244, 208, 177), (224, 172, 137), (198, 134, 94), (141, 85, 54), (86, 52, 36))
_HAIRS = ((30, 22, 18), (60, 40, 25), (120, 80, 40), (190, 160, 90), (150, 150, 150))
