"""Logs of trainings, compared with the records of the validation split."""

import ast
import functools
from pathlib import Path

import pyarrow as pa

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import table_files
from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.provenance.recipe import Artifact

POINTS = 0.05
"""Difference of a logged accuracy and that of the records that is allowed."""
_LOGGED = "val_accuracy"


def read(file: Path) -> pa.Table | str:
    """Read the log of a training; a text says why it cannot be read."""
    if not file.is_file():
        return "the log of the training is not here"
    content = table_files.safe_read(file, "checkpoints")
    return content if isinstance(content, str) else content[0]


def last_accuracy(log: pa.Table | str) -> float | None:
    """Last `val_accuracy` of a log; None: the log cannot be read, or has none, or one for each of several tasks."""
    if isinstance(log, str):
        return None
    rows = [row for row in log.to_pylist() if str(row["name"]).startswith(_LOGGED)]
    if not rows or any(row["name"] != _LOGGED for row in rows):
        return None
    return float(max(rows, key=lambda row: row["step"])["value"])


def recorded_accuracy(case: Case, ref: Ref, artifact: Artifact) -> tuple[float, int] | None:
    """Accuracy of the records that the trainer validates on, and their number; None: there are no such records."""
    trainer = registry.file("trainers", artifact.recipe["trainer"]["use"])
    if any(isinstance(n, ast.keyword) and n.arg == "validate" for n in ast.walk(_parsed(trainer))):
        return None
    shift = artifact.recipe.get("train_on", "identity/0")
    dataset = ref.parts[0]
    records = Ref("records", f"{ref.name}/plain/{dataset}/val/{shift}")
    if records not in case.complete:
        return None
    content = table_files.safe_read(case.root / records.path, "records")
    if isinstance(content, str) or "correct" not in content[0].column_names:
        return None
    right = content[0].column("correct").drop_null().to_numpy(zero_copy_only=False)
    return (float(right.mean()), len(right)) if len(right) else None


@functools.cache
def _parsed(file: Path) -> ast.AST:
    return ast.parse(file.read_text(encoding="utf-8"))
