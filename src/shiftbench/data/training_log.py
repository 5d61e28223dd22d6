"""What trainers log: `X.safetensors.log.parquet` beside the weights X."""

from pathlib import Path

from shiftbench.data import schema


def beside(weights: Path) -> Path:
    """Return where the log of weights stands."""
    return weights.with_name(f"{weights.name}.log.parquet")


def of(weights: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what a trainer logged: name -> (step, value), in order."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for row in schema.read(beside(weights)).to_pylist():
        rows.setdefault(row["name"], []).append((row["step"], row["value"]))
    return rows
