"""What this machine cannot bring: originals whose package clients are missing, and what needs them.

A run completes without them; the terminal and the report list them with the command that brings each.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shiftbench import originals, recipe
from shiftbench.fetch import cache_home
from shiftbench.refs import Ref

if TYPE_CHECKING:
    from shiftbench.plan import Plan

PROGRAMS = {"apt": ("apt-get", "dpkg-deb"), "npm": ("npm",), "pypi": (), "torchvision": ()}
"""What must be on PATH for a provider; pip and torchvision are always there."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An original that nobody here can bring, the outputs that go without it, and the cure."""

    source: str
    title: str
    needed_by: tuple[str, ...]
    command: str

    def __str__(self) -> str:
        """Return one line for the terminal."""
        return f"left out: {', '.join(self.needed_by)}: {self.title} is not here; bring it with `{self.command}`"


def find(plan: Plan, root: Path) -> tuple[list[LeftOut], frozenset[Ref]]:
    """Return what is left out, and all Refs that are lost with it.

    An output that is there already is not lost: a clone that pulled shards needs no original.
    """
    gone = {ref for ref in plan.cells if ref.kind == "sources" and not _can_bring(plan, root, ref)}
    lost: set[Ref] = set()
    for ref, cell in plan.cells.items():  # inputs stand before what is made from them
        missing = ref in gone or any(need in lost for need in cell.inputs)
        if missing and recipe.status(root, cell) != "fresh":
            lost.add(ref)
    needed = {ref for ref in gone & lost if any(ref in plan.cells[other].inputs for other in lost)}
    return [_describe(plan, ref, lost) for ref in sorted(needed)], frozenset(lost)


def _can_bring(plan: Plan, root: Path, ref: Ref) -> bool:
    if recipe.receipt(root, ref) or (cache_home() / "originals" / ref.name).is_dir():
        return True
    source = originals.load_source(ref.name)
    programs = [PROGRAMS[provider.client] for provider in source.providers]
    bringable = any(all(shutil.which(program) for program in needed) for needed in programs)
    return bringable or bool(plan.params.fetch.folders)


def _describe(plan: Plan, ref: Ref, lost: set[Ref]) -> LeftOut:
    source = originals.load_source(ref.name)
    users = {other.parts[0] for other in lost if ref in plan.cells[other].inputs}
    command = " or ".join(provider.command for provider in source.providers)
    return LeftOut(ref.name, source.title, tuple(sorted(users)), command)
