"""Mouths of phonemes: how far a mouth is open and how wide, as a curve over the frames of a clip.

A phoneme of espeak-ng is looked up by the longest beginning of its name in `SHAPES`; pauses are a closed mouth, what is
unknown a neutral one. Steps from phoneme to phoneme are smoothed by a Gaussian of 40 ms. Three values of the upper face
go with the speech: `brow` rises with stressed syllables (smoothed by 80 ms), `lids` close for a moment at the start of
every pause and clip, `cheeks` follow the width of the last half second.

All in whole numbers, thousandths, so that targets are the same on every CPU.

Source: the table is ours, after the viseme classes of Fisher, "Confusions among visually perceived consonants", 1968,
and vowel openness and rounding of the IPA chart; names are Kirshenbaum's as espeak-ng has them.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.data import frames
from shiftbench.systems.synctalk_plus_plus.datasets import _espeak

NAMES = ("openness", "width", "brow", "lids", "cheeks")
SHAPES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("p", "b", "m", "B"), (0, 450)),
    **dict.fromkeys(("f", "v"), (80, 500)),
    **dict.fromkeys(("w",), (180, 100)),
    **dict.fromkeys(("t", "d", "n", "l", "s", "z", "T", "D", "j"), (200, 600)),
    **dict.fromkeys(("S", "Z", "tS", "dZ"), (230, 280)),
    **dict.fromkeys(("k", "g", "N", "h", "x", "C", "Q"), (300, 520)),
    **dict.fromkeys(("r", "R", "*"), (260, 380)),
    **dict.fromkeys(("a", "A", "aI", "aU", "&"), (950, 600)),
    **dict.fromkeys(("E", "e"), (560, 750)),
    **dict.fromkeys(("i", "I"), (320, 900)),
    **dict.fromkeys(("0", "O", "V"), (720, 350)),
    **dict.fromkeys(("o",), (520, 200)),
    **dict.fromkeys(("u", "U", "y", "Y", "W"), (300, 100)),
    **dict.fromkeys(("@", "3"), (400, 500)),
}
NEUTRAL, CLOSED = (300, 500), (0, 500)
STRESS = "',%="
STEPS = 8  # to a frame: 5 ms each
HZ = frames.FPS * STEPS
MOUTH, BROW = 8, 16  # standard deviations in steps: 40 and 80 ms
BLINK = 3 * STEPS


def shape(name: str) -> tuple[int, int]:
    """Openness and width of a phoneme, in thousandths."""
    if _espeak.is_pause(name):
        return CLOSED
    unstressed = name.lstrip(STRESS)
    for size in range(len(unstressed), 0, -1):
        if unstressed[:size] in SHAPES:
            return SHAPES[unstressed[:size]]
    return NEUTRAL


def curves(spoken: _espeak.Spoken) -> NDArray[np.int64]:
    """The targets of a sentence, int64 (t, 5) in 0 to 1000, for every frame that begins within it."""
    count = -(-len(spoken.wave) * frames.FPS // spoken.rate)
    steps = _steps(spoken, count * STEPS)
    shapes = np.array([shape(name) for _, name in spoken.phonemes], dtype=np.int64)[steps]
    stressed = np.array([1000 * name.startswith("'") for _, name in spoken.phonemes])[steps]
    paused = np.array([_espeak.is_pause(name) for _, name in spoken.phonemes])[steps]
    starts = np.flatnonzero(paused & ~np.concatenate([[False], paused[:-1]]))
    lids = np.zeros(len(steps), np.int64)
    for start in (0, *starts.tolist()):
        lids[start : start + BLINK] = 1000
    width = _smooth(shapes[:, 1], MOUTH)
    sums = np.cumsum(np.concatenate([np.full(HZ // 2, width[0]), width]))
    cheeks = (sums[HZ // 2 :] - sums[: -(HZ // 2)]) // (HZ // 2)
    rows = [_smooth(shapes[:, 0], MOUTH), width, _smooth(stressed, BROW), _smooth(lids, MOUTH // 2), cheeks]
    return np.clip(np.stack(rows, axis=1)[STEPS // 2 :: STEPS], 0, frames.UNIT)  # type: ignore[no-any-return]


def _steps(spoken: _espeak.Spoken, count: int) -> NDArray[np.int64]:
    """The number of the phoneme that sounds in each step, int64 (count,)."""
    starts = np.array([start for start, _ in spoken.phonemes], dtype=np.int64)
    middles = (2 * np.arange(count, dtype=np.int64) + 1) * spoken.rate // (2 * HZ)
    numbers: NDArray[np.int64] = np.searchsorted(starts, middles, side="right") - 1
    return np.maximum(numbers, 0)


def _smooth(values: NDArray[np.int64], deviation: int) -> NDArray[np.int64]:
    """Values under a Gaussian of so many steps, the ends repeated; int64 (n,), rounded."""
    weights = _gaussian(deviation)
    padded = np.pad(values, len(weights) // 2, mode="edge")
    total = np.convolve(padded, weights, mode="valid")
    weight_sum = int(weights.sum())
    smooth: NDArray[np.int64] = (2 * total + weight_sum) // (2 * weight_sum)
    return smooth


@lru_cache(maxsize=4)
def _gaussian(deviation: int) -> NDArray[np.int64]:
    """The weights of a Gaussian over three deviations, in 1/4096 of the highest."""
    reach = range(-3 * deviation, 3 * deviation + 1)
    return np.array([round(4096 * math.exp(-0.5 * (k / deviation) ** 2)) for k in reach])
