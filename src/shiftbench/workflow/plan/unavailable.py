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
from shiftbench.base.errors import ChecksumError
from shiftbench.base.refs import Ref, ShardsName
from shiftbench.data import pins, source_files
from shiftbench.data.source_files import cache_home
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.plan.params import Params

PROGRAMS = {"apt": ("apt-get", "dpkg-deb"), "npm": ("npm",), "pypi": (), "torchvision": ()}
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
        return f"left out: {', '.join(self.needed_by)}: {self.title} is not here; bring it with `{self.command}`"


@dataclass(frozen=True, slots=True)
class Yours:
    """A file or folder of the user that a plan reads.

    Attributes:
        path: its path in params.
        what: a description of it.
        needed_by: the output that reads it, as `dataset/split` or the name of a model.
        licence: its terms, as far as they are known.
        files: its files or folders.
        changed: parts that differ from the pin.
        ignored: files that are no samples, in words.
        twice: files of a data set with equal bytes, in words.
    """

    path: str
    what: str
    needed_by: str
    licence: str
    files: tuple[Path, ...]
    changed: tuple[str, ...] = ()
    ignored: str = ""
    twice: str = ""

    @property
    def here(self) -> bool:
        """Whether all of its files exist."""
        return all(file.exists() for file in self.files)


def yours(plan: Planned) -> list[Yours]:
    """The user's own files that a plan reads, by path: those that datasets declare (`wants`), and pinned files."""
    by_path: dict[str, list[Yours]] = {}
    pinned: dict[str, Yours] = {}
    for ref, artifact in plan.artifacts.items():
        own = _declared(artifact.recipe, ref)
        for path in pins.paths(artifact.recipe):
            if path not in pinned:
                pinned[path] = _pinned(path, artifact.recipe)
            own.append(replace(pinned[path], needed_by=ref.name))
        for one in own:
            by_path.setdefault(one.path, []).append(one)
    return [_together(by_path[path]) for path in sorted(by_path)]


def refuse_changed(files: Iterable[Yours]) -> None:
    """Refuse a run if the user's own files differ from their pins.

    Raises:
        ChecksumError: names the file, and the command that accepts it.
    """
    for own in files:
        if own.changed:
            raise ChecksumError(f"{own.what}; the outputs that read it are then made again")


def _pinned(path: str, recipe: Mapping[str, Any]) -> Yours:
    files, changed = tuple(pins.local_files(path).values()), tuple(pins.changed_files(path))
    if changed:
        what = f"{changed[0]} is not what was pinned; `{pins.command(path)}` accepts its present bytes"
    else:
        what = "pinned" if pins.is_pinned(path) else "to be pinned"
    ignored = _ignored(recipe, path) if all(file.exists() for file in files) else ""
    return Yours(path, what, "", "", files, changed, ignored, _twice(recipe, path))


def _twice(recipe: Mapping[str, Any], path: str) -> str:
    """The files of a data set with equal bytes, in words: such samples may be on both sides of a split."""
    pairs = pins.duplicates(path) if "dataset" in recipe else []
    return f"{len(pairs)} ({pairs[0][0]} and {pairs[0][1]})" if pairs else ""


def _ignored(recipe: Mapping[str, Any], path: str) -> str:
    spec = recipe.get("dataset", {})
    if spec.get("options", {}).get("path") != path:
        return ""
    module = registry.read("datasets", spec["use"])
    return str(module.ignored(spec["options"])) if registry.defines(module, "ignored") else ""


def _together(same: list[Yours]) -> Yours:
    """One item for a path that several outputs read."""
    users = list(dict.fromkeys(one.needed_by for one in same))
    if len(users) == 1:
        return same[0]
    return replace(same[0], needed_by=f"{users[0]} and {len(users) - 1} more", licence="")


def _declared(content: Mapping[str, Any], ref: Ref) -> list[Yours]:
    files = pins.required_files(ref, content)
    if not files:
        return []
    dataset, split, *_ = ShardsName.of(ref)
    spec = content["dataset"]
    licence = spec["options"].get("licence") or registry.read("datasets", spec["use"]).LICENCE
    needed_by = f"{dataset}/{split}"
    return [Yours(path, what, needed_by, licence, (Path(path),)) for path, what in files.items()]


def find(plan: Planned, root: Path) -> tuple[list[Unavailable], frozenset[Ref]]:
    """The sources that are left out, and all outputs that cannot be made without them.

    Existing outputs are not left out: a clone that pulled shards needs no sources. Damaged outputs are not left out,
    either: their jobs fail and name the missing source, so that results do not shrink silently.
    """
    lost = {ref for ref in plan.artifacts if ref.kind == "sources" and not _can_download(plan, root, ref)}
    unbuildable: set[Ref] = set()
    for ref, artifact in plan.artifacts.items():  # inputs come first
        missing = ref in lost or any(need in unbuildable for need in artifact.inputs)
        state = recipe.status(root, artifact) if missing else "fresh"
        if state != "fresh" and not recipe.is_damaged(state):
            unbuildable.add(ref)
    needed = {ref for ref in lost & unbuildable if any(ref in plan.artifacts[other].inputs for other in unbuildable)}
    return [_describe(plan, ref, unbuildable) for ref in sorted(needed)], frozenset(unbuildable)


def _can_download(plan: Planned, root: Path, ref: Ref) -> bool:
    if recipe.receipt(root, ref) or (cache_home() / "originals" / ref.name).is_dir():
        return True
    source = source_files.load_source(ref.name)
    programs = [PROGRAMS[provider.client] for provider in source.providers]
    downloadable = any(all(shutil.which(program) for program in needed) for needed in programs)
    return downloadable or bool(plan.params.fetch.folders)


def _describe(plan: Planned, ref: Ref, unbuildable: set[Ref]) -> Unavailable:
    source = source_files.load_source(ref.name)
    users = {other.parts[0] for other in unbuildable if ref in plan.artifacts[other].inputs}
    command = " or ".join(provider.command for provider in source.providers)
    return Unavailable(ref.name, source.title, tuple(sorted(users)), command)
