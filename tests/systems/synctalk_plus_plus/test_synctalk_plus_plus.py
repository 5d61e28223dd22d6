"""SyncTalk++: what is heard and how it is judged, beside librosa and released code; models, trainers, faces."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts.shift_digests import clip, sound
from shiftbench.contracts.training_jobs import job as job_of
from shiftbench.data import frames
from shiftbench.evaluation.corruption import corrupt
from shiftbench.systems.synctalk_plus_plus.analyses import _face, mouth_frames
from shiftbench.systems.synctalk_plus_plus.methods import sync_judge
from shiftbench.systems.synctalk_plus_plus.models import _mel, mini_syncnet, mouth_codebook, mouth_regressor, syncnet

# ------------------------------------------------------------------ what is heard


def test_mel_frames_are_those_of_the_released_code() -> None:
    """Values of `melspectrogram` of ZiqiaoPeng/SyncTalk with librosa 0.11, every 11th frame and 23rd band."""
    found = _mel.log_mel(sound(8000))
    assert found.shape == (41, 80)
    assert found[::11, ::23] == pytest.approx(np.array(LIBROSA), abs=1e-5)


def test_mfcc_are_those_of_python_speech_features() -> None:
    """Values of `mfcc(wave, 16000)` of release 0.6, every 13th window, coefficients 0, 1, 5 and 12."""
    found = syncnet.mfcc(sound(8000))
    assert found.shape == (49, 13)
    assert found[::13, [0, 1, 5, 12]] == pytest.approx(np.array(SPEECH_FEATURES), abs=1e-5)


def test_a_window_begins_where_the_released_data_set_has_it() -> None:
    wave = sound(16000)
    heard = _mel.log_mel(wave)
    found = _mel.windows(wave, 25)
    assert found.shape == (25, 16, 80)
    for frame in range(25):  # `crop_audio_window`: 80 frames a second, rounded down, the last ones moved back
        start = int(80.0 * (frame / float(25)))
        if start + 16 > len(heard):
            start = len(heard) - 16
        assert np.array_equal(found[frame], heard[start : start + 16])
    quiet, loud = (_mel.windows((wave * gain).astype(np.int16), 25, normalise=True) for gain in (0.25, 1))
    assert np.abs(quiet - loud).mean() < 0.1


# ------------------------------------------------------------------ judges


def released_offset(face: torch.Tensor, voice: torch.Tensor, vshift: int) -> tuple[int, float, float]:
    """`calc_pdist` and what follows of joonson/syncnet_python, literally: offset, least distance, confidence."""
    padded = torch.nn.functional.pad(voice, (0, 0, vshift, vshift))
    size = vshift * 2 + 1
    apart = [
        torch.nn.functional.pairwise_distance(face[[i], :].repeat(size, 1), padded[i : i + size, :])
        for i in range(len(face))
    ]
    mean = torch.mean(torch.stack(apart, 1), 1)
    least, index = torch.min(mean, 0)
    return vshift - int(index), float(least), float(torch.median(mean) - least)


def test_syncnet_judges_as_released() -> None:
    torch.manual_seed(0)
    voice = torch.randn(30, 8)
    face = torch.roll(voice, -3, 0) + 0.1 * torch.randn(30, 8)  # the face at i is the voice at i + 3: late
    found = syncnet.curve(face, voice)
    from shiftbench.statistics import motion

    low, above, offset = motion.sync(found)
    theirs, least, confidence = released_offset(face, voice, 15)
    assert (offset, -theirs) == (3, 3)
    assert low == pytest.approx(least, abs=1e-5)
    assert above == pytest.approx(confidence, abs=1e-5)


def test_syncnet_has_the_released_layers() -> None:
    """Names and shapes of `SyncNetModel.S`."""
    state = syncnet.build(defaults(syncnet), 0).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if name.endswith("weight")}
    assert shapes["netcnnaud.0.weight"] == (64, 1, 3, 3)
    assert shapes["netcnnaud.18.weight"] == (512, 256, 5, 4)
    assert shapes["netcnnaud.19.weight"] == (512,)
    assert shapes["netfcaud.3.weight"] == shapes["netfclip.3.weight"] == (1024, 512)
    assert shapes["netcnnlip.0.weight"] == (96, 3, 5, 7, 7)
    assert shapes["netcnnlip.4.weight"] == (256, 96, 1, 5, 5)
    assert shapes["netcnnlip.18.weight"] == (512, 256, 1, 6, 6)
    assert len(shapes) == 2 * (2 * 6 + 3)  # six convolutions with norms, and a head of three layers, twice


def test_weights_of_the_released_layout_are_taken(tmp_path: Path) -> None:
    """A file as torch wrote it before norms had counters, through the trainer `given`."""
    torch.manual_seed(3)
    state = syncnet.build(defaults(syncnet), 0).state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("tracked")}
    torch.save(old, tmp_path / "syncnet_v2.model", _use_new_zipfile_serialization=False)
    job = job_of("syncnet", "given", path=str(tmp_path / "syncnet_v2.model"))
    found = registry.find("trainers", "given").train(job)
    assert set(found) == set(state)
    assert all(torch.equal(found[name], value) for name, value in old.items())
    cut = {name: value for name, value in old.items() if name != "netfclip.3.bias"}
    torch.save(cut, tmp_path / "syncnet_v2.model")
    with pytest.raises(ModelError, match="netfclip.3.bias is missing"):
        registry.find("trainers", "given").train(job)


def test_a_mouth_and_its_sound_are_found() -> None:
    """A judge whose vectors are known: the sound's window k says k, and so does the mouth of frame k."""
    judge = mini_syncnet.Judge(mini_syncnet.build(defaults(mini_syncnet), 0), mini_syncnet, defaults(mini_syncnet))
    values = np.linspace(0, 1, 40)
    judge.net.of_mouth = lambda some: torch.stack([some[:, 0, 0], 1 - some[:, 0, 0]], 1)
    judge.net.of_sound = lambda _: torch.tensor(np.stack([np.roll(values, 4), 1 - np.roll(values, 4)], 1)).float()
    one = clip(40 * 640)
    found = judge.curve(one, np.stack([values, values], 1))
    assert len(found) == 21
    assert int(np.argmin(found)) - 10 == 4  # the sound says 4 frames later what the mouth said
    with pytest.raises(ModelError, match="k has 12 frames; a judge of offsets to 10 needs 15"):
        judge.curve(one, np.zeros((12, 2)))
    with pytest.raises(ModelError, match="k has no targets, so no mouth to judge"):
        judge([Sample("k", {"audio": sound(9000)})])


