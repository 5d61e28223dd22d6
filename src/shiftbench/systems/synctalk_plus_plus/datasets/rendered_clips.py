"""What an external renderer made: for each clip a folder of frames and the sound that drove it.

    PATH/NAME/frames/*.png (or .jpg)     face crops of one size, 25 a second, in the order of their names
    PATH/NAME/audio.wav                  the sound; of any rate, width and number of channels
    PATH/NAME/truth/*.png                true frames, if any (`analyses/rendered_frames.py` compares them)
    PATH/NAME/landmarks.json             {"found": [[[x, y], ...], ...], "truth": ...}, likewise

A clip is cut into pieces of `piece` frames, the rest of fewer than `least` is left out with the clip's name; a piece
knows its clip (`meta.cluster`), which is what is resampled. Only `frames` and `audio.wav` are read here.

Source: the protocol of SyncTalk (ZiqiaoPeng/SyncTalk) and SyncTalk++: a person's model is driven by each sound, and
judged with and without true frames. SyncTalk's data are transforms_train.json and transforms_val.json beside the
frames; what it writes is a video, whose frames and sound any tool takes apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from shiftbench.data import audio, frames
from shiftbench.errors import DataError
from shiftbench.sample import Sample

TASK = "audio_visual"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's"
CITATION = "Peng et al., SyncTalk++, 2025, arXiv:2506.14742 (protocol)"
REDISTRIBUTE = False
PARAMS: dict[str, object] = {"path": "", "piece": 125, "least": 50}
KINDS = (".png", ".jpg", ".jpeg")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Return what the user must bring."""
    return {str(params["path"]): "a folder for each clip, with frames/ and audio.wav"}


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield each piece of each clip: `frames` (t h, w, 3), `audio`, `meta`; a piece that is too short as an error.

    Raises:
        DataError: no clips; or one without frames or sound, with frames of several sizes, or a sound that ends early.
    """
    folders = clips(Path(params["path"]))
    for folder in folders:
        files = pictures(folder / "frames")
        wave = audio.read(folder / "audio.wav")
        needed = (len(files) - 1) * frames.SAMPLES + 1
        if len(wave) < needed:
            raise DataError(
                f"{folder}: the sound has {len(wave)} samples at {audio.RATE} Hz and ends before the last of "
                f"{len(files)} frames; expected {needed} or more"
            )
        for first in range(0, len(files), params["piece"]):
            part = files[first : first + params["piece"]]
            if len(part) < min(params["least"], params["piece"]):
                yield DataError(
                    f"{folder}: the last {len(part)} frames are fewer than {params['least']}, and left out"
                )
                continue
            sound = wave[first * frames.SAMPLES : (first + len(part)) * frames.SAMPLES]
            strip = opened(part).reshape(-1, *opened(part[:1]).shape[2:])
            name = folder.name.replace(".", "_")
            meta = {"frames": str(len(part)), "cluster": name}
            key = f"{params.get('name', 'rendered_clips')}/test/{name}_{first:06d}"
            yield Sample(key, {"frames": strip, "audio": sound, "meta": meta})


def clips(root: Path) -> list[Path]:
    """Return the folders of the clips.

    Raises:
        DataError: there are none.
    """
    found = sorted(file.parent for file in root.glob("*/audio.wav"))
    if not found:
        raise DataError(f"no clips in {root}: expected NAME/audio.wav and NAME/frames/*.png")
    return found


def pictures(folder: Path) -> list[Path]:
    """Return the files of frames, in the order of their names.

    Raises:
        DataError: there are none.
    """
    found = sorted(file for file in folder.glob("*") if file.suffix.lower() in KINDS)
    if not found:
        raise DataError(f"{folder} holds no frames ({', '.join(KINDS)})")
    return found


def opened(files: list[Path]) -> np.ndarray:
    """Return frames uint8 (t, h, w, 3).

    Raises:
        DataError: one that cannot be read, or of another size than the first.
    """
    found: list[np.ndarray] = []
    for file in files:
        try:
            with Image.open(file, formats=["PNG", "JPEG"]) as image:
                found.append(np.asarray(image.convert("RGB")))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{file} cannot be read as a frame: {error}") from error
        if found[-1].shape != found[0].shape:
            raise DataError(
                f"{file} is {found[-1].shape[:2]}, and {files[0]} {found[0].shape[:2]}; expected one size"
            )
    return np.stack(found)
