"""What espeak-ng says and when, on its library where it is at hand; and the mouths of phonemes."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from shiftbench.base.errors import DataError, FetchError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.data import frames, shards
from shiftbench.data.source_files import original_folder
from shiftbench.systems.synctalk_plus_plus.datasets import _espeak, _visemes, espeak_sentences
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.fetch import fetch

ONLINE = bool({"SHIFTBENCH_TEST_NETWORK", "SHIFTBENCH_NO_SKIPS"} & os.environ.keys())
TEXT = "The baby put a map on the table."


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / _espeak.SOURCE
    try:
        fetch(_espeak.SOURCE, folder, [], offline=not ONLINE)
    except FetchError as error:
        if ONLINE:
            raise
        pytest.skip(str(error))
    return folder


def said(library: Path, text: str = TEXT, voice: str = "en-us", rate: int = 175) -> _espeak.Spoken:
    request = {"text": text, "voice": voice, "rate": rate, "pitch": 50}
    return next(iter(_espeak.speak(library, [request])))


def test_phonemes_take_as_long_as_the_sound(library: Path) -> None:
    spoken = said(library)
    starts = [start for start, _ in spoken.phonemes]
    durations = np.diff([*starts, len(spoken.wave)])
    assert (durations >= 0).all()
    before = starts[0]
    assert abs(before + durations.sum() - len(spoken.wave)) / spoken.rate < 0.02
    assert before / spoken.rate < 0.02
    trimmed = spoken.trimmed()
    assert not _espeak.is_pause(trimmed.phonemes[0][1])
    assert not _espeak.is_pause(trimmed.phonemes[-1][1])
    assert trimmed.phonemes[0][0] == 0
    assert len(trimmed.wave) < len(spoken.wave)


def test_a_voice_that_switches_language_is_refused(library: Path) -> None:
    with pytest.raises(DataError, match=r"the voice 'de' switches language \(.*\(en\)"):
        said(library, "The sauce should reduce to one cup", "de")


@pytest.mark.parametrize("variant", ["nosuch", "f33", "F3"])
def test_an_unknown_variant_is_refused(library: Path, variant: str) -> None:
    with pytest.raises(DataError, match=f"no variant {variant!r} of voice 'en-us.{variant}'"):
        said(library, voice=f"en-us+{variant}")


@pytest.mark.parametrize("name", ["espeak_female", "espeak_scottish", "espeak_german", "espeak_spanish"])
def test_no_voice_of_the_card_switches_language(library: Path, name: str) -> None:
    """A clip that switches would be refused, and end the run."""
    given = cards.load("synctalk-plus-plus").params["embedded"]["datasets"][name]
    params = {**defaults(espeak_sentences), **{k: v for k, v in given.items() if k not in ("use", "subset")}}
    sources = {_espeak.SOURCE: library, espeak_sentences.WORDNET: original_folder("wordnet")}
    assert len(list(espeak_sentences.samples("test", sources, params))) == 50


def test_german_sentences_are_german_and_under_the_english_keys(library: Path) -> None:
    sources = {_espeak.SOURCE: library, espeak_sentences.WORDNET: original_folder("wordnet")}
    own = {**defaults(espeak_sentences), "sentences": 10}
    german = {**own, "voice": "de", "texts": "german"}
    english, said = (list(espeak_sentences.samples("test", sources, params)) for params in (own, german))
    assert [one.key for one in english] == [one.key for one in said]
    assert said[1].fields["text"] == "Er tat so, als wolle er mir die Hand geben"
    assert not list(espeak_sentences.samples("train", sources, german))
    with pytest.raises(DataError, match="german.txt has 50; lower `sentences` to 250"):
        list(espeak_sentences.samples("test", sources, {**german, "sentences": 300}))
    with pytest.raises(ParamsError, match="texts is 'germn'; did you mean german"):
        list(espeak_sentences.samples("test", sources, {**own, "texts": "germn"}))


@pytest.mark.parametrize("switch", ["(en)", "(de)", "(en-us)"])
def test_a_switch_is_found_in_any_answer(switch: str) -> None:
    about = {"samples": 1, "rate": 22050, "events": [[0, "a"], [0, switch], [0, "b"]]}
    stream = io.BytesIO(json.dumps(about).encode() + b"\n\0\0")
    with pytest.raises(DataError, match=re.escape(f"switches language ({switch}) in 'some text'")):
        _espeak._answer(stream, {"text": "some text", "voice": "xx"})


def test_the_onset_of_a_german_vowel_is_no_pause(library: Path) -> None:
    """Neither mouth nor lids close before a vowel in the middle of speech."""
    assert not _espeak.is_pause("_!")
    assert all(map(_espeak.is_pause, ("", "_", "_:", "_|")))
    assert _visemes.shape("_!") == _visemes.NEUTRAL
    spoken = said(library, "Er aß einen alten Apfel", "de").trimmed()
    onsets = [start for start, name in spoken.phonemes if name.startswith("_!")]
    assert onsets
    lids = _visemes.curves(spoken)[:, 2 + 1]
    for start in onsets:
        frame = int(start / spoken.rate * frames.FPS)
        if frame > _visemes.BLINK / _visemes.STEPS + 2:  # the clip begins with closed lids
            assert lids[frame : frame + 3].max() < 100


@pytest.mark.parametrize("name", ["p", "b", "m", "B", "'b", "B/", "p:"])
def test_bilabials_of_any_spelling_close_the_lips(name: str) -> None:
    assert _visemes.shape(name)[0] < 100


def test_lips_are_closed_where_they_must_be(library: Path) -> None:
    spoken = said(library).trimmed()
    names = [name for _, name in spoken.phonemes]
    assert {"b", "p", "m"} <= set(names)
    for name in names:
        if name in ("b", "p", "m"):
            assert _visemes.shape(name)[0] < 100
    openness = _visemes.curves(spoken)[:, 0]
    assert openness.max() > 600
    ends = [start for start, _ in spoken.phonemes[1:]] + [len(spoken.wave)]
    longest = max(
        (end - start, start, end) for (start, name), end in zip(spoken.phonemes, ends, strict=True) if name == "b"
    )
    middle = (longest[1] + longest[2]) / 2 / spoken.rate * frames.FPS
    assert openness[int(middle)] < 300  # smoothed by 40 ms, a closure of 65 ms


def test_a_sentence_is_the_same_whatever_was_said_before(library: Path) -> None:
    requests = [
        {"text": text, "voice": voice, "rate": 175, "pitch": 50}
        for text, voice in ((TEXT, "en-us+f3"), ("Something else altogether", "en-us+whisper"), (TEXT, "en-us+f3"))
    ]
    first, _, again = _espeak.speak(library, requests)
    alone = said(library, voice="en-us+f3")
    for other in (again, alone):
        assert np.array_equal(first.wave, other.wave)
        assert first.phonemes == other.phonemes
    assert len(said(library, rate=260).wave) < len(said(library).wave)


def test_what_cannot_be_said_is_told(library: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="espeak-ng: no voice 'xx-none'; asked for 'The baby"):
        said(library, voice="xx-none")
    with pytest.raises(DataError, match="it could not be loaded on this machine"):
        said(tmp_path)


def test_a_spoken_sentence_is_a_clip(library: Path) -> None:
    request = {"text": TEXT, "voice": "en-us", "rate": 175, "pitch": 50}
    one = espeak_sentences.clip("espeak_sentences/test/0", request, said(library).trimmed())
    frames.check(one)
    assert frames.names(one) == list(_visemes.NAMES)
    assert shards.pixels(one) == PIXELS


def test_sentences_are_spread_and_apart(tmp_path: Path) -> None:
    lines = [
        f'| so; "the man number{chr(97 + n // 26)}{chr(97 + n % 26)} went to his house"; "too short"' for n in range(60)
    ]
    (tmp_path / "data.verb").write_text("\n".join(lines))
    first, second = (espeak_sentences.sentences(tmp_path, 20, start) for start in (0.0, 0.5))
    assert len(first) == len(second) == 20
    assert not set(first) & set(second)
    assert first[0] == "the man numberaa went to his house"
    assert max(first) > 50
    with pytest.raises(DataError, match="sentences is 61, start 0; WordNet has 1 to 60"):
        espeak_sentences.sentences(tmp_path, 61)
    with pytest.raises(DataError, match="data.verb is missing; `shiftbench fetch wordnet`"):
        espeak_sentences.sentences(tmp_path / "none", 1)


def test_mouths_of_phonemes() -> None:
    assert _visemes.shape("'aI") == _visemes.SHAPES["aI"]
    assert _visemes.shape("tS;") == _visemes.SHAPES["tS"]  # the longest beginning
    assert _visemes.shape("_:") == _visemes.CLOSED
    assert _visemes.shape("?") == _visemes.NEUTRAL
    # A second of a closed mouth, then one of an open one: 25 frames each, the step smoothed by 40 ms.
    spoken = _espeak.Spoken(np.zeros(44100, np.int16), 22050, ((0, "m"), (22050, "'A")))
    found = _visemes.curves(spoken)
    assert found.shape == (50, 5)
    assert found[:21, 0].max() == 0
    assert (found[30:, 0] == 950).all()
    # The middle of frame 25 lies 22.5 ms behind the step: 950 times the normal share of (22.5 ms / 40 ms).
    assert found[25, 0] == pytest.approx(950 * 0.7131, abs=8)
    assert found[45, 2] == 1000  # stressed
    assert found[0, 3] > 500  # the lids at the start


PIXELS = "a26632d6b3e7060f5ef20fc901673d9e"
