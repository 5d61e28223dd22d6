"""Header-only baseline: how well the files of pictures tell fakes from real ones without their pixels.

`header_auroc` uses a picture's header: format, size, kind of colour, coding parameters, and the names of the file's
parts. The score of a header is the share of fakes among the training pictures with this header, with one more fake and
one more real picture, so that a new header scores a half. `size_auroc` uses the number of bytes alone, where fewer
bytes mean a fake. Headers do not contain the number of bytes, because it depends on the pixels: smooth pictures take
fewer.

Each row is the area under the ROC curve as a mean over fakes: the share of real pictures with a lower score, and half
of those with an equal score. Scores are learned from the train split of the benchmark's data set. Rows are of the test
split of this data set and of each in `datasets`, in the files as stored. `header_auroc` must be near 0.5, else headers
leak the label.

Source: ours, for the trap that So-Fake's specification names.
"""

import io
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

NAME = "header-baseline"


class Options(declare.Options):
    datasets: list[str] = Field([], description="further data sets whose test split is tested")


class Stored(NamedTuple):
    """Files of a split, and whether each is a fake."""

    keys: list[str]
    files: list[bytes]
    fakes: list[bool]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Train split of the benchmark's data set, and all tested splits."""
    train = refs.shards(params["dataset"], "train")
    return [train, *(refs.shards(name, params["split"]) for name in _datasets(params))]


def _datasets(params: Mapping[str, Any]) -> list[str]:
    return [params["dataset"], *params["datasets"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the share of real pictures below each fake, by header and by size."""
    train_files = stored(job.folder(refs.shards(job.params["dataset"], "train")))
    for name in _datasets(job.params):
        test_files = stored(job.folder(refs.shards(name, job.params["split"])))
        scores_of_metric: dict[str, Sequence[float]] = {
            "header_auroc": header_scores(train_files.files, train_files.fakes, test_files.files),
            "size_auroc": sizes(test_files.files),
        }
        for metric, scores in scores_of_metric.items():
            for key, share in zip(_fakes(test_files), real_below(scores, test_files.fakes), strict=True):
                yield Observation(metric, key, share, NAME, name, split=job.params["split"])


def _fakes(files: Stored) -> list[str]:
    return [key for key, fake in zip(files.keys, files.fakes, strict=True) if fake]


def stored(folder: Path) -> Stored:
    """Stored files of the pictures in a folder of shards."""
    split = Stored([], [], [])
    for tar in shards.manifest(folder)["tars"]:
        with tarfile.open(folder / tar) as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                stream = archive.extractfile(member)
                if stream is None:
                    continue
                if extension == "png":
                    split.keys.append(key)
                    split.files.append(stream.read())
                elif extension == "cls":
                    split.fakes.append(int(stream.read()) > 0)
    return split


def real_below(scores: Sequence[float], fakes: Sequence[bool]) -> list[float]:
    """Share of real pictures with a lower score than each fake, plus half of equal ones; the mean is the area."""
    values, fake = np.asarray(scores, dtype=np.float64), np.asarray(fakes, dtype=bool)
    real = np.sort(values[~fake])
    lower = np.searchsorted(real, values[fake], side="left")
    equal = np.searchsorted(real, values[fake], side="right") - lower
    shares: list[float] = ((lower + equal / 2) / max(1, len(real))).tolist()
    return shares


def header(data: bytes) -> str:
    """Header of a picture's file as text.

    Raises:
        DataError: the file is no picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            entries = sorted(f"{name}={value}" for name, value in picture.info.items() if name != "exif")
            tables = getattr(picture, "quantization", None) or {}
            coded = sorted(f"{name}:{list(table)}" for name, table in tables.items())
            parts = [str(picture.format), str(picture.size), picture.mode, *entries, *coded]
            return ";".join([*parts, f"exif={bool(picture.info.get('exif'))}"])
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{len(data)} bytes are no picture: {error}") from error


def header_scores(train_files: Sequence[bytes], fakes: Sequence[bool], test_files: Sequence[bytes]) -> list[float]:
    """Share of fakes among the known files with the header of each tested file, 0 to 1.

    Args:
        train_files: files to learn from.
        fakes: whether each of them is a fake.
        test_files: files to score.
    """
    headers = [header(data) for data in train_files]
    pictures = Counter(headers)
    fake_pictures = Counter(picture_header for picture_header, fake in zip(headers, fakes, strict=True) if fake)
    return [
        (fake_pictures[picture_header] + 1) / (pictures[picture_header] + 2)
        for picture_header in map(header, test_files)
    ]


def sizes(files: Sequence[bytes]) -> list[int]:
    """Minus the number of bytes of each file: smooth pictures, more often decoded ones, score higher."""
    return [-len(data) for data in files]
