"""The published systems that a change affects: a changed file decides one of their outputs."""

import os
from collections.abc import Sequence
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.provenance import code_digest, git
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan import plan as plans


def systems(slugs: Sequence[str], revision: str) -> list[str]:
    """The systems among `slugs` that the files changed since a revision may affect, new files included.

    A file counts by its name. Snakemake compares its meaning and may have nothing to do.

    Args:
        slugs: systems, each with or without a configuration.
        revision: any name of a commit that git knows.

    Raises:
        ParamsError: git knows no such revision, or params are wrong.
    """
    changed = _changed(revision)
    return [slug for slug in slugs if changed & deciding_files(f"{configurations.SYSTEMS}/{slug}")]


def deciding_files(config: str) -> set[Path]:
    """The files that decide the outputs of a configuration: code and assets, params, cards of sources."""
    plan, _ = plans.load(config)
    files = set(code_digest.files_of(artifact.recipe for artifact in plan.artifacts.values()))
    cards = {f"{ref.name}.yaml" for ref in plan.artifacts if ref.kind == "sources"}
    files |= {home.folder / "sources" / name for home in registry.homes() for name in cards}
    return {path.resolve() for path in (*files, *configurations.files(config), configurations.BASE)}


def _changed(revision: str) -> set[Path]:
    """The files of this repository that differ from a commit, as resolved paths."""
    repository = git.says("rev-parse", "--show-toplevel")
    command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = git.says(*command)
    if repository is None or commit is None:
        raise ParamsError(
            f"--changed {revision}: git knows no such commit in {Path.cwd()}; name one that `git log` shows, "
            "or the systems themselves"
        )
    diff = ("diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv", commit, "--")
    untracked = ("ls-files", "-z", "--others", "--exclude-standard")
    lists = [git.ask(*command, home=Path(repository)) or b"" for command in (diff, untracked)]
    names = [os.fsdecode(name) for text in lists for name in text.split(b"\0") if name]
    return {(Path(repository) / name).resolve() for name in names}
