"""An external renderer: folders of frames and sound in, clips and measures out; bad folders are told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from makers.miniature_originals import rendered_clips as made
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import frames, shards
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.tasks import LabelSpace, audio_visual
from shiftbench.statistics import motion
from shiftbench.systems.synctalk_plus_plus.analyses import rendered_frames
from shiftbench.systems.synctalk_plus_plus.datasets import rendered_clips
from shiftbench.systems.synctalk_plus_plus.models import syncnet


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two clips, of ten and of twenty frames."""
    made(tmp_path)
    return tmp_path


def clips(root: Path, **params: object) -> list[Sample]:
    options = {**defaults(rendered_clips), "path": str(root), "side": 0, **params}
    return list(rendered_clips.samples("test", {}, options))


def judged(sample: Sample, seed: int = 0) -> np.ndarray:
    """Return what a SyncNet of random weights says of a clip, (31,)."""
    torch.manual_seed(seed)
    judge = syncnet.Judge(syncnet.build({}, 0), syncnet, defaults(syncnet), "cpu")
    return judge([sample])["sync"][0]


def test_ten_frames_go_in_and_measures_come_out(root: Path, tmp_path: Path) -> None:
    """The whole way: folder, shards, SyncNet, a row with LSE; and beside it PSNR, SSIM, LMD."""
    first, second = clips(root)
    assert [first.key, second.key] == ["rendered_clips/test/may_1", "rendered_clips/test/may_2"]
    assert frames.pictures(second).shape == (20, 36, 40, 3)
    audio_visual.check(first, [])
    assert frames.pictures(first).shape == (10, 36, 40, 3)
    folder = tmp_path / "shards"
    folder.mkdir()
    shards.write([first], folder, audio_visual.FIELDS, {"classes": []}, 10**8)
    (again,) = shards.read(folder)
    assert np.array_equal(again.fields["frames"], first.fields["frames"])
    torch.manual_seed(0)
    judge = syncnet.Judge(syncnet.build({}, 0), syncnet, defaults(syncnet), "cpu")
    outputs = judge([again])
    assert outputs["sync"][0].shape == (31,)
    row = audio_visual.rows([again], outputs, LabelSpace((), ()), "full").to_pylist()[0]
    assert row["lse_d_e9"] > 0
    assert row["cluster"] == "may_1"
    assert row["correlation_e9"] is None
    params = {**defaults(rendered_frames), "path": str(root), "dataset": "rendered_clips", "split": "test"}
    found = list(rendered_frames.measure(Measurement(params, {}, 0, {})))
    assert {one.metric for one in found} == {"psnr", "ssim", "lmd", "landmark_jitter"}
    assert {one.key for one in found} == {"may.1", "may_2"}
    own, truth = (
        rendered_clips.read_frames(rendered_clips.pictures(root / "may.1" / part)) for part in ("whole", "whole_truth")
    )
    assert own.shape == (10, 48, 64, 3)  # whole frames, not what SyncNet sees
    psnr = next(one.value for one in found if (one.metric, one.key) == ("psnr", "may.1"))
    assert psnr == pytest.approx(-10 * np.log10(np.mean(np.square(own / 255.0 - truth / 255.0), (1, 2, 3))).mean())
    points = json.loads((root / "may.1/landmarks.json").read_text())
    mouths = (np.array(points[name])[:, 48:68] for name in ("found", "truth"))
    assert rendered_frames.measures(root / "may.1")["lmd"] == motion.landmark_distance(*mouths)


def released_lse(face: torch.Tensor, sound: torch.Tensor, vshift: int = 15) -> tuple[float, float]:
    """`calc_pdist` and `evaluate` of SyncNetInstance.py: minimum, and median minus minimum, of one mean curve."""
    wide = torch.nn.functional.pad(sound, (0, 0, vshift, vshift))
    apart = [
        torch.nn.functional.pairwise_distance(face[[i]].repeat(2 * vshift + 1, 1), wide[i : i + 2 * vshift + 1])
        for i in range(len(face))
    ]
    mean = torch.mean(torch.stack(apart, 1), 1)
    return float(mean.min()), float(torch.median(mean) - mean.min())


