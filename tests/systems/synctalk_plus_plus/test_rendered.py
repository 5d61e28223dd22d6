"""An external renderer: folders of frames and sound in, clips and measures out; bad folders are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from makers.miniature_originals import rendered_clips as made
from shiftbench.contracts import Measurement
from shiftbench.data import frames, shards
from shiftbench.errors import DataError, ModelError
from shiftbench.sample import Sample
from shiftbench.statistics import motion
from shiftbench.systems.synctalk_plus_plus.analyses import rendered_frames
from shiftbench.systems.synctalk_plus_plus.datasets import rendered_clips
from shiftbench.systems.synctalk_plus_plus.models import syncnet
from shiftbench.tasks import LabelSpace, audio_visual


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two clips, of ten and of twenty frames."""
    made(tmp_path)
    return tmp_path


def clips(root: Path, **params: object) -> list[Sample | DataError]:
    options = {**rendered_clips.PARAMS, "path": str(root), "piece": 10, "least": 8, **params}
    return list(rendered_clips.samples("test", {}, options))


def test_ten_frames_go_in_and_measures_come_out(root: Path, tmp_path: Path) -> None:
    """The whole way: folder, shards, SyncNet, a row with LSE; and beside it PSNR, SSIM, LMD."""
    first, *others = clips(root)
    assert isinstance(first, Sample)
    assert first.key == "rendered_clips/test/may_1_000000"
    assert [one.key[-12:] for one in others if isinstance(one, Sample)] == [
        "may_2_000000",
        "may_2_000010",
    ]
    audio_visual.check(first, [])
    assert frames.pictures(first).shape == (10, 36, 40, 3)
    folder = tmp_path / "shards"
    folder.mkdir()
    shards.write([first], folder, audio_visual.FIELDS, {"classes": []}, 10**8)
    (again,) = shards.read(folder)
    assert np.array_equal(again.fields["frames"], first.fields["frames"])
    torch.manual_seed(0)
    judge = syncnet.Judge(syncnet.build({}, 0), syncnet, syncnet.PARAMS, "cpu")
    outputs = judge([again])
    assert outputs["sync"][0].shape == (31,)
    row = audio_visual.rows([again], outputs, LabelSpace((), ()), "full").to_pylist()[0]
    assert row["lse_d_e9"] > 0
    assert row["cluster"] == "may_1"
    assert row["correlation_e9"] is None
    params = {
        **rendered_frames.PARAMS,
        "path": str(root),
        "dataset": "rendered_clips",
        "split": "test",
    }
    found = list(rendered_frames.measure(Measurement(params, {}, 0, {})))
    assert {one.metric for one in found} == {"psnr", "ssim", "lmd", "landmark_jitter"}
    assert {one.key for one in found} == {"may.1", "may_2"}
    own, truth = (
        rendered_clips.opened(rendered_clips.pictures(root / "may.1" / part))
        for part in ("frames", "truth")
    )
    psnr = next(one.value for one in found if (one.metric, one.key) == ("psnr", "may.1"))
    assert psnr == pytest.approx(
        -10 * np.log10(np.mean(np.square(own / 255.0 - truth / 255.0), (1, 2, 3))).mean()
    )
    points = json.loads((root / "may.1/landmarks.json").read_text())
    mouths = (np.array(points[name])[:, 48:68] for name in ("found", "truth"))
    assert rendered_frames.measures(root / "may.1")["lmd"] == motion.landmark_distance(*mouths)


def test_a_clip_is_cut_and_its_rest_is_told(root: Path) -> None:
    found = clips(root, piece=9)
    kept = [one.key for one in found if isinstance(one, Sample)]
    assert kept == [
        "rendered_clips/test/may_1_000000",
        "rendered_clips/test/may_2_000000",
        "rendered_clips/test/may_2_000009",
    ]
    told = [str(one) for one in found if isinstance(one, DataError)]
    assert [text.partition(": ")[2] for text in told] == [
        "the last 1 frames are fewer than 8, and left out",
        "the last 2 frames are fewer than 8, and left out",
    ]
    again = clips(root / "may_2" / "..")  # 22,050 Hz came to 16,000
    assert all(len(one.fields["audio"]) == 6400 for one in again if isinstance(one, Sample))


def test_bad_folders_are_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clips in .*expected NAME/audio.wav"):
        clips(tmp_path / "none")
    wavfile.write(root / "may.1/audio.wav", 16000, np.zeros(3000, np.int16))
    with pytest.raises(
        DataError,
        match=r"may\.1: the sound has 3000 samples at 16000 Hz and ends before the last of 10",
    ):
        clips(root)
    Image.new("RGB", (9, 9)).save(root / "may_2/frames/00003.png")
    shutil.rmtree(root / "may.1")
    with pytest.raises(
        DataError, match=r"00003.png is \(9, 9\), and .*00000.png \(36, 40\); expected one size"
    ):
        clips(root)
    (root / "may_2/frames/00003.png").write_bytes(b"no")
    with pytest.raises(DataError, match="00003.png cannot be read as a frame"):
        clips(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"found": [[[1, 2]] * 21] * 4}, r"expected 20 or 68 points x, y .*found \(4, 21, 2\)"),
        ({"found": [[1], [1, 2]]}, "expected 20 or 68 points"),
        (
            {"found": [[[1, 2]] * 20] * 4, "truth": [[[1, 2]] * 20] * 3},
            r"found are \(4, 20, 2\), true \(3, 20, 2\)",
        ),
    ],
)
def test_bad_landmarks_are_told(root: Path, content: object, message: str) -> None:
    (root / "may.1/landmarks.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        rendered_frames.measures(root / "may.1")


def test_nothing_to_compare_is_told(root: Path) -> None:
    shutil.rmtree(root / "may.1/truth")
    assert set(rendered_frames.measures(root / "may.1")) == {"landmark_jitter", "lmd"}
    (root / "may.1/landmarks.json").unlink()
    with pytest.raises(DataError, match="has neither truth/ nor landmarks.json"):
        rendered_frames.measures(root / "may.1")
    (root / "may_2/truth/00000.png").unlink()
    with pytest.raises(DataError, match=r"frames are \(20, 36, 40\), true ones \(19, 36, 40\)"):
        rendered_frames.measures(root / "may_2")


def test_syncnet_wants_frames(root: Path) -> None:
    judge = syncnet.Judge(syncnet.build({}, 0), syncnet, syncnet.PARAMS, "cpu")
    (first, *_) = clips(root)
    assert isinstance(first, Sample)
    bare = Sample("a", {"audio": first.fields["audio"]})
    with pytest.raises(ModelError, match="a has no frames; SyncNet looks at face crops"):
        judge([bare])
    few = {
        "frames": first.fields["frames"][: 5 * 36],
        "audio": first.fields["audio"][:3200],
        "meta": {"frames": "5"},
    }
    with pytest.raises(ModelError, match="a has 5 frames; SyncNet needs 6 at least"):
        judge([Sample("a", few)])
