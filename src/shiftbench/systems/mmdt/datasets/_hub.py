"""MMDT's data sets as the hub has them: `FOLDER/CONFIG/SPLIT-00000-of-00001.parquet`.

Source: the layout that the library `datasets` writes and AI-secure/MMDT at 68be1c8 loads (`load_dataset("AI-
Secure/MMDecodingTrust-I2T",
"ood", split=...)`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.datasets import _hub_files

NATIVE = ("test",)
LICENCE, CITATION = (
    "not stated on the hub; the repository is CC BY 4.0",
    "Xu, Zhang, Chen, et al., MMDT, ICLR 2025, arXiv:2503.14827",
)


def folder(path: str, config: str) -> str:
    """Folder of a configuration's files."""
    return str(Path(path).expanduser() / config)


def rows(path: str, config: str, split: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a split in the files' order.

    Raises:
        ParamsError: no path is given.
        DataError: there is no file, or a column is missing.
    """
    if not path:
        raise ParamsError(f"option path is missing; name the folder of {config}/{split}-*.parquet")
    for file in _hub_files.files(folder(path, config), f"{split}-*.parquet"):
        yield from _hub_files.rows(file, columns)
