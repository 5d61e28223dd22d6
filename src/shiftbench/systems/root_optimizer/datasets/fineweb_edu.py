"""FineWeb-Edu: educational texts of the web, from the parquet files of its samples, read row group by row group.

    datasets:
      fineweb_edu: {path: data/own/fineweb-edu/sample/10BT}

The files of one sample are read as they are published (`sample/10BT`: 14 files `000_00000.parquet` to
`013_00000.parquet`, columns `text`, `id`, `dump`, `url`, `file_path`, `language`, `language_score`, `token_count`,
`score`, `int_score`), of which `text` and `id` are read. The last file in the order of names, the smallest, is cut into
val and test by the hash of file and row; all others are train. Nothing is downloaded, and shards stay local.

Source: Penedo et al., "The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale", NeurIPS 2024,
arXiv:2406.17557, section 4. ROOT (arXiv 2511.20626) trains on its samples of 10 and 100 B tokens.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins import declare

TASK = "language_modelling"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "ODC-By 1.0, under Common Crawl's terms of use; the user's own copy"
CITATION = (
    "Penedo et al., The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale, NeurIPS 2024, "
    "arXiv:2406.17557"
)
REDISTRIBUTE = False
IN_ORDER = True
CLASSES: tuple[str, ...] = ()
COLUMNS = ("text", "id")
ROWS = 1024


class Options(declare.Options):
    path: str = Field("", description="folder with the Parquet files of one sample, as they are published")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide for a split: path -> description."""
    if not params["path"]:
        return {}
    return {str(Path(params["path"]).expanduser()): "parquet files of a sample of FineWeb-Edu"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield a split in the order of files and rows: `text` str, `meta` with the document's `id`.

    Raises:
        ParamsError: no path is given.
        DataError: no two files are there, or one lacks a column.
    """
    files = _files(params)
    for file in files[:-1] if split == "train" else files[-1:]:
        for row, text, name in _rows(file):
            if split == "train" or (splits.unit("test", row) < 0.5) == (split == "test"):
                yield Sample(f"fineweb_edu/{split}/{row}", {"text": text, "meta": {"id": name}})


def _files(params: dict[str, Any]) -> list[Path]:
    if not params["path"]:
        raise ParamsError("fineweb_edu: option path is missing; name the folder of parquet files")
    files = sorted(Path(params["path"]).expanduser().glob("*.parquet"))
    if len(files) < 2:
        raise DataError(
            f"{params['path']} holds {len(files)} parquet files; expected those of a sample of FineWeb-Edu, "
            "000_00000.parquet and on, of which the last is val and test"
        )
    return files


def _rows(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield `file/row`, text and id of the rows that have a text."""
    content, number = pq.ParquetFile(file), 0
    missing = set(COLUMNS) - set(content.schema_arrow.names)
    if missing:
        raise DataError(f"{file} has no column {min(missing)!r}; expected {', '.join(COLUMNS)}")
    for batch in content.iter_batches(ROWS, columns=list(COLUMNS)):
        texts, names = (batch.column(name).to_pylist() for name in COLUMNS)
        for text, name in zip(texts, names, strict=True):
            if text and text.strip():
                yield f"{file.stem}/{number:08d}", text, name
            number += 1
