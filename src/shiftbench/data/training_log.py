"""Training logs: `X.safetensors.log.parquet` next to the checkpoint X."""

from pathlib import Path

from shiftbench.data import schema


def log_path(weights: Path) -> Path:
    """Path of the log of a checkpoint."""
    return weights.with_name(f"{weights.name}.log.parquet")


def of(weights: Path) -> dict[str, list[tuple[int, float]]]:
    """Logged values: name -> (step, value), in order."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for row in schema.read(log_path(weights)).to_pylist():
        rows.setdefault(row["name"], []).append((row["step"], row["value"]))
    return rows