def test_a_judge_must_be_named() -> None:
    with pytest.raises(ParamsError, match="judge is 'x'; expected DATASET/mini_syncnet-TRAINER"):
        sync_judge.needs({"judge": "x"})
    (ref,) = sync_judge.needs({"judge": "pool/mini_syncnet-sync_pairs"})
    assert ref.name == "pool/mini_syncnet-sync_pairs-s0"


# ------------------------------------------------------------------ models and trainers


def talking(number: int, count: int = 40) -> Sample:
    """A clip whose loudness opens the mouth."""
    rng = np.random.default_rng(number)
    openness = np.clip(np.convolve(rng.random(count), np.ones(5) / 5, "same") * 1500 - 250, 0, 1000).astype(int)
    tone = np.sin(np.arange(count * 640) * 0.3) * 12000
    wave = (tone * np.repeat(openness, 640) / 1000).astype(np.int16)
    values = np.stack([openness, openness // 2, openness // 3, openness * 0, openness * 0 + 500], 1)
    targets = frames.pack_targets(("openness", "width", "brow", "lids", "cheeks"), values)
    return Sample(f"toy/train/{number:03d}", {"audio": wave, "targets": targets, "meta": {}})


def trained(model: str, trainer: str, **params: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    some = [talking(number) for number in range(12)]
    few = {"codes": 16} if model == "mouth_codebook" else {}
    job = job_of(model, trainer, train=some, model_params=few, **params)
    job = dataclasses.replace(job, samples={"train": some, "val": some[:2]}.__getitem__)
    state = registry.find("trainers", trainer).train(job)
    return job, state


@pytest.mark.parametrize(
    ("model", "trainer", "first", "steps"),
    [("mouth_regressor", "motion", 50, 60), ("mouth_codebook", "snippets", 0, 80)],
)
def test_a_model_learns_to_follow_a_sound(model: str, trainer: str, first: int, steps: int) -> None:
    """The regressor on clips that it never heard; 16 codes of 12 clips tell of those that they are made of."""
    job, state = trained(model, trainer, steps=steps)
    plugin = registry.find("models", model)
    net = plugin.build(job.model_params, 0)
    net.load_state_dict(state)
    held = [talking(number) for number in range(first, first + 6)]
    found = plugin.predictor(net, plugin, job.model_params, "cpu")(held)["motion"]
    follows = [np.corrcoef(own[:, 0], frames.targets(one)[:, 0])[0, 1] for own, one in zip(found, held, strict=True)]
    assert np.mean(follows) > 0.5
    assert all(own.shape == (40, 5) and own.min() >= 0 and own.max() <= 1 for own in found)
    losses = [value for _, name, value in job.rows if name == "train_loss"]
    assert losses[-1] < losses[0] or len(losses) == 1
    once, again = (trained(model, trainer, steps=3)[1] for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_copies_are_noisy_and_quiet_and_steps_stay() -> None:
    from shiftbench.systems.synctalk_plus_plus.trainers import _clips

    job = trained("mouth_regressor", "motion", steps=2)[0]
    some = [talking(0), talking(1)]
    found = list(_clips.augmented(job, some, 2))
    assert found[:2] == some
    assert len(found) == 6
    assert all(
        not np.array_equal(one.fields["audio"], some[at % 2].fields["audio"]) for at, one in enumerate(found[2:])
    )
    assert not np.array_equal(found[2].fields["audio"], found[4].fields["audio"])
    rows = list(_clips.turns(job, 10, 4, 5))
    assert sorted(np.concatenate(rows).tolist()) == sorted([*range(10), *range(10)])


def test_too_few_snippets_are_told() -> None:
    job = job_of("mouth_codebook", "snippets", train=[talking(0)], steps=1)
    with pytest.raises(ParamsError, match="17 snippets for 64 codes"):
        registry.find("trainers", "snippets").train(job)


def test_a_judge_learns_what_belongs_together() -> None:
    job, state = trained("mini_syncnet", "sync_pairs", steps=100)
    net = mini_syncnet.build(job.model_params, 0)
    net.load_state_dict(state)
    judge = mini_syncnet.Judge(net, mini_syncnet, defaults(mini_syncnet))
    held = [talking(number, 60) for number in range(50, 56)]
    late = [one.with_field("audio", corrupt(one.fields["audio"], "audio_offset", 3.0)) for one in held]
    offsets = [int(np.argmin(curve)) - 10 for curve in judge(late)["sync"]]
    assert np.median(offsets) == 3


def test_codes_are_cut_to_the_clip() -> None:
    net = mouth_codebook.build({"bands": 20, "hidden": 8, "codes": 4}, 0)
    net.codes += torch.arange(4.0)[:, None, None]
    found = net.move(torch.randn(19, 16, 20))
    assert found.shape == (19, 5)
    assert all(len(set(found[at : at + 8].flatten().tolist())) == 1 for at in (0, 8, 16))


def test_loudness_alone_is_linear() -> None:
    net = mouth_regressor.build({"bands": 1, "hidden": 64, "linear": True}, 0)
    assert [tuple(value.shape) for value in net.state_dict().values()] == [(5, 16), (5,)]


# ------------------------------------------------------------------ faces


def test_landmarks_lie_where_the_picture_has_the_lips() -> None:
    square = np.full((96, 96, 3), 200, np.uint8)
    mouth = np.array([[0.0, 0.5], [0.5, 0.5], [1.0, 0.0]])
    found, points = _face.render(square, mouth), _face.landmarks(mouth)
    assert found.shape == (3, 96, 96, 3)
    assert points.shape == (3, 20, 2)
    assert not (found[0] == _face.DARK).all(-1).any()  # closed
    for frame in (1, 2):
        dark = (found[frame] == _face.DARK).all(-1)
        upper, lower = points[frame, 14], points[frame, 18]  # the inner lips' middles
        column = np.flatnonzero(dark[:, round(float(upper[0]))])
        assert column[0] == pytest.approx(upper[1], abs=1.5)
        assert column[-1] == pytest.approx(lower[1], abs=2.5)
    wide = [np.ptp(points[frame, :, 0]) for frame in (1, 2)]
    assert wide[1] < wide[0]  # round lips


def test_a_strip_has_a_row_for_each_motion_and_a_frame_every_so_often() -> None:
    square = np.full((96, 96, 3), 200, np.uint8)
    motions = {"truth": np.zeros((75, 5)), "model": np.full((60, 5), 0.9)}
    found = _face.strip(square, motions, every=5, seconds=3)
    assert found.shape == (2 * 96, 15 * 96, 3)
    assert not (found[:96] == _face.DARK).all(-1).any()
    assert (found[96:, : 12 * 96] == _face.DARK).all(-1).any()
    assert (found[96:, 12 * 96 :] == 255).all()  # it is over


def test_what_lies_off_the_manifold_is_found() -> None:
    rng = np.random.default_rng(0)
    known, held = rng.normal(size=(2, 500, 40))
    manifold = mouth_frames.Manifold(known, held)
    plain = np.sort(np.linalg.norm(held[:, None] - known[None], axis=2).min(axis=1))
    assert manifold.bound == pytest.approx(np.percentile(plain, 99))
    assert manifold.off(np.full((16, 5), 9.0)) == 1
    assert manifold.off(np.zeros((16, 5))) == 0
    assert mouth_frames.snippets(np.arange(20.0).reshape(10, 2)).tolist()[1] == list(map(float, range(2, 18)))


def test_the_upper_face_is_compared_without_the_mouth() -> None:
    true = np.random.default_rng(1).uniform(size=(40, 5))
    moved = true.copy()
    moved[:, :2] = true[::-1, :2]  # another mouth
    assert mouth_frames.upper_face(moved, true) == pytest.approx(1)
    moved[:, 3] = 0.5  # lids that stand still
    assert mouth_frames.upper_face(moved, true) == pytest.approx(2 / 3)
    true[:, 4] = 0.2  # true cheeks that stand still count for nothing
    assert mouth_frames.upper_face(moved, true) == pytest.approx(1 / 2)


# ------------------------------------------------------------------ shifts of this system


def test_offsets_and_shuffles() -> None:
    wave = sound(9001)
    late = corrupt(wave, "audio_offset", 2.0)
    assert np.array_equal(late[1280:], wave[:-1280])
    assert not late[:1280].any()
    with pytest.raises(RangeError, match="severity 1.5 is no whole number of frames"):
        corrupt(wave, "audio_offset", 1.5)
    mixed = corrupt(wave, "audio_shuffled", 1.0)
    assert sorted(mixed.tolist()) == sorted(wave.tolist())
    assert not np.array_equal(mixed, wave)


LIBROSA = [
    [-4.0, -2.08404, -3.86571, -3.00149],
    [-3.90794, -0.69228, -1.74161, -0.98219],
    [-3.99642, -1.23732, -1.25458, -1.71715],
    [-3.09098, -0.63403, -1.24802, -0.67783],
]
SPEECH_FEATURES = [
    [16.68683, -23.15612, -16.36226, 14.54914],
    [20.82675, -21.79879, -18.52873, 18.21594],
    [16.72563, -20.66084, -18.19727, 11.80035],
    [20.94683, -21.96613, -14.67172, 17.14861],
]
