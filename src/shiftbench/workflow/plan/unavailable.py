"""What this machine cannot bring: originals whose package clients are missing, and the user's own files.

A run completes without the originals; the terminal and the report list them with the command that brings each. What is
the user's own must be there when it is read; `shiftbench plan` lists it before.
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
"""What must be on PATH for a provider; pip and torchvision are always there."""


class Planned(Protocol):
    """What of a plan is read here: its artifacts, inputs before what is made from them, and its params."""

    @property
    def artifacts(self) -> Mapping[Ref, Artifact]:
        """All artifacts."""

    @property
    def params(self) -> Params:
        """What they follow from."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """An original that nobody here can bring, the outputs that go without it, and the cure."""

    source: str
    title: str
    needed_by: tuple[str, ...]
    command: str

    def __str__(self) -> str:
        """Return one line for the terminal."""
        return f"left out: {', '.join(self.needed_by)}: {self.title} is not here; bring it with `{self.command}`"


@dataclass(frozen=True, slots=True)
class Yours:
    """A file or folder of the user's own that a plan reads.

    Attributes:
        path: where it is looked for.
        what: what it is.
        needed_by: the output that reads it, as `dataset/split` or the name of weights.
        licence: its terms, as far as they are known.
        files: where it lies: one file or folder, or several.
        changed: what of it is not what was pinned.
        ignored: what of it is no sample, in words.
        twice: what of a dataset has the bytes of another file of it, in words.
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
        """Whether all of it is there."""
        return all(file.exists() for file in self.files)


def yours(plan: Planned) -> list[Yours]:
    """Return what of the user's own a plan reads, by path: of datasets that say so (`wants`), and pinned files."""
    found: dict[str, list[Yours]] = {}
    pinned: dict[str, Yours] = {}
    for ref, artifact in plan.artifacts.items():
        own = _wanted(artifact.recipe, ref)
        for path in pins.paths(artifact.recipe):
            if path not in pinned:
                pinned[path] = _pinned(path, artifact.recipe)
            own.append(replace(pinned[path], needed_by=ref.name))
        for one in own:
            found.setdefault(one.path, []).append(one)
    return [_together(found[path]) for path in sorted(found)]


def refuse_changed(files: Iterable[Yours]) -> None:
    """Refuse to call a run done whose outputs were made of other files of the user's than lie here now.

    Raises:
        ChecksumError: says which, and the command that accepts it.
    """
    for own in files:
        if own.changed:
            raise ChecksumError(f"{own.what}; what is made of it is then made again")


def _pinned(path: str, recipe: Mapping[str, Any]) -> Yours:
    files, changed = tuple(pins.local_files(path).values()), tuple(pins.changed_files(path))
    if changed:
        what = f"{changed[0]} is not what was pinned; `{pins.command(path)}` accepts what it is now"
    else:
        what = "pinned" if pins.is_pinned(path) else "to be pinned"
    ignored = _ignored(recipe, path) if all(file.exists() for file in files) else ""
    return Yours(path, what, "", "", files, changed, ignored, _twice(recipe, path))


def _twice(recipe: Mapping[str, Any], path: str) -> str:
    """Return which files of a dataset have equal bytes: such samples may stand on both sides of a split."""
    found = pins.duplicates(path) if "dataset" in recipe else []
    return f"{len(found)} ({found[0][0]} and {found[0][1]})" if found else ""


def _ignored(recipe: Mapping[str, Any], path: str) -> str:
    spec = recipe.get("dataset", {})
    if spec.get("options", {}).get("path") != path:
        return ""
    module = registry.read("datasets", spec["use"])
    return str(module.ignored(spec["options"])) if registry.defines(module, "ignored") else ""


def _together(same: list[Yours]) -> Yours:
    """Return one entry for a path that several outputs read."""
    users = list(dict.fromkeys(one.needed_by for one in same))
    if len(users) == 1:
        return same[0]
    return replace(same[0], needed_by=f"{users[0]} and {len(users) - 1} more", licence="")


def _wanted(content: Mapping[str, Any], ref: Ref) -> list[Yours]:
    files = pins.required_files(ref, content)
    if not files:
        return []
    dataset, split, *_ = ShardsName.of(ref)
    spec = content["dataset"]
    licence = spec["options"].get("licence") or registry.read("datasets", spec["use"]).LICENCE
    needed_by = f"{dataset}/{split}"
    return [Yours(path, what, needed_by, licence, (Path(path),)) for path, what in files.items()]


def find(plan: Planned, root: Path) -> tuple[list[Unavailable], frozenset[Ref]]:
    """Return what is left out, and all Refs that are lost with it.

    An output that is there already is not lost: a clone that pulled shards needs no original. Neither is a
    damaged output: its job says what it lacks, and results do not shrink in silence.
    """
    gone = {ref for ref in plan.artifacts if ref.kind == "sources" and not _can_bring(plan, root, ref)}
    unbuildable: set[Ref] = set()
    for ref, artifact in plan.artifacts.items():  # inputs stand before what is made from them
        missing = ref in gone or any(need in unbuildable for need in artifact.inputs)
        state = recipe.status(root, artifact) if missing else "fresh"
        if state != "fresh" and not recipe.is_damaged(state):
            unbuildable.add(ref)
    needed = {ref for ref in gone & unbuildable if any(ref in plan.artifacts[other].inputs for other in unbuildable)}
    return [_describe(plan, ref, unbuildable) for ref in sorted(needed)], frozenset(unbuildable)


def _can_bring(plan: Planned, root: Path, ref: Ref) -> bool:
    if recipe.receipt(root, ref) or (cache_home() / "originals" / ref.name).is_dir():
        return True
    source = source_files.load_source(ref.name)
    programs = [PROGRAMS[provider.client] for provider in source.providers]
    bringable = any(all(shutil.which(program) for program in needed) for needed in programs)
    return bringable or bool(plan.params.fetch.folders)


def _describe(plan: Planned, ref: Ref, unbuildable: set[Ref]) -> Unavailable:
    source = source_files.load_source(ref.name)
    users = {other.parts[0] for other in unbuildable if ref in plan.artifacts[other].inputs}
    command = " or ".join(provider.command for provider in source.providers)
    return Unavailable(ref.name, source.title, tuple(sorted(users)), command)
