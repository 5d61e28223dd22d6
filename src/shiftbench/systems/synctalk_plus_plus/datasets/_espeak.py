"""Speech by espeak-ng with the time of each phoneme; helper of what is spoken here.

Source: espeak-ng 1.52 (https://github.com/espeak-ng/espeak-ng), its library called as `speak_lib.h` says: phoneme
events need initialisation with option 1, and are of type 7. It runs in a process of its own (`_espeak_worker.py`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, suggest

SOURCE = "espeak_ng"
WORKER = "_espeak_worker.py"
VARIANTS = "espeak-ng-data/voices/!v"
_SWITCH = re.compile(r"\([a-z-]+\)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence: int16 samples, their rate in Hz, and each phoneme with the number of its first sample, in order."""

    wave: NDArray[np.int16]
    rate: int
    phonemes: tuple[tuple[int, str], ...]

    def trimmed(self) -> Spoken:
        """The sentence without the pauses before its first sound and behind its last one.

        Raises:
            DataError: nothing but pauses.
        """
        sounds = [index for index, (_, name) in enumerate(self.phonemes) if not is_pause(name)]
        if not sounds:
            raise DataError("espeak-ng said nothing")
        first, last = self.phonemes[sounds[0]][0], sounds[-1] + 1
        end = self.phonemes[last][0] if last < len(self.phonemes) else len(self.wave)
        phonemes = self.phonemes[sounds[0] : last]
        shifted = tuple((start - first, name) for start, name in phonemes)
        return Spoken(self.wave[first:end], self.rate, shifted)


def is_pause(name: str) -> bool:
    """Whether a phoneme is a pause: its name begins with an underscore, or is empty.

    `_!` is none: it is the glottal onset of a German vowel, within a word or between two.
    """
    return not name or (name.startswith("_") and not name.startswith("_!"))


def speak(folder: Path, requests: Iterable[dict[str, Any]]) -> Iterator[Spoken]:
    """Yield the speech of each request, in order.

    Args:
        folder: of the source `espeak_ng`.
        requests: `text`, `voice`, `pitch` (0 to 99, usually 50) and `rate` (words a minute, usually 175).

    A voice may switch to another language for some words, and says so by events as `(en)`. Such a clip is refused:
    it is not in the language of its voice.

    Raises:
        DataError: no such voice or variant, a voice that switches to another language, or the library ended.
    """
    worker = Path(__file__).with_name(WORKER)
    command = [sys.executable, "-I", str(worker), str(folder.resolve())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        for request in requests:
            _check_variant(folder, request["voice"])
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            yield _answer(process.stdout, request)
        process.stdin.close()


def _answer(stream: IO[bytes], request: dict[str, Any]) -> Spoken:
    line = stream.readline()
    reply: dict[str, Any] = {"error": "it could not be loaded on this machine"}
    if line:
        reply = json.loads(line)
    if "error" in reply:
        raise DataError(f"espeak-ng: {reply['error']}; asked for {request['text']!r}")
    wave = np.frombuffer(stream.read(2 * reply["samples"]), dtype="<i2").astype(np.int16)
    switches = sorted({name for _, name in reply["events"] if _SWITCH.fullmatch(name)})
    if switches:
        raise DataError(
            f"espeak-ng: the voice {request['voice']!r} switches language ({', '.join(switches)}) in "
            f"{request['text']!r}; expected one language: take a voice that does not switch, or a text in its language"
        )
    return Spoken(wave, reply["rate"], tuple((position, name) for position, name in reply["events"]))


def _check_variant(folder: Path, voice: str) -> None:
    """Refuse an unknown variant, which espeak-ng passes over."""
    _, plus, variant = voice.partition("+")
    known = folder / VARIANTS
    if plus and known.is_dir() and not (known / variant).is_file():
        names = [file.name for file in known.iterdir()]
        raise DataError(f"espeak-ng: no variant {variant!r} of voice {voice!r}; {suggest(variant, names)}")
