"""Systems in the store: their outputs are recorded in `published/systems/SLUG/`, apart from those of the benchmark.

outputs below build/systems/SLUG -> dvc.yaml and dvc.lock in published/systems/SLUG -> `shiftbench pull systems/SLUG`

DVC finds these files in every folder, so `dvc status`, `dvc push` and `dvc pull` apply to all of them. `dvc repro` runs
only the benchmark, whose dvc.yaml is at the top.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from shiftbench.base.errors import DataError
from shiftbench.base.files import write_bytes
from shiftbench.provenance import child_environment
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.plan.prune import OUTS, prune

FILE = "dvc.yaml"
_HEAD = "# Written by `shiftbench record`: the outputs of a published system.\n"


def file(home: Path, config: str) -> Path:
    """The dvc.yaml of a configuration."""
    return configurations.published_folder(config, home) / FILE


def record(plan: Plan, root: Path, home: Path, config: str) -> Path:
    """Record the outputs of a system in DVC; returns the dvc.yaml of the system.

    Sources, features and data that may not be redistributed are not recorded.

    Args:
        plan: the plan of the system.
        root: its output root, below `home`.
        home: the repository.
        config: `systems/palm`.

    Raises:
        DataError: DVC failed.
    """
    outs = [out for stage in _STORED for out in OUTS[stage] if out != "data/local"]
    prune(plan, root, list(_STORED))
    for out in (*outs, "recipes"):
        (root / out).mkdir(parents=True, exist_ok=True)
    below = root.resolve().relative_to(home.resolve()).as_posix()
    stage = {
        "wdir": os.path.relpath(home, file(home, config).parent),
        "cmd": f"shiftbench {config.replace('/', ' ', 1)}",
        "deps": ["src/shiftbench"],
        "outs": [{f"{below}/{out}": {"persist": True}} for out in ("recipes", *outs)],
    }
    name = "-".join(config.split("/")[1:])
    text = _HEAD + yaml.safe_dump({"stages": {name: stage}}, sort_keys=False, width=140)
    write_bytes(_folder(home, config) / FILE, text.encode())
    _commit(home, file(home, config))
    return file(home, config)


_STORED = ("shards", "checkpoints", "records", "tables")


def _folder(home: Path, config: str) -> Path:
    folder = file(home, config).parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _commit(home: Path, stages: Path) -> None:
    command = [sys.executable, "-P", "-m", "dvc", "commit", "--force", "--quiet"]
    target = stages.relative_to(home).as_posix()
    process = subprocess.run(
        [*command, target],
        cwd=home,
        env=child_environment.build(child_environment.RUN),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise DataError(f"DVC could not record {target}: {process.stderr.strip()}")
