"""Regions: a known box is recovered, the easiest picture decides, limits hold whatever is drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.base.errors import RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers._regions import Growth, Limits, Prior, Region, Width, grow

WIDTH = Width(0.105, 0.13)
LIMITS = Limits(np.full(3, -1.0), np.full(3, 1.0))
BOX = Limits(np.array([-0.30, -0.20, -1.0]), np.array([0.25, 0.40, 1.0]))
"""Where the model fails; along the last coordinate it does up to the limits."""


def words(name: str = "one") -> RandomStream:
    return RandomStream(0, "region", "test", name)


def inside(points: np.ndarray) -> np.ndarray:
    return ((points >= BOX.low) & (points <= BOX.high)).all(axis=1)


def errors(points: np.ndarray) -> np.ndarray:
    """0.11 in the box, 0.05 outside."""
    return np.where(inside(points), 0.11, 0.05)


def all_of(points: np.ndarray) -> np.ndarray:
    return np.ones(len(points), dtype=bool)


def grown(how: Growth, plausible=all_of, error=errors, first: float = 0.11, name: str = "one"):
    start = Region.around(np.zeros(3), 0.03, LIMITS)
    return grow(start, error, Prior(LIMITS, plausible), how, first, words(name))


def test_a_known_box_is_recovered_within_a_step() -> None:
    how = Growth(0.10, Width(0.105, 0.13, 0.02, 0.02), 900, faces=1)
    region, steps = grown(how)
    np.testing.assert_allclose(region.high, BOX.high, atol=0.0201)
    np.testing.assert_allclose(region.low, BOX.low, atol=0.0201)
    assert steps[-1].size == region.size == pytest.approx(np.linalg.norm(region.high - region.low))
    assert 0 in [step.moved for step in steps]


def test_the_easiest_picture_decides_and_not_the_mean() -> None:
    """Half of what lies beside the box is easy: its mean is a failure, and no face moves."""

    def half(points: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(points)) % 2 == 0, 0.5, 0.05)

    region, steps = grown(Growth(0.10, WIDTH, 20), error=half)
    assert [step.moved for step in steps] == [0] * 20
    assert region.size == pytest.approx(0.06 * np.sqrt(3))


def test_accepted_faces_move_by_the_width_of_the_shell() -> None:
    region, (step,) = grown(Growth(0.10, WIDTH, 1, faces=2), first=0.11)
    g = 0.005 + 0.2 * 0.045  # a fifth of the way from 0.105 to 0.13
    assert step.width == pytest.approx(g)
    sides = np.concatenate([region.high, -region.low])
    assert sorted(sides) == pytest.approx([0.03] * 4 + [0.03 + g] * 2)
    assert [WIDTH.at(e) for e in (0.0, 0.105, 0.13, 1.0)] == pytest.approx([0.005] * 2 + [0.05] * 2)


def test_the_width_follows_the_last_iteration() -> None:
    _, steps = grown(Growth(0.10, WIDTH, 2), first=1.0)
    assert [step.width for step in steps] == pytest.approx([0.05, 0.014])


@pytest.mark.parametrize(("bad", "moves"), [(0, True), (1, True), (2, False)])
def test_one_implausible_pose_beside_a_face_is_accepted_two_are_not(bad: int, moves: bool) -> None:
    def plausible(points: np.ndarray) -> np.ndarray:
        return np.arange(len(points)) >= bad

    _, (step,) = grown(Growth(0.10, WIDTH, 1, faces=3, poses=4), plausible)
    assert step.moved == (3 if moves else 0)


def test_shells_lie_outside_of_the_box_by_no_more_than_their_width() -> None:
    seen = []

    def error(points: np.ndarray) -> np.ndarray:
        seen.append(points)
        return np.zeros(len(points))

    grown(Growth(0.10, WIDTH, 9, faces=4, poses=6), error=error, first=0.13)
    for points in seen:
        beyond = np.abs(points) - 0.03
        assert ((beyond > 1e-9).sum(axis=1) == 1).all()
        assert beyond.max() <= 0.05
        assert len(points) == 24


def test_faces_are_drawn_again_every_third_iteration() -> None:
    """Which coordinates leave the box says which faces were chosen."""
    seen = []

    def error(points: np.ndarray) -> np.ndarray:
        out = (np.abs(points) > 0.03 + 1e-9) * np.sign(points)
        seen.append({tuple(row) for row in out.astype(int)})
        return np.zeros(len(points))

    grown(Growth(0.10, WIDTH, 30, faces=2, poses=8), error=error)
    assert all(seen[at] == seen[at - at % 3] for at in range(30))
    assert len({frozenset(one) for one in seen}) > 1


def test_faces_at_a_limit_are_drawn_less_and_less() -> None:
    limits = Limits(np.full(2, -1.0), np.array([0.0, 1.0]))
    seen = []

    def error(points: np.ndarray) -> np.ndarray:
        seen.append(bool((points[:, 0] == 0).all() and (np.abs(points[:, 1]) <= 0.03).all()))
        return np.zeros(len(points))

    start = Region.around(np.zeros(2), 0.03, limits)
    how = Growth(0.10, WIDTH, 60, redraw=1, faces=1, poses=3)
    grow(start, error, Prior(limits, all_of), how, 0.1, words())
    assert sum(seen[20:]) == 0


@settings(max_examples=40, deadline=None)
@given(centre=st.lists(st.floats(-1, 1), min_size=3, max_size=3), name=st.text(max_size=3), width=st.floats(0.005, 0.6))
def test_no_pose_of_a_region_leaves_the_limits(centre: list[float], name: str, width: float) -> None:
    def error(points: np.ndarray) -> np.ndarray:
        assert (points >= LIMITS.low).all()
        assert (points <= LIMITS.high).all()
        return np.ones(len(points))

    start = Region.around(np.array(centre), 0.03, LIMITS)
    how = Growth(0.10, Width(0.105, 0.13, width, width), 12, poses=3)
    region, _ = grow(start, error, Prior(LIMITS, all_of), how, 1.0, words(name))
    points = region.widened(0.2, LIMITS).drawn(words(name), 50)
    assert (points >= LIMITS.low).all()
    assert (points <= LIMITS.high).all()
    assert (region.low <= start.low).all()
    assert (region.high >= start.high).all()


def test_a_centre_outside_of_the_limits_is_refused() -> None:
    with pytest.raises(RangeError, match="lies outside of the limits; clip it"):
        Region.around(np.array([0.0, 1.5, 0.0]), 0.03, LIMITS)
