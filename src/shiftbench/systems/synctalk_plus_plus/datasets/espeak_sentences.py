"""Sentences of WordNet read aloud by espeak-ng, with the mouth that goes with each sound as the truth.

A clip has `audio` without the pauses at its ends, `targets` (openness and width of the mouth, brow, lids, cheeks; see
`_visemes.py`) at 25 frames a second, and `text`. A sentence
has the same key in every voice, so that voices are compared sentence by sentence, and a sentence that is tested in
one is learned in none: of five sentences the last is tested.

Another language reads the English words by its own rules and with its own sounds. A voice that reads English words in
English, as the German one does, is refused (`_espeak.speak`). `texts: german` has it say German sentences: the first
tested sentence is replaced by the first of `german.txt`, and so on, under the same keys; no model is trained on them.

Source: example sentences of WordNet's verbs (Miller 1995) of 6 to 12 words of letters; the German ones are ours, after
the 50 that the embedded scale tests; espeak-ng 1.52.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import audio, frames
from shiftbench.plugins import declare
from shiftbench.systems.synctalk_plus_plus.datasets import _espeak, _visemes

TASK = "audio_visual"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "test")
PART_OF = "espeak_sentences"
ASSETS = ("_espeak_worker.py", "german.txt")
WORDNET = "wordnet"
SOURCES = (_espeak.SOURCE, WORDNET)
LICENCE = "WordNet licence (text); spoken by espeak-ng, which asks nothing of what it says"
CITATION = (
    "Miller, WordNet: A Lexical Database for English, Communications of the ACM 38(11), 1995; "
    "espeak-ng 1.52, https://github.com/espeak-ng/espeak-ng"
)
REDISTRIBUTE = True
TEXTS = ("wordnet", "german")
_SENTENCE = re.compile(rb'"([A-Za-z][A-Za-z\' ,]*)"')
SHORTEST, LONGEST = 6, 12  # words
EVERY = 5


class Options(declare.Options):
    voice: str = Field("en-us", description="voice of espeak-ng, with a variant behind a plus (`en-us+f3`)")
    voices: list[str] = Field([], description="several voices; a sentence has one by its number; []: `voice`")
    pitch: int = Field(50, ge=0, le=99, description="pitch of espeak-ng")
    rate: int = Field(175, ge=80, le=450, description="words a minute")
    sentences: int = Field(300, ge=1, description="number of sentences; every fifth is tested")
    start: float = Field(0.0, ge=0, lt=1, description="offset of the sentences, as a share of the distance between two")
    texts: Literal["wordnet", "german"] = Field(
        "wordnet", description="sentences of WordNet, or German ones instead, which are tested only"
    )


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the sentences of a split, spoken.

    Raises:
        DataError: a source is not there, espeak-ng has no such voice, or the voice switches to another language.
        ParamsError: `texts` is neither `wordnet` nor `german`.
    """
    if params["texts"] not in TEXTS:
        raise ParamsError(f"espeak_sentences: texts is {params['texts']!r}; {suggest(params['texts'], TEXTS)}")
    texts = sentences(sources[WORDNET], params["sentences"], params["start"])
    voices = list(params["voices"]) or [params["voice"]]
    requests = {
        number: {"text": text, "voice": voices[turn % len(voices)], **_manner(params)}
        for turn, (number, text) in enumerate(texts.items())
        if (turn % EVERY == EVERY - 1) == (split == "test")
    }
    if params["texts"] == "german":
        requests = _in_german(requests) if split == "test" else {}
    answers = _espeak.speak(sources[_espeak.SOURCE], requests.values())
    for (number, request), spoken in zip(requests.items(), answers, strict=True):
        yield clip(f"{PART_OF}/{split}/{number:05d}", request, spoken.trimmed())


def _in_german(requests: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The requests with German sentences.

    Raises:
        DataError: there are fewer of these.
    """
    texts = Path(__file__).with_name("german.txt").read_text("utf-8").splitlines()
    if len(texts) < len(requests):
        raise DataError(
            f"{len(requests)} sentences are tested, german.txt has {len(texts)}; lower `sentences` to {5 * len(texts)}"
        )
    german = zip(requests.items(), texts, strict=False)
    return {number: {**request, "text": text} for (number, request), text in german}


def _manner(params: dict[str, Any]) -> dict[str, int]:
    return {name: params[name] for name in ("pitch", "rate")}


def clip(key: str, request: dict[str, Any], spoken: _espeak.Spoken) -> Sample:
    """A spoken sentence as a clip."""
    fields = {
        "audio": audio.resample(spoken.wave, spoken.rate, audio.RATE),
        "targets": frames.pack_targets(_visemes.NAMES, _visemes.curves(spoken)),
        "text": request["text"],
        "meta": {"voice": request["voice"]},
    }
    return Sample(key, fields)


def sentences(folder: Path, count: int, start: float = 0.0) -> dict[int, str]:
    """So many example sentences of WordNet's verbs, each once, evenly over the file: number -> text.

    Raises:
        DataError: the file is missing, or holds fewer.
    """
    file = folder / "data.verb"
    if not file.is_file():
        raise DataError(f"{file} is missing; `shiftbench fetch {WORDNET}`")
    quoted = dict.fromkeys(match.decode() for match in _SENTENCE.findall(file.read_bytes()))
    usable = [text for text in quoted if SHORTEST <= len(text.split()) <= LONGEST]
    if not 0 < count <= len(usable) or not 0 <= start < 1:
        raise DataError(
            f"sentences is {count}, start {start:g}; WordNet has 1 to {len(usable)} sentences, and "
            "start is 0 to below 1"
        )
    numbers = [int((turn + start) * len(usable) / count) for turn in range(count)]
    return {number: usable[number] for number in numbers}
