"""What a clip has for each frame: bad input is told, and frames follow the speech."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.data import frames


def clip(samples: int = 6400, count: int = 10, **fields: Any) -> Sample:
    values = np.stack([np.arange(count) * 100, np.arange(count) * 50], axis=1)
    targets = frames.pack_targets(("openness", "width"), values)
    return Sample("toy/test/0", {"audio": np.zeros(samples, np.int16), "targets": targets, **fields})


def test_a_clip_is_read() -> None:
    frames.check(clip())
    frames.check(clip(samples=5761))  # the last frame has begun
    assert frames.count(clip()) == 10
    assert frames.targets(clip())[3].tolist() == [0.3, 0.15]
    assert frames.names(clip()) == ["openness", "width"]
    bare = Sample("a", {"audio": np.zeros(641, np.int16)})
    frames.check(bare)
    assert frames.count(bare) == 2


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (clip(samples=5760), DataError, "toy/test/0: the audio has 5760 samples and ends before the last of 10 frames"),
        (clip(targets=[1]), DataError, "toy/test/0: targets are a dict of `names` and `values`"),
        (clip(targets={"names": ["a"], "values": []}), DataError, "targets are a dict"),
        (clip(targets={"names": ["a"], "values": [[1], [1, 2]]}), DataError, r"frame 1 has .* \[1, 2\]; expected 1"),
        (clip(targets={"names": ["a"], "values": [[0.5]]}), DataError, r"frame 0 has the targets \[0.5\]"),
        (clip(targets={"names": ["a"], "values": [[1001]]}), RangeError, r"\[1001\]; expected 0 to 1000"),
        (clip(frames=np.zeros((25, 4), np.uint8)), DataError, "a strip of 25 rows is not 10 frames"),
        (clip().with_field("audio", np.zeros((2, 9), np.int16)), DataError, "audio is an int16 array"),
    ],
)
def test_parts_that_do_not_belong_together_are_told(sample: Sample, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        frames.check(sample)


def test_pictures_without_a_count_are_told() -> None:
    fields = {"audio": np.zeros(1280, np.int16), "frames": np.zeros((6, 4), np.uint8)}
    assert frames.pictures(Sample("a", {**fields, "meta": {"frames": "2"}})).shape == (2, 3, 4)
    for meta in (None, {}, {"frames": "two"}, {"frames": "0"}):
        with pytest.raises(DataError, match="a: meta.frames is .*; expected the number of frames"):
            frames.count(Sample("a", {**fields, "meta": meta}))


def test_frames_follow_the_speech() -> None:
    strip = np.repeat(np.arange(10, dtype=np.uint8), 3)[:, None] * np.ones(4, np.uint8)
    faster = frames.resample_clip(clip(frames=strip), Fraction(3, 2))
    # At 0, 1.5, 3, 4.5, 6, 7.5, 9 of the frames; the nearest picture, of two the later one.
    assert [row[0] for row in faster.fields["targets"]["values"]] == [0, 150, 300, 450, 600, 750, 900]
    assert frames.pictures(faster)[:, 0, 0].tolist() == [0, 2, 3, 5, 6, 8, 9]
    assert faster.fields["meta"]["frames"] == "7"
