"""Helpers of datasets that are read from their authors' unpacked archive: its lists, and the images that they name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._pictures import read_array


def root(dataset: str, params: Mapping[str, Any]) -> Path:
    """The archive's folder.

    Raises:
        ParamsError: none is given.
    """
    if not params["root"]:
        raise ParamsError(f"{dataset}: option root is missing; give the folder that its archive was unpacked to")
    return Path(params["root"]).expanduser()


def lines(file: Path) -> list[str]:
    """The lines of a list, without empty ones and comments (`#`).

    Raises:
        DataError: there is no such file.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; check root")
    rows = (row.strip() for row in file.read_text("utf-8").splitlines())
    return [row for row in rows if row and not row.startswith("#")]


def sample(key: str, file: Path, label: int) -> Sample | DataError:
    """An image with its label, or what is wrong with its file."""
    try:
        return Sample(key, {"image": read_array(file, key), "label": label})
    except DataError as error:
        return error
