"""Clips of an external renderer: for each clip a folder of face crops and the sound that drove it.

    PATH/NAME/frames/*.jpg (or .png)     face crops of 224 x 224 px, 25 a second, in the order of their names
    PATH/NAME/audio.wav                  the sound; of any rate, width and number of channels
    PATH/NAME/truth/*.jpg                crops of the real video with this sound, if any: a dataset with `part: truth`
    PATH/NAME/whole/*.png                whole frames, and true ones (`whole_truth/`): `analyses/rendered_frames.py`
    PATH/NAME/landmarks.json             {"found": [[[x, y], ...], ...], "truth": ...}, in pixels of whole frames

A clip is one sample, since SyncNet takes minimum and median of one curve over a whole track. A clip of more than
1,000,000 rows (4,464 frames of 224 px, 2 min 58 s) is refused: a PNG has no more.

LSE depends on the crop. The released one is `run_pipeline.py` of joonson/syncnet_python: S3FD's box, centre and half
side bs smoothed by a median over 13 frames; rows from my - bs to my + 1.8 bs and columns mx +- 1.4 bs, which leans to
the chin; grey of 110 beyond the picture; 224 px, XVID, then JPEG. The README of SyncTalk++ has its commands.

Source: the protocol of SyncTalk (ZiqiaoPeng/SyncTalk) and SyncTalk++: a person's model is driven by each sound, and
judged with and without true frames; `run_pipeline.py` and `SyncNetInstance.py` of joonson/syncnet_python.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import audio, frames
from shiftbench.plugins import declare

TASK = "audio_visual"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's"
CITATION = "Peng et al., SyncTalk++, 2025, arXiv:2506.14742 (protocol)"
REDISTRIBUTE = False
PARTS = ("frames", "truth")
KINDS = (".png", ".jpg", ".jpeg")
ROWS = 1_000_000
"""Most rows of a PNG, in which a clip's frames are kept one below the other."""


class Options(declare.Options):
    path: str = Field("", description="folder with a folder for each clip")
    part: Literal["frames", "truth"] = Field("frames", description="rendered crops, or those of the real video")
    side: int = Field(224, ge=0, description="side of the crops, in pixels; 0: any")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide."""
    return {str(params["path"]): f"a folder for each clip, with {params['part']}/ and audio.wav"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield each clip: `frames` (t h, w, 3), `audio`, `meta`.

    Raises:
        ParamsError: `part` is none of a clip.
        DataError: no clips; or one without frames or sound, with frames of another size, too many of them, or a sound
            that ends early.
    """
    part = params["part"]
    if part not in PARTS:
        raise ParamsError(f"rendered_clips: part is {part!r}; {suggest(part, PARTS)}")
    for folder in clips(Path(params["path"])):
        crops = read_frames(pictures(folder / part))
        _check(folder / part, crops, params["side"])
        wave = audio.read(folder / "audio.wav")
        least_samples = (len(crops) - 1) * frames.SAMPLES + 1
        if len(wave) < least_samples:
            raise DataError(
                f"{folder}: the sound has {len(wave)} samples at {audio.RATE} Hz and ends before the last of "
                f"{len(crops)} frames; expected {least_samples} or more"
            )
        name = folder.name.replace(".", "_")
        meta = {"frames": str(len(crops)), "cluster": name}
        fields = {
            "frames": crops.reshape(-1, *crops.shape[2:]),
            "audio": wave[: len(crops) * frames.SAMPLES],
            "meta": meta,
        }
        yield Sample(f"{params.get('name', 'rendered_clips')}/test/{name}", fields)


def _check(folder: Path, crops: np.ndarray, side: int) -> None:
    height, width = crops.shape[1:3]
    if side and (height, width) != (side, side):
        raise DataError(
            f"{folder}: frames are {height} x {width}, expected crops of {side} x {side}; make them with "
            "run_pipeline.py of joonson/syncnet_python"
        )
    if len(crops) * height > ROWS:
        raise DataError(
            f"{folder} has {len(crops)} frames of {height} px; expected at most {ROWS // height}; cut the video"
        )


def clips(root: Path) -> list[Path]:
    """The folders of the clips.

    Raises:
        DataError: there are none.
    """
    folders = sorted(file.parent for file in root.glob("*/audio.wav"))
    if not folders:
        raise DataError(f"no clips in {root}: expected NAME/audio.wav and NAME/frames/*.png")
    return folders


def pictures(folder: Path) -> list[Path]:
    """The files of frames, in the order of their names.

    Raises:
        DataError: there are none.
    """
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in KINDS)
    if not files:
        raise DataError(f"{folder} holds no frames ({', '.join(KINDS)})")
    return files


def read_frames(files: list[Path]) -> np.ndarray:
    """Frames uint8 (t, h, w, 3).

    Raises:
        DataError: one that cannot be read, or of another size than the first.
    """
    images: list[np.ndarray] = []
    for file in files:
        try:
            with Image.open(file, formats=["PNG", "JPEG"]) as image:
                images.append(np.asarray(image.convert("RGB")))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{file} cannot be read as a frame: {error}") from error
        if images[-1].shape != images[0].shape:
            raise DataError(
                f"{file} is {images[-1].shape[:2]}, and {files[0]} {images[0].shape[:2]}; expected one size"
            )
    return np.stack(images)
