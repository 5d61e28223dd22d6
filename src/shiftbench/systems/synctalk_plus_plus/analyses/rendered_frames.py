"""Pictures of an external renderer beside the true ones: `psnr`, `ssim`, `lmd` and `landmark_jitter` of each clip.

PSNR and SSIM need
`whole/` and `whole_truth/`, as many whole frames of the same size: SyncTalk's 32.20 dB and LMD of 2.82 are of frames of
512 x 512 px, and a face crop would have other values. LMD needs both landmark lists of landmarks.json, jitter the list
`found`, in pixels of whole frames. A clip without one of them has no row of what needs it; one without any is an error.
Landmarks are those of the user's detector, of which LMD takes the mouth (48 to 67) where there are 68.

Source: ZiqiaoPeng/SyncTalk, nerf_triplane/utils.py (`PSNRMeter`, `LMDMeter`), whose landmarks are FAN's or dlib's.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.statistics import motion
from shiftbench.systems.synctalk_plus_plus.datasets import rendered_clips

MOUTH = slice(48, 68)


class Options(declare.Options):
    path: str = Field("", description="folder of clips, as for the data set `rendered_clips`")
    renderer: str = Field("renderer", description="name of the renderer in the rows")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: the folders are the user's."""
    return []


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield each clip's measures.

    Raises:
        DataError: a clip with nothing to compare, or whose parts do not fit each other.
    """
    params = job.params
    weights = f"{params['dataset']}/{params['renderer']}"
    for folder in rendered_clips.clips(Path(params["path"])):
        for metric, value in measures(folder).items():
            yield Observation(
                metric, folder.name, value, weights, params["dataset"], params["split"], shift="identity", severity=0.0
            )


def measures(folder: Path) -> dict[str, float]:
    """Measures of one clip, as far as it has the files.

    Raises:
        DataError: nothing can, or its parts do not fit each other.
    """
    values: dict[str, float] = {}
    if (folder / "whole_truth").is_dir():
        values |= _of_frames(folder)
    if (folder / "landmarks.json").is_file():
        values |= _of_landmarks(folder / "landmarks.json")
    if not values:
        raise DataError(f"{folder} has neither whole_truth/ nor landmarks.json; there is nothing to measure")
    return values


def _of_frames(folder: Path) -> dict[str, float]:
    """Means over whole frames, which are read one by one."""
    rendered, truth = (rendered_clips.pictures(folder / name) for name in ("whole", "whole_truth"))
    if len(rendered) != len(truth):
        raise DataError(f"{folder}: whole/ has {len(rendered)} frames, whole_truth/ {len(truth)}; expected as many")
    each = []
    for rendered_file, true_file in zip(rendered, truth, strict=True):
        a, b = rendered_clips.read_frames([rendered_file]), rendered_clips.read_frames([true_file])
        if a.shape != b.shape:
            raise DataError(f"{rendered_file} is {a.shape[1:3]}, {true_file} {b.shape[1:3]}; expected one size")
        each.append((motion.psnr(a, b), motion.ssim(a, b)))
    psnr, ssim = np.mean(each, axis=0)
    return {"psnr": float(psnr), "ssim": float(ssim)}


def _of_landmarks(file: Path) -> dict[str, float]:
    content = json.loads(file.read_text())
    rendered = _mouth(content.get("found"), file)
    values = {"landmark_jitter": motion.jitter(rendered)}
    if "truth" in content:
        truth = _mouth(content["truth"], file)
        if truth.shape != rendered.shape:
            raise DataError(f"{file}: found are {rendered.shape}, true {truth.shape}; expected the same")
        values["lmd"] = motion.landmark_distance(rendered, truth)
    return values


def _mouth(points: Any, file: Path) -> NDArray[np.float64]:
    try:
        landmarks = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        landmarks = np.zeros(0)
    if landmarks.ndim != 3 or landmarks.shape[1] not in (20, 68) or landmarks.shape[2] != 2 or len(landmarks) < 3:
        raise DataError(
            f"{file}: expected 20 or 68 points x, y for each of three frames or more, found {landmarks.shape}"
        )
    return landmarks[:, MOUTH] if landmarks.shape[1] == 68 else landmarks