@pytest.mark.parametrize("seed", range(5))
def test_a_track_has_one_curve_and_pieces_of_it_would_have_another_score(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sound = torch.randn((300, 8), generator=generator)
    face = 0.1 * sound + torch.randn((300, 8), generator=generator)  # hardly in sync
    least, confidence = released_lse(face, sound)
    whole = syncnet.curve(face, sound)
    assert whole.min() == pytest.approx(least, abs=1e-5)
    assert np.median(whole) - whole.min() == pytest.approx(confidence, abs=1e-5)
    pieces = [syncnet.curve(face[at : at + 60], sound[at : at + 60]) for at in range(0, 300, 60)]
    assert np.mean([piece.min() for piece in pieces]) < least


def test_a_clip_is_one_sample_whatever_its_length(root: Path) -> None:
    first, second = clips(root)
    assert [one.fields["meta"]["cluster"] for one in (first, second)] == ["may_1", "may_2"]
    assert len(second.fields["audio"]) == 20 * frames.SAMPLES  # 22,050 Hz came to 16,000


def test_the_truth_is_judged_as_the_model_is(root: Path) -> None:
    own, truth = clips(root)[0], clips(root, part="truth")[0]
    assert own.key == truth.key
    assert np.array_equal(own.fields["audio"], truth.fields["audio"])
    assert not np.array_equal(own.fields["frames"], truth.fields["frames"])
    assert not np.allclose(judged(own), judged(truth))
    with pytest.raises(ParamsError, match="part is 'thruth'; did you mean truth"):
        clips(root, part="thruth")


@pytest.mark.parametrize(("size", "found"), [((224, 200), "200 x 224"), ((96, 96), "96 x 96")])
def test_crops_of_another_size_than_the_released_ones_are_refused(
    root: Path, size: tuple[int, int], found: str
) -> None:
    for file in (root / "may.1/frames").iterdir():
        Image.new("RGB", size).save(file)
    with pytest.raises(DataError, match=rf"frames are {found}, expected crops of 224 x 224"):
        clips(root, side=224)


def test_a_clip_of_more_rows_than_a_png_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered_clips, "ROWS", 10 * 36)
    with pytest.raises(DataError, match="may_2.*has 20 frames of 36 px; expected at most 10"):
        clips(root)


def test_bad_folders_are_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clips in .*expected NAME/audio.wav"):
        clips(tmp_path / "none")
    wavfile.write(root / "may.1/audio.wav", 16000, np.zeros(3000, np.int16))
    with pytest.raises(
        DataError, match=r"may\.1: the sound has 3000 samples at 16000 Hz and ends before the last of 10"
    ):
        clips(root)
    Image.new("RGB", (9, 9)).save(root / "may_2/frames/00003.png")
    shutil.rmtree(root / "may.1")
    with pytest.raises(DataError, match=r"00003.png is \(9, 9\), and .*00000.png \(36, 40\); expected one size"):
        clips(root)
    (root / "may_2/frames/00003.png").write_bytes(b"no")
    with pytest.raises(DataError, match="00003.png cannot be read as a frame"):
        clips(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"found": [[[1, 2]] * 21] * 4}, r"expected 20 or 68 points x, y .*found \(4, 21, 2\)"),
        ({"found": [[1], [1, 2]]}, "expected 20 or 68 points"),
        ({"found": [[[1, 2]] * 20] * 4, "truth": [[[1, 2]] * 20] * 3}, r"found are \(4, 20, 2\), true \(3, 20, 2\)"),
    ],
)
def test_bad_landmarks_are_told(root: Path, content: object, message: str) -> None:
    (root / "may.1/landmarks.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        rendered_frames.measures(root / "may.1")


def test_nothing_to_compare_is_told(root: Path) -> None:
    shutil.rmtree(root / "may.1/whole_truth")
    assert set(rendered_frames.measures(root / "may.1")) == {"landmark_jitter", "lmd"}
    (root / "may.1/landmarks.json").unlink()
    with pytest.raises(DataError, match="has neither whole_truth/ nor landmarks.json"):
        rendered_frames.measures(root / "may.1")
    Image.new("RGB", (9, 8)).save(root / "may_2/whole_truth/00003.png")
    with pytest.raises(DataError, match=r"00003.png is \(48, 64\), .*00003.png \(8, 9\)"):
        rendered_frames.measures(root / "may_2")
    (root / "may_2/whole_truth/00000.png").unlink()
    with pytest.raises(DataError, match=r"whole/ has 20 frames, whole_truth/ 19; expected as many"):
        rendered_frames.measures(root / "may_2")


def test_syncnet_wants_frames(root: Path) -> None:
    judge = syncnet.Judge(syncnet.build({}, 0), syncnet, defaults(syncnet), "cpu")
    (first, *_) = clips(root)
    bare = Sample("a", {"audio": first.fields["audio"]})
    with pytest.raises(ModelError, match="a has no frames; SyncNet looks at face crops"):
        judge([bare])
    few = {"frames": first.fields["frames"][: 5 * 36], "audio": first.fields["audio"][:3200], "meta": {"frames": "5"}}
    with pytest.raises(ModelError, match="a has 5 frames; SyncNet needs 6 at least"):
        judge([Sample("a", few)])
