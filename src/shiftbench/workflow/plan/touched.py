"""Which published systems a change may touch: those of whose outputs a changed file decides one."""

import os
from collections.abc import Sequence
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.provenance import code_digest, git
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan import plan as plans


def systems(slugs: Sequence[str], revision: str) -> list[str]:
    """Return those of `slugs` that what differs from a revision may touch, new files included.

    A file counts by its name here: Snakemake, which looks at what it means, may find nothing to do.

    Args:
        slugs: systems, each with or without a scale.
        revision: any name of a commit that git knows.

    Raises:
        ParamsError: git knows no such revision, or params are wrong.
    """
    changed = _changed(revision)
    return [slug for slug in slugs if changed & deciding(f"{configurations.SYSTEMS}/{slug}")]


def deciding(config: str) -> set[Path]:
    """Return the files that decide the outputs of a scale: code and assets, params, cards of originals."""
    plan, _ = plans.load(config)
    found = set(code_digest.files_of(one.recipe for one in plan.artifacts.values()))
    originals = {f"{ref.name}.yaml" for ref in plan.artifacts if ref.kind == "sources"}
    found |= {home.folder / "sources" / name for home in registry.homes() for name in originals}
    return {path.resolve() for path in (*found, *configurations.files(config), configurations.BASE)}


def _changed(revision: str) -> set[Path]:
    """Return the files of this repository that differ from a commit, resolved."""
    home = git.says("rev-parse", "--show-toplevel")
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = git.says(*asked)
    if home is None or commit is None:
        raise ParamsError(
            f"--changed {revision}: git knows no such commit in {Path.cwd()}; name one that `git log` shows, "
            "or the systems themselves"
        )
    differs = ("diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv", commit, "--")
    new = ("ls-files", "-z", "--others", "--exclude-standard")
    told = [git.ask(*words, home=Path(home)) or b"" for words in (differs, new)]
    names = [os.fsdecode(name) for said in told for name in said.split(b"\0") if name]
    return {(Path(home) / name).resolve() for name in names}
