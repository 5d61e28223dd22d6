"""Metrics of kind `resampled`: rows, groups, pairs and missing samples are those of a sample metric."""

from pathlib import Path

import polars as pl
import pytest

from makers.random_records import DRAWS, artifact, logits, samples
from shiftbench.base import registry
from shiftbench.workflow.stages.aggregate import aggregate

MINE = '''"""Accuracy again. Source: none."""
import numpy as np

KIND, COLUMNS, PARAMS = "resampled", ("correct",), {"times": 1}
UNIT, RANGE, HIGHER_IS_BETTER = "share", (0.0, 1.0), True


def compute(rows, weights, *, times):
    right = rows.column("correct")
    with np.errstate(invalid="ignore"):
        return times * (right @ weights.astype(np.int64)) / weights.sum(axis=0, dtype=np.int64)
'''


def test_rows_are_those_of_the_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine/metrics").mkdir(parents=True)
    (tmp_path / "mine/metrics/anew.py").write_text(MINE)
    monkeypatch.setattr(registry.Folders, "extra", (tmp_path / "mine",))
    groups = ["x" if i < 15 else "y" for i in range(40)]
    some = samples(group=groups, cluster=[str(i // 4) for i in range(40)])
    artifacts = [
        artifact(tmp_path, "net-erm-s0", "identity", 0.0, logits(1), some),
        artifact(tmp_path, "net-erm-s1", "identity", 0.0, logits(2)[10:], some[10:]),
    ]
    tables = aggregate(artifacts, {"accuracy": {}, "anew": {}}, DRAWS, 0, threads=2)
    for table in (tables.metrics, tables.replicates, tables.differences):
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        parts = [frame.filter(metric=name).drop("metric") for name in ("accuracy", "anew")]
        assert len(parts[0]) >= 3
        assert parts[0].equals(parts[1])
