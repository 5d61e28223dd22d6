"""Missing inputs on this machine: sources whose package clients are missing, and the user's own files.

A run completes without these sources. The terminal and the report list them with the commands that download them. The
user's own files must exist when a job reads them; `shiftbench plan` lists them before.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, DataError
from shiftbench.base.refs import Ref, ShardsName
from shiftbench.data import pins, source_files
from shiftbench.data.source_files import cache_home
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.plan.params import Params

PROGRAMS = {"apt": ("apt-get", "dpkg-deb"), "kept": (), "npm": ("npm",), "pypi": (), "torchvision": ()}
"""Programs that a provider needs on PATH; pip and torchvision are always installed."""


class Planned(Protocol):
    """The parts of a plan that are read here: its params and its artifacts, inputs first."""

    @property
    def artifacts(self) -> Mapping[Ref, Artifact]:
        """All artifacts."""

    @property
    def params(self) -> Params:
        """The params of the plan."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A source that this machine cannot download, the outputs that are left out, and the command to get it."""

    source: str
    title: str
    needed_by: tuple[str, ...]
    command: str

    def __str__(self) -> str:
        """One line for the terminal."""
        return f"left out: {', '.join(self.needed_by)}: {self.title} is not here; download it with `{self.command}`"


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file or folder of the user that a plan reads.

    Attributes:
        path: its path in params.
        description: its state, or what it is for.
        needed_by: the output that reads it, as `dataset/split` or the name of a model.
        licence: its terms, as far as they are known.
        files: its files or folders.
        changed: parts that differ from the pin.
        ignored: files that are no samples, in words.
        duplicates: files of a data set with equal bytes, in words.
        fault: what the data set finds wrong before it reads samples, in words.
    """

    path: str
    description: str
    needed_by: str
    licence: str
    files: tuple[Path, ...]
    changed: tuple[str, ...] = ()
    ignored: str = ""
    duplicates: str = ""
    fault: str = ""

    @property
    def exists(self) -> bool:
        """Whether all of its files exist."""
        return all(file.exists() for file in self.files)


def user_files(plan: Planned) -> list[UserFile]:
    """The user's own files that a plan reads, by path: those that datasets declare (`wants`), and pinned files."""
    by_path: dict[str, list[UserFile]] = {}
    pinned: dict[str, UserFile] = {}
    for ref, artifact in plan.artifacts.items():
        files = _declared_files(artifact.recipe, ref)
        for path in pins.paths(artifact.recipe):
            if path not in pinned:
                pinned[path] = _pinned(path, artifact.recipe)
            files.append(replace(pinned[path], needed_by=ref.name))
        for file in files:
            by_path.setdefault(file.path, []).append(file)
    return [_merge(by_path[path]) for path in sorted(by_path)]


def refuse(files: Iterable[UserFile]) -> None:
    """Refuse a run if the user's own files differ from their pins, or if a data set finds a fault in them.

    Raises:
        ChecksumError: names all files that changed, and the commands that accept them.
        DataError: names all faults, and all files that changed.
    """
    changed = [f"{file.description}; the outputs that read it are then made again" for file in files if file.changed]
    faults = [file.fault for file in files if file.fault]
    if changed or faults:
        raise (DataError if faults else ChecksumError)("\n".join([*faults, *changed]))


def _pinned(path: str, recipe: Mapping[str, Any]) -> UserFile:
    files, changed = tuple(pins.local_files(path).values()), tuple(pins.changed_files(path))
    if changed:
        description = f"{changed[0]} is not what was pinned; `{pins.command(path)}` accepts its present bytes"
    else:
        description = "pinned" if pins.is_pinned(path) else "to be pinned"
    ignored = _ignored(recipe, path) if all(file.exists() for file in files) else ""
    return UserFile(path, description, "", "", files, changed, ignored, _duplicates(recipe, path))


def _duplicates(recipe: Mapping[str, Any], path: str) -> str:
    """The files of a data set with equal bytes, in words: such samples may be on both sides of a split."""
    pairs = pins.duplicates(path) if "dataset" in recipe else []
    return f"{len(pairs)} ({pairs[0][0]} and {pairs[0][1]})" if pairs else ""


def _ignored(recipe: Mapping[str, Any], path: str) -> str:
    spec = recipe.get("dataset", {})
    if spec.get("options", {}).get("path") != path:
        return ""
    module = registry.read("datasets", spec["use"])
    return str(module.ignored(spec["options"])) if registry.defines(module, "ignored") else ""


def _merge(files: list[UserFile]) -> UserFile:
    """One item for a path that several outputs read."""
    users = list(dict.fromkeys(file.needed_by for file in files))
    if len(users) == 1:
        return files[0]
    return replace(files[0], needed_by=f"{users[0]} and {len(users) - 1} more", licence="")


def _declared_files(content: Mapping[str, Any], ref: Ref) -> list[UserFile]:
    files = pins.required_files(ref, content)
    if not files:
        return []
    dataset, split, *_ = ShardsName.of(ref)
    spec = content["dataset"]
    licence = spec["options"].get("licence") or registry.read("datasets", spec["use"]).LICENCE
    needed_by = f"{dataset}/{split}"
    fault = pins.fault(ref, content)
    described = {path: f"{text}; {fault}" if fault else text for path, text in files.items()}
    return [UserFile(path, text, needed_by, licence, (Path(path),), fault=fault) for path, text in described.items()]


def find(plan: Planned, root: Path) -> tuple[list[Unavailable], frozenset[Ref]]:
    """The sources that are left out, and all outputs that cannot be made without them.

    Existing outputs are not left out: a clone that pulled shards needs no sources. Damaged outputs are not left out,
    either: their jobs fail and name the missing source, so that results do not shrink silently.
    """
    not_downloadable = {ref for ref in plan.artifacts if ref.kind == "sources" and not _can_download(plan, root, ref)}
    unbuildable: set[Ref] = set()
    for ref, artifact in plan.artifacts.items():  # inputs come first
        is_affected = ref in not_downloadable or any(need in unbuildable for need in artifact.inputs)
        state = recipe.status(root, artifact) if is_affected else "fresh"
        if state != "fresh" and not recipe.is_damaged(state):
            unbuildable.add(ref)
    needed = {need for ref in unbuildable for need in plan.artifacts[ref].inputs}
    missing_sources = sorted(not_downloadable & unbuildable & needed)
    return [_describe(plan, ref, unbuildable) for ref in missing_sources], frozenset(unbuildable)


def _can_download(plan: Planned, root: Path, ref: Ref) -> bool:
    if recipe.receipt(root, ref) or (cache_home() / "originals" / ref.name).is_dir():
        return True
    source = source_files.load_source(ref.name)
    programs = [PROGRAMS[provider.client] for provider in source.providers]
    downloadable = any(all(shutil.which(program) for program in clients) for clients in programs)
    return downloadable or bool(plan.params.fetch.folders)


def _describe(plan: Planned, ref: Ref, unbuildable: set[Ref]) -> Unavailable:
    source = source_files.load_source(ref.name)
    users = {other.parts[0] for other in unbuildable if ref in plan.artifacts[other].inputs}
    command = " or ".join(provider.command for provider in source.providers)
    return Unavailable(ref.name, source.title, tuple(sorted(users)), command)
