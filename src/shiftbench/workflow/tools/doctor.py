"""`shiftbench doctor`: the facts of this machine, and the problems of a run on it.

The doctor changes nothing, except stale locks with `--unlock`, and downloads nothing. It only checks whether remotes
answer.
"""

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

from shiftbench.base.errors import UntrustedError
from shiftbench.data import source_files
from shiftbench.evaluation import sandbox
from shiftbench.provenance import environment, locks, recipe
from shiftbench.workflow.plan import estimate, unavailable
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.storage import dvc_config, dvc_lock, pull, remotes

CLIENTS = {
    "git": "history of a benchmark",
    "apt-get": "originals in Debian packages",
    "dpkg-deb": "opening Debian packages",
    "npm": "originals in npm packages",
    "chromium": "tests of the report",
}
"""Programs outside of Python, and their use."""
MODULES = ("pip", "dvc", "snakemake")


def examine(plan: Plan, root: Path) -> dict[str, Any]:
    """All facts of `shiftbench doctor`, ready for JSON."""
    devices = _devices()  # before the environment, which names the GPU only if torch is imported
    return {
        "environment": environment.describe(),
        "devices": devices,
        "disk": _disk(plan, root),
        "programs": {name: shutil.which(name) for name in CLIENTS},
        "modules": {name: _installed(name) for name in MODULES},
        "sandbox": sandbox.missing_support(),
        "remotes": _remotes(),
        "originals": [_original(plan, root, ref.name) for ref in plan.artifacts if ref.kind == "sources"],
        "lock": lock_differences(Path("requirements.lock")),
        "locks": [str(lock) for lock in locks.find(root)],
    }


def problems(facts: dict[str, Any]) -> list[str]:
    """The problems of a run on this machine, one line each with its solution."""
    lines = [
        f"{name} is not installed; pip install 'shiftbench[workflow]'"
        for name in ("dvc", "snakemake")
        if facts["modules"][name] is None
    ]
    disk = facts["disk"]
    if disk["free_gb"] < disk["wanted_gb"]:
        lines.append(
            f"the disk has {disk['free_gb']} GB free, the plan needs {disk['wanted_gb']} GB; set another `root:`"
        )
    lines += [
        f"remote {remote['name']} does not answer: {remote['error']}" for remote in facts["remotes"] if remote["error"]
    ]
    lines += [
        f"source {original['name']} cannot be downloaded here; by hand: {original['command']}"
        for original in facts["originals"]
        if original["state"] == "out of reach"
    ]
    if facts["sandbox"]:
        lines.append(f"systems that run generated code will not run: {facts['sandbox']}")
    lines += [f"not as locked: {line}; `make setup` installs it" for line in facts["lock"]]
    lines += [line for line in facts["locks"] if "--unlock" in line]
    return lines


def lock_differences(lock: Path) -> list[str]:
    """The packages with another version than in the lock; empty without a lock.

    Executors of clusters may be missing: `make clusters` installs them.
    """
    if not lock.is_file():
        return []
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    installed = {name: _installed(name) for name, _ in pins}
    return [
        f"{name} {installed[name] or 'is missing'}, locked is {version}"
        for name, version in pins
        if installed[name] != version and not (installed[name] is None and OF_CLUSTERS.match(name))
    ]


OF_CLUSTERS = re.compile("kubernetes$|snakemake-executor-plugin-")
"""The packages that `make clusters` installs, and `make setup` does not."""


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(count))]


def _disk(plan: Plan, root: Path) -> dict[str, float]:
    existing = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.exists())
    needed = sum(row["GB"] for row in estimate.table(plan, root))
    return {"free_gb": round(pull.disk_free(existing) / 1e9, 1), "wanted_gb": round(needed, 3)}


def remote_states(root: Path) -> list[dict[str, Any]]:
    """The state of each remote, and the recorded objects that it has.

    Raises:
        DataError: no DVC repository, or nothing was recorded in it.
    """
    home = dvc_config.home_of(root)
    dvc_lock.outputs(home)
    return [
        {"name": remote.name, "url": remote.url, **remotes.look(home, remote.name, objects=True)}
        for remote in remotes.listed(home)
    ]


def _remotes() -> list[dict[str, str | None]]:
    """The answers of all DVC remotes; empty without a DVC repository."""
    if not Path(".dvc/config").is_file() or _installed("dvc") is None:
        return []
    home = dvc_config.home_of(Path())
    try:
        configured = remotes.listed(home)
    except UntrustedError as error:
        return [{"name": ".dvc", "url": "not asked", "error": str(error)}]
    return [
        {"name": remote.name, "url": remote.url, "error": remotes.look(home, remote.name)["error"]}
        for remote in configured
    ]


def _original(plan: Plan, root: Path, name: str) -> dict[str, str]:
    source = source_files.load_source(name)
    command = " or ".join(provider.command for provider in source.providers)
    return {"name": name, "state": _state(plan, root, name, source), "command": command}


def _state(plan: Plan, root: Path, name: str, source: source_files.Source) -> str:
    """The place of a source: here, in the cache, from a client, from a folder of yours, or out of reach."""
    if any(ref.kind == "sources" and ref.name == name and recipe.receipt(root, ref) for ref in plan.artifacts):
        return "here"
    if (source_files.cache_home() / "originals" / name).is_dir():
        return "cached"
    for provider in source.providers:
        if all(shutil.which(program) for program in unavailable.PROGRAMS[provider.client]):
            return f"{provider.client} may download it"
    return "one of your folders may have it" if plan.params.fetch.folders else "out of reach"
