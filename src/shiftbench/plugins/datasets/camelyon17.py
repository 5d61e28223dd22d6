"""Camelyon17-WILDS 1.0: patches of lymph nodes, tumour in the middle or not, from five hospitals.

    datasets:
      camelyon17:
        path: /data/camelyon17_v1.0
        counts: {train: 302436, test: 85054}

`path` is the folder of the release, with `metadata.csv` and `patches/patient_*_node_*/*.png` of 96 x 96 pixels.
Hospitals 0, 3 and 4 train; `val` has their held-out patches (`id_val` of the release) and hospital 1, the validation
out of distribution; hospital 2 is the test. `meta` has `environment`, `hospital_0` and so on, which is the record's
group, and the slide as cluster. Nothing is downloaded; shards stay local.

Source: Koh et al., "WILDS: A Benchmark of in-the-Wild Distribution Shifts", ICML 2021, arXiv:2012.07421; columns, names
of files and hospitals are those of its `Camelyon17Dataset`, split scheme `official`; Bandi et al. 2018, IEEE TMI 38(2).
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError, RangeError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _options
from shiftbench.plugins.datasets._pictures import read_array

TITLE = "Camelyon17-WILDS"
TASK = "classification"
CLASSES = ("normal", "tumor")
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC0"
CITATION = (
    "Koh et al., WILDS: A Benchmark of in-the-Wild Distribution Shifts, ICML 2021, arXiv:2012.07421; Bandi et al., "
    "From detection of individual metastases to classification of lymph node status at the patient level, IEEE TMI 2018"
)
REDISTRIBUTE = False
IN_ORDER = True
VAL_CENTER, TEST_CENTER = 1, 2
TRAIN, ID_VAL = "0", "1"
"""Of the column `split`, of the other hospitals."""
COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "slide", "center", "split")

Row = dict[str, str]


class Options(declare.Options):
    path: str = Field("", description="folder of the release, camelyon17_v1.0")
    counts: _options.Counts = Field({})


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides: path -> description."""
    root = _root(params)
    table = "the table of Camelyon17-WILDS 1.0"
    return {str(root / "metadata.csv"): table, str(root / "patches"): "its patches, 10.7 GB packed"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split in the order of keys: `image` uint8 (96, 96, 3), `label`, `meta`.

    A patch that is missing or broken, and a label that is neither 0 nor 1, are yielded as errors.
    """
    root = _root(params)
    rows = sorted(((_patch(row), row) for row in _rows(root) if split_of(row) == split), key=lambda r: r[0])
    expected = params["counts"].get(split, len(rows) or 1)
    if len(rows) != expected:
        raise DataError(f"{root / 'metadata.csv'} has {len(rows)} rows of {split}, not {expected}")
    before = ""
    for patch, row in rows:
        if patch == before:
            raise DuplicateKeyError(f"{patch} is named by two rows; remove one")
        before = patch
        try:
            yield _sample(root, patch, row)
        except DataError as error:
            yield error


def split_of(row: Row) -> str:
    """The split that a row of the table belongs to; empty: none."""
    center = int(row["center"])
    if center in (VAL_CENTER, TEST_CENTER):
        return "val" if center == VAL_CENTER else "test"
    return {TRAIN: "train", ID_VAL: "val"}.get(row["split"], "")


def _root(params: dict[str, Any]) -> Path:
    if not params["path"]:
        raise ParamsError("camelyon17: option path is missing; name the folder camelyon17_v1.0")
    return Path(params["path"]).expanduser()


def _rows(root: Path) -> Iterator[Row]:
    file = root / "metadata.csv"
    if not file.is_file():
        raise DataError(f"the table {file} does not exist; check camelyon17's path")
    with file.open(encoding="utf-8", newline="") as stream:
        table = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise DataError(f"{file} lacks {', '.join(missing)}; expected {', '.join(COLUMNS)}")
        yield from table


def _patch(row: Row) -> str:
    """The path of a patch below `patches`, without its suffix."""
    person = f"patient_{row['patient']}_node_{row['node']}"
    return f"{person}/patch_{person}_x_{row['x_coord']}_y_{row['y_coord']}"


def _sample(root: Path, patch: str, row: Row) -> Sample:
    if row["tumor"] not in ("0", "1"):
        raise RangeError(f"camelyon17/{patch}: tumor is {row['tumor']!r}; expected 0 or 1")
    file = root / "patches" / f"{patch}.png"
    if not file.is_file():
        raise DataError(f"camelyon17/{patch}: the patch {file} does not exist")
    hospital = f"hospital_{int(row['center'])}"
    meta = {"environment": hospital, "group": hospital, "cluster": f"slide_{int(row['slide'])}"}
    image = read_array(file, f"camelyon17/{patch}")
    return Sample(f"camelyon17/{patch}", {"image": image, "label": int(row["tumor"]), "meta": meta})
