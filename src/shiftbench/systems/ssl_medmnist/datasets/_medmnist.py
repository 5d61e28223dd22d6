"""Eleven sets of MedMNIST v2 from your own copies: NAME_64.npz as Zenodo has them, one file a set.

    datasets:
      breast_mnist: {root: data/own/medmnist}

`breastmnist_64.npz` (`size: 28`: `breastmnist.npz`) has the arrays train_images, train_labels and so on of the authors'
splits. A file is read sample by sample,
in the order of its rows, and no array of pictures is held. ChestMNIST has 14 labels a picture and is left
out, as in "Evaluating Self-Supervised Learning in Medical Imaging".

OrganA, OrganC and OrganS are slices of the same CT volumes along three axes: a model that learns from one has seen the
patients of the others (`SAME_VOLUMES`). RetinaMNIST's labels are grades, here classes.

Source: Yang et al., "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image classification",
Scientific Data 2023, doi:10.1038/s41597-022-01721-8; names, numbers and MD5 from medmnist 3.0.2 (`medmnist/info.py`).
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _official

TASK = "classification"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
CITATION = (
    "Yang et al., MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D biomedical image classification, "
    "Scientific Data 10, 2023, doi:10.1038/s41597-022-01721-8"
)
LICENCE = "CC BY 4.0"
REDISTRIBUTE = False
IN_ORDER = True
NON_COMMERCIAL = ("dermamnist",)
SAME_VOLUMES = ("organamnist", "organcmnist", "organsmnist")
ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right"),
    *("liver", "lung-left", "lung-right", "pancreas", "spleen"),
)
NAMES: dict[str, tuple[str, ...]] = {
    "pathmnist": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle"),
        *("normal colon mucosa", "cancer-associated stroma"),
        "colorectal adenocarcinoma epithelium",
    ),
    "dermamnist": (
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma"),
        *("benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi"),
        "vascular lesions",
    ),
    "octmnist": (*("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast"),
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        *("lymphocyte", "monocyte", "neutrophil", "platelet"),
    ),
    "tissuemnist": (
        *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule"),
        *("Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes"),
        *("Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb"),
    ),
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
}
"""Flag -> class names, in label order."""
COUNTS = {
    "pathmnist": (89996, 10004, 7180),
    "dermamnist": (7007, 1003, 2005),
    "octmnist": (97477, 10832, 1000),
    "pneumoniamnist": (4708, 524, 624),
    "retinamnist": (1080, 120, 400),
    "breastmnist": (546, 78, 156),
    "bloodmnist": (11959, 1712, 3421),
    "tissuemnist": (165466, 23640, 47280),
    "organamnist": (34561, 6491, 17778),
    "organcmnist": (12975, 2392, 8216),
    "organsmnist": (13932, 2452, 8827),
}
"""Flag -> samples of train, val and test."""
MD5 = {
    "pathmnist": {28: "a8b06965200029087d5bd730944a56c1", 64: "55aa9c1e0525abe5a6b9d8343a507616"},
    "dermamnist": {28: "0744692d530f8e62ec473284d019b0c7", 64: "b70a2f5635c6199aeaa28c31d7202e1f"},
    "octmnist": {28: "c68d92d5b585d8d81f7112f81e2d0842", 64: "e229e9440236b774d9f0dfef9d07bdaf"},
    "pneumoniamnist": {28: "28209eda62fecd6e6a2d98b1501bb15f", 64: "8f4eceb4ccffa70c672198ea285246c6"},
    "retinamnist": {28: "bd4c0672f1bba3e3a89f0e4e876791e4", 64: "afda852cc34dcda56f86ad2b2457dbcc"},
    "breastmnist": {28: "750601b1f35ba3300ea97c75c52ff8f6", 64: "742edef2a1fd1524b2efff4bd7ba9364"},
    "bloodmnist": {28: "7053d0359d879ad8a5505303e11de1dc", 64: "2b94928a2ae4916078ca51e05b6b800b"},
    "tissuemnist": {28: "ebe78ee8b05294063de985d821c1c34b", 64: "123ece2eba09d0aa5d698fda57103344"},
    "organamnist": {28: "68e3f8846a6bd62f0c9bf841c0d9eacc", 64: "2dcccc29b88e6da5a01161ef20cda288"},
    "organcmnist": {28: "b9ceb9546e10131b32923c5bbeaea2b1", 64: "3ce34a8724ea6f548e6db4744d03b6a9"},
    "organsmnist": {28: "9ab87b696fb54e2a387ebe992d6ed5f1", 64: "53a6d115339d874c25e309a994ff46d3"},
}
"""Flag -> side in pixels -> MD5 of the file."""


class Options(declare.Options):
    flag: str = Field("", description="MedMNIST's name of the set, for example breastmnist")
    root: str = Field("", description="folder with your copies of MedMNIST's files")
    size: int = Field(64, ge=1, description="side of the images, in pixels, as in the name of the file")
    md5: str = Field("", description="MD5 of the file; empty: the one of medmnist 3.0.2")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Class names and licence of the set."""
    flag = str(options["flag"])
    free = flag not in NON_COMMERCIAL
    return {"CLASSES": NAMES[flag], "LICENCE": "CC BY 4.0" if free else "CC BY-NC 4.0"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train`, `val` or `test` as `NAME/train/000123`, the row in the file.

    `image` is uint8 (s, s) or (s, s, 3), `label` the class.

    Raises:
        ChecksumError: the file is another than is pinned.
        DataError: no such file, or no arrays as MedMNIST has them.
    """
    file, md5 = _file(params), _pinned(params)
    _check(file, md5)
    name = params.get("name", params["flag"])
    try:
        with zipfile.ZipFile(file) as archive:
            labels = _read_labels(archive, f"{split}_labels")
            for row, image in enumerate(_rows(archive, f"{split}_images", len(labels))):
                yield Sample(f"{name}/{split}/{row:06d}", {"image": image, "label": int(labels[row])})
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise DataError(f"{file} is not as MedMNIST's files are: {error}") from error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide for a split: path -> description."""
    return {str(_file(params)): f"MedMNIST's file, MD5 {_pinned(params)}"}


def _file(params: Mapping[str, Any]) -> Path:
    size = "" if params["size"] == 28 else f"_{params['size']}"
    return _official.root(str(params["flag"]), params) / f"{params['flag']}{size}.npz"


def _pinned(params: Mapping[str, Any]) -> str:
    """The MD5 that the file should have.

    Raises:
        ParamsError: none is known of this size.
    """
    known = MD5[params["flag"]]
    if not params["md5"] and params["size"] not in known:
        raise ParamsError(f"{params['flag']}: size is {params['size']}; expected 28 or 64, or state the file's `md5`")
    return params["md5"] or known[params["size"]]


def _check(file: Path, md5: str) -> None:
    if not file.is_file():
        raise DataError(f"{file} does not exist; check root, or download it from Zenodo 10519652")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
    if digest != md5:
        raise ChecksumError(
            f"{file} has MD5 {digest}, expected {md5} (medmnist 3.0.2); sets were released anew between "
            "versions: download it again, or state its `md5`"
        )


def _head(stream: IO[bytes], name: str) -> tuple[int, ...]:
    """The shape of an array of bytes, the stream at its first one.

    Raises:
        ValueError: other values, or columns first.
    """
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    shape, columns_first, kind = read[np.lib.format.read_magic(stream)[0]](stream)
    if columns_first or kind != np.uint8:
        raise ValueError(f"{name} holds {kind}, expected uint8, rows first")
    return shape


def _read_labels(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    """Labels (n,) of an array (n, 1)."""
    with archive.open(f"{name}.npy") as stream:
        shape = _head(stream, name)
        if len(shape) != 2 or shape[1] != 1:
            raise ValueError(f"{name} has shape {shape}, expected one label a row")
        return np.frombuffer(stream.read(), np.uint8, shape[0])


def _rows(archive: zipfile.ZipFile, name: str, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of an array, one after the other."""
    with archive.open(f"{name}.npy") as stream:
        shape = _head(stream, name)
        if shape[0] != count or len(shape) not in (3, 4):
            raise ValueError(f"{name} has shape {shape}, with {count} labels")
        size = int(np.prod(shape[1:]))
        for _ in range(count):
            yield np.frombuffer(stream.read(size), np.uint8).reshape(shape[1:])
