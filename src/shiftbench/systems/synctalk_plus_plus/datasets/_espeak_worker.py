"""Speaks in a process of its own: lines of JSON in, for each a line of JSON and 16-bit samples out.

    python -I _espeak_worker.py FOLDER       FOLDER holds libespeak-ng.so and espeak-ng-data

Each request, {"text", "voice", "pitch", "rate"}, is spoken by a child that is forked from the library as it was
initialised, with its generator seeded: what the library keeps between sentences (phases, flutter, breath) then
depends on nothing, so that a sentence has the same samples whatever was spoken before. The answer is {"samples",
"rate", "events"}, each event a sample number and a phoneme, or {"error"}. Nothing is imported but the standard
library.
"""

import ctypes
import json
import os
import sys
from typing import Any, BinaryIO

RETRIEVAL, PHONEMES = 2, 1  # espeak_AUDIO_OUTPUT and espeakINITIALIZE_PHONEME_EVENTS of speak_lib.h
END, PHONEME = 0, 7  # of espeak_EVENT_TYPE
RATE, PITCH = 1, 3  # of espeak_PARAMETER
UTF8 = 1


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Speaker:
    """The library, initialised once.

    Args:
        folder: holds the library and its data.
    """

    def __init__(self, folder: str) -> None:
        self._library = ctypes.CDLL(os.path.join(folder, "libespeak-ng.so"))  # noqa: PTH118
        self.rate = self._library.espeak_Initialize(RETRIEVAL, 0, folder.encode(), PHONEMES)
        self._samples: list[bytes] = []
        self._events: list[tuple[int, str]] = []
        self._heard = _Heard(self._hear)
        self._library.espeak_SetSynthCallback(self._heard)

    def _hear(self, wave: Any, count: int, events: Any) -> int:
        if count > 0:
            self._samples.append(ctypes.string_at(wave, 2 * count))
        index = 0
        while events[index].type != END:
            if events[index].type == PHONEME:
                self._events.append((events[index].sample, events[index].id.string.decode("utf-8", "replace")))
            index += 1
        return 0

    def speak(self, request: dict[str, Any], out: BinaryIO) -> None:
        """Speak one request; to be called once in each child."""
        library, seed = self._library, ctypes.c_long(1)
        library.espeak_ng_SetRandSeed(seed)
        ctypes.CDLL(None).srand(1)
        if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            _answer(out, {"error": f"no voice {request['voice']!r}"})
            return
        library.espeak_SetParameter(RATE, request["rate"], 0)
        library.espeak_SetParameter(PITCH, request["pitch"], 0)
        text = request["text"].encode()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
        body = b"".join(self._samples)
        reply = {"samples": len(body) // 2, "rate": self.rate, "events": self._events}
        _answer(out, reply, body)


def _answer(out: BinaryIO, reply: dict[str, Any], body: bytes = b"") -> None:
    out.write(json.dumps(reply).encode() + b"\n" + body)
    out.flush()


def main(folder: str) -> None:
    """Answer requests until there are no more."""
    speaker = Speaker(folder)
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            speaker.speak(json.loads(line), sys.stdout.buffer)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            _answer(sys.stdout.buffer, {"error": "espeak-ng ended with an error"})


if __name__ == "__main__":
    main(sys.argv[1])
