"""A released benchmark, for tests of releases: where its files lie, how they are edited, what is wrong."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftbench.release import verify

CREATED = "2026-01-31T12:00:00+00:00"
OWN = "releases/1.0/manifest.json"
STATEMENT = "releases/1.0/statement.intoto.json"
METRICS = "results/tables/tiny/metrics.parquet"
RECORD = "results/records/tiny/convnet-erm-s0/plain/tiny/test/contrast/3.parquet"
TAR = "data/shards/tiny/test/contrast/3/000000.tar"
SECRET = "data/local/secret/test/identity/0/manifest.json"


def call(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that must succeed."""
    return subprocess.run(command, capture_output=True, text=True, check=True, **more)


def problems(home: Path, name: str = "1.0", **more: Any) -> dict[str, set[str]]:
    """Return the paths of the problems of a release, by kind."""
    paths: dict[str, set[str]] = {}
    for problem in verify.verify(home, home, name, **more):
        paths.setdefault(problem.kind, set()).add(problem.path)
    return paths


def edit(file: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def flip(file: Path) -> None:
    """Change one bit of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
