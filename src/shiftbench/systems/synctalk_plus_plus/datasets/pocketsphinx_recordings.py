"""Ten recordings of people without any picture: five sentences read aloud, five commands of a card game.

Source: pocketsphinx's test data (Debian pocketsphinx-testdata): LibriVox's Sense and Sensibility, 16 kHz, and `cards`.
Pauses at the ends are kept.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data import audio

TASK = "audio_visual"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCE = "pocketsphinx_testdata"
SOURCES = (SOURCE,)
LICENCE = "BSD-2-Clause and others (package); recordings of LibriVox are in the public domain"
CITATION = "CMU Pocketsphinx, test data, https://github.com/cmusphinx/pocketsphinx; LibriVox, Sense and Sensibility"
REDISTRIBUTE = True
FOLDERS = ("cards", "librivox")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `test`: `audio`, and in `meta` the recording's name.

    Raises:
        DataError: the recordings are not there.
    """
    files = [file for name in FOLDERS for file in sorted((sources[SOURCE] / name).glob("*.wav"))]
    if not files:
        raise DataError(f"no recordings in {sources[SOURCE]}; `shiftbench fetch {SOURCE}`")
    for file in files:
        name = f"{file.parent.name}_{file.stem}".replace(".", "_")
        fields = {"audio": audio.read(file), "meta": {"recording": f"{file.parent.name}/{file.name}"}}
        yield Sample(f"pocketsphinx_recordings/test/{name}", fields)
