"""Labels of samples, classes of models, records and logits: each is read once for several tables."""

import functools
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import checkpoint_files, table_files
from shiftbench.audit.recompute import judged_records
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref

_TABLES = 64  # record tables that are held at once: scores come in the order of their records


class CachedEvidence:
    """Reads the evidence in one output root.

    Args:
        case: what is audited.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.truth = functools.cache(self._truth)
        self.classes = functools.cache(self._classes)
        self.records = functools.lru_cache(_TABLES)(self._records)

    def _truth(self, shards: Ref) -> judged_records.Truth | None:
        """Labels and metadata of shards; None: the shards are not here, or cannot be read."""
        try:
            return judged_records.truth(self.case, shards) if shards in self.case.complete else None
        except (DataError, ValueError):
            return None  # a tar that cannot be walked is a finding of `archives`

    def _classes(self, checkpoint: Ref) -> list[str] | None:
        """Classes of a checkpoint in the order of its logits; None: it cannot be read."""
        return checkpoint_files.classes(self.case.root / checkpoint.path)

    def _records(self, records: Ref) -> pa.Table | None:
        """A table of records; None: it cannot be read."""
        content = table_files.safe_read(self.case.root / records.path, "records")
        return None if isinstance(content, str) else content[0]

    def logits(self, records: Ref, table: pa.Table) -> NDArray[np.float32] | None:
        """All logits, of the records or of the kept features; None if only the largest are here.

        Args:
            records: of kind `records`.
            table: their content.

        Returns:
            float32 (n, C); (1, all) if rows have different widths.
        """
        if "logits" in table.column_names:
            lists = table.column("logits").combine_chunks()
            widths = lists.value_lengths().unique().to_pylist()
            flat: NDArray[np.float32] = lists.flatten().to_numpy()
            return flat.reshape(len(table), widths[0]) if len(widths) == 1 else flat.reshape(1, -1)
        kept = Ref("features", records.name)
        features = self.case.root / kept.path
        file = features.with_name(f"{features.stem}.logits.npy")
        if kept not in self.case.complete or not file.is_file():
            return None
        logits: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return logits
