"""A small run that is written, not made: originals, shards, weights, records and a table, with receipts and run files.

Bytes follow from the recipe, from the inputs' bytes and from `salt`; so a fault planted in one place spreads as in a
real run, and two runs with the same arguments are equal.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base import refs
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.data import formats, schema
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact

SOURCE = refs.sources("pictures")
CLEAN = refs.shards("pictures", "test")
FOG = refs.shards("pictures", "test", "fog", 3)
TABLE = Ref("tables", "small")
REPORT = Ref("report", "index")
DRAWS = 200
ENVIRONMENT = {"python": "3.11.7", "packages": {"numpy": "2.4.6"}, "cpu_features": ["avx2"], "cores": 2}


def weights(seed: int) -> Ref:
    """Weights of one training seed."""
    return refs.checkpoint("pictures", "net", "erm", seed)


def records(seed: int, shards: Ref) -> Ref:
    """Records of these weights on some shards."""
    return refs.records(weights(seed), "plain", *shards.name.rsplit("/", 1))


@dataclass
class Run:
    """A run below a folder.

    Attributes:
        root: the output root.
        content: by path, what is laid over the recipe of an output.
        salt: by path, what changes its bytes and is in no recipe.
        around: by path, what is laid over the environment in its run file.
        noise: of the replicates.
        shifts: evaluated beside the clean shards.
    """

    root: Path
    content: dict[str, dict[str, Any]] = field(default_factory=dict)
    salt: dict[str, str] = field(default_factory=dict)
    around: dict[str, dict[str, Any]] = field(default_factory=dict)
    noise: float = 0.001
    shifts: tuple[Ref, ...] = (FOG,)
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def write(self) -> Run:
        """Write everything."""
        self.add(SOURCE, {"bytes": {"files": {"a.tar": "0" * 64}}})
        self.add(CLEAN, {"dataset": {"name": "pictures"}}, SOURCE)
        for shift in self.shifts:
            self.add(shift, {"shift": {"options": {"density": 1}}, "seed": 0}, CLEAN)
        for seed in (0, 1):
            self.add(weights(seed), {"model": {"pinned": "0" * 64}, "seed": [0, seed]}, CLEAN)
            for shards in (CLEAN, *self.shifts):
                own = {"batch_size": 16, "data": shards.name}
                self.add(records(seed, shards), own, weights(seed), shards)
        self.table()
        self.add(REPORT, {"benchmarks": {"small": {}}}, TABLE)
        return self

    def add(self, ref: Ref, content: dict[str, Any], *inputs: Ref) -> None:
        """Write an output whose bytes are a digest."""
        artifact = self._plan(ref, content, inputs)
        consumed = [str(recipe.made(self.root, need)) for need in inputs]
        words = [artifact.fingerprint, *consumed, self.salt.get(ref.path, "")]
        (self.root / ref.path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / ref.path).write_bytes(hashlib.sha256(" ".join(words).encode()).digest())
        self._prove(artifact, {Path(ref.path).name: self.root / ref.path})

    def table(self) -> None:
        """Write the table: an accuracy for each record, its mean over seeds, and a mean over shifts."""
        pairs = [(seed, shards) for seed in (0, 1) for shards in (CLEAN, *self.shifts)]
        content = {
            "task": "classification",
            "seed": 0,
            "draws": DRAWS,
            "metrics": {"accuracy": {"options": {}}, "auc": {"options": {}}},
            "rows": [_cell(seed, shards) for seed, shards in pairs],
        }
        artifact = self._plan(TABLE, content, tuple(records(*pair) for pair in pairs))
        values = {pair: _value((self.root / records(*pair).path).read_bytes()) for pair in pairs}
        rows = [_row(f"-s{seed}", shards, values[seed, shards]) for seed, shards in pairs]
        for shards in (CLEAN, *self.shifts):
            rows.append(_row("", shards, (values[0, shards] + values[1, shards]) / 2))
        mean = sum(values[pair] for pair in pairs if pair[1] in self.shifts) / 2 / len(self.shifts)
        rows.append(_row("", self.shifts[0], mean) | {"metric": "auc", "severity": None})
        folder = (self.root / TABLE.path).parent
        write_tables(folder, rows, self.noise)
        self._prove(artifact, {name: folder / name for name in ("metrics.parquet", "replicates.parquet")})

    def state(self, ref: Ref) -> None:
        """Let the receipt of an output state the bytes that lie there, as a careful forger does."""
        content = recipe.receipt(self.root, ref)
        assert content
        folder = (self.root / ref.path).parent
        content["made"] = {name: sha256(folder / name) for name in content["made"]}
        _json(recipe.receipt_path(self.root, ref), content)

    def _plan(self, ref: Ref, content: dict[str, Any], inputs: tuple[Ref, ...]) -> Artifact:
        upstream = {need.path: self.artifacts[need.path].fingerprint for need in inputs}
        whole = {"code": {"shiftbench/stage.py": "1" * 32}, **content, **self.content.get(ref.path, {})}
        artifact = Artifact.of(ref, {**whole, "upstream": upstream}, inputs)
        self.artifacts[ref.path] = artifact
        return artifact

    def _prove(self, artifact: Artifact, files: dict[str, Path]) -> None:
        around = {**ENVIRONMENT, **self.around.get(artifact.ref.path, {})}
        _json(recipe.run_path(self.root, artifact.ref), {"environment": around})
        content = {
            "fingerprint": artifact.fingerprint,
            "recipe": artifact.recipe,
            "made": {name: sha256(file) for name, file in files.items()},
            "rows": {},
            "consumed": {need.path: recipe.made(self.root, need) for need in artifact.inputs},
        }
        _json(recipe.receipt_path(self.root, artifact.ref), content)


def write_tables(folder: Path, rows: list[dict[str, Any]], noise: float = 0.001) -> None:
    """Write metrics.parquet and replicates.parquet; the noise of draw i is the same in every row."""
    rows = sorted(rows, key=lambda row: [str(row[name]) for name in formats.METRICS.key])
    draws = noise * np.random.default_rng(3).standard_normal(DRAWS)
    replicates = [
        {name: row[name] for name in formats.METRICS.key} | {"draws": list(row["value"] + draws)}
        for row in rows
        if row["value"] is not None
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, form, content in (("metrics", formats.METRICS, rows), ("replicates", formats.REPLICATES, replicates)):
        schema.write(schema.table(content, form), folder / f"{name}.parquet", "0" * 64, form)


def _json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content))


def _value(data: bytes) -> float:
    return 0.5 + data[0] / 1024 + data[1] / (1 << 18)


def _cell(seed: int, shards: Ref) -> dict[str, Any]:
    dataset, split, shift, severity = shards.parts
    place = {"dataset": dataset, "split": split, "shift": shift, "severity": float(severity)}
    evaluation = {"model": weights(seed).name, "method": "plain", "detector": None}
    return {**evaluation, **place, "records": records(seed, shards).name, "scores": None}


def _row(seed: str, shards: Ref, value: float) -> dict[str, Any]:
    dataset, split, shift, severity = shards.parts
    return {
        "benchmark": "small",
        "task": "classification",
        "model": f"pictures/net-erm{seed}",
        "method": "plain",
        "detector": None,
        "dataset": dataset,
        "split": split,
        "reference": None if shift == "identity" else CLEAN.name,
        "shift": shift,
        "severity": float(severity),
        "group": None,
        "step": None,
        "metric": "accuracy",
        "value": value,
        "ci_low": value - 0.01,
        "ci_high": value + 0.01,
        "n": 100,
        "seed": int(seed[2:]) if seed else None,
        "unit": "key",
        "units": 100,
    }
