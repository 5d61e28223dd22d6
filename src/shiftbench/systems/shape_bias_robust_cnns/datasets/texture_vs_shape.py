"""The stimuli of Geirhos et al. 2019 by their file names: cue conflicts, edges and filled silhouettes of 16 categories.

    datasets:
      cue_conflict: {use: texture_vs_shape, path: /data/texture-vs-shape}
      silhouettes: {use: texture_vs_shape, path: /data/texture-vs-shape, stimuli: filled-silhouettes}

In `stimuli/NAME/CATEGORY/` of https://github.com/rgeirhos/texture-vs-shape a conflict is
`cat7-elephant3.png`, the shape of cat7 and the texture of elephant3, every other picture `cat7.png`. `label` is the
shape's category, `meta.group` the texture's with its number, as `11_elephant`, and `meta.shape` and `meta.texture` name
the pictures that both come from. Of 1,280 conflicts 80 have shape and texture of one category.

Source: Geirhos et al., "ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy and
robustness", ICLR 2019, arXiv:1811.12231.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets._pictures import read_array

TASK = "classification"
CLASSES = (
    *("airplane", "bear", "bicycle", "bird", "boat", "bottle", "car", "cat"),
    *("chair", "clock", "dog", "elephant", "keyboard", "knife", "oven", "truck"),
)
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE = "CC BY 4.0 (as the repository's DATASET_LICENSE states)"
CITATION = (
    "Geirhos, Rubisch, Michaelis, Bethge, Wichmann and Brendel, ImageNet-trained CNNs are biased towards texture; "
    "increasing shape bias improves accuracy and robustness, ICLR 2019, arXiv:1811.12231"
)
REDISTRIBUTE = False
IN_ORDER = True
CONFLICTS: Final = "style-transfer-preprocessed-512"
STIMULI = {CONFLICTS: 1280, "edges": 160, "filled-silhouettes": 160}
_NAME = re.compile(r"(?P<shape>(?P<kind>[a-z]+)[0-9]+)(?:-(?P<texture>(?P<other>[a-z]+)[0-9]+))?\.png")


class Options(declare.Options):
    path: str = Field("", description="a clone of rgeirhos/texture-vs-shape")
    stimuli: Literal["style-transfer-preprocessed-512", "edges", "filled-silhouettes"] = Field(
        CONFLICTS, description="folder of stimuli"
    )
    complete: bool = Field(True, description="refuse a folder with another number of pictures than the published one")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `test`: `image` uint8 (224, 224, 3), `label` 0 to 15, `meta` with both cues; a bad picture as its error.

    Raises:
        ParamsError: no path, or other stimuli.
        DataError: no folder, or another number of pictures.
    """
    folder = _folder(params)
    files = sorted(folder.glob("*/*.png")) if folder.is_dir() else []
    expected = STIMULI[params["stimuli"]] if params["complete"] else max(1, len(files))
    if len(files) != expected:
        raise DataError(
            f"{folder} holds {len(files)} pictures in folders of categories, expected {expected}; clone the repository "
            "again, or set complete: false for a part"
        )
    for file in files:
        try:
            yield _sample(file, params)
        except DataError as error:
            yield error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """The folder that the user must provide."""
    return {str(_folder(params)): "stimuli of a clone of rgeirhos/texture-vs-shape"}


def _folder(params: dict[str, Any]) -> Path:
    if not params["path"]:
        raise ParamsError("texture_vs_shape: option path is missing; give a clone of rgeirhos/texture-vs-shape")
    if params["stimuli"] not in STIMULI:
        raise ParamsError(f"texture_vs_shape: stimuli is {params['stimuli']!r}; {suggest(params['stimuli'], STIMULI)}")
    return Path(params["path"]).expanduser() / "stimuli" / str(params["stimuli"])


def _sample(file: Path, params: dict[str, Any]) -> Sample:
    name, cue = params.get("name", "texture_vs_shape"), _NAME.fullmatch(file.name)
    if cue is None or cue["kind"] not in CLASSES or cue["kind"] != file.parent.name:
        raise DataError(
            f"{file}: a picture of the folder {file.parent.name} is called {file.name}; expected its category and a "
            "number, as in cat7.png, or of a conflict cat7-elephant3.png"
        )
    conflict = params["stimuli"] == CONFLICTS
    if conflict != (cue["texture"] is not None) or (conflict and cue["other"] not in CLASSES):
        raise DataError(
            f"{file}: {'no texture that is one of the 16 categories' if conflict else 'a texture'} in the name of a "
            f"picture of {params['stimuli']}"
        )
    key = f"{name}/test/{file.stem}"
    meta = {"shape": cue["shape"]}
    if conflict:
        number = CLASSES.index(cue["other"])
        meta |= {"texture": cue["texture"], "group": f"{number:02d}_{cue['other']}"}
    fields = {"image": read_array(file, key), "label": CLASSES.index(cue["kind"]), "meta": meta}
    return Sample(key, fields)
