"""Prune: move outputs that no longer belong to the plan to `.trash/`, so that nothing aggregates or pushes them."""

from pathlib import Path

from shiftbench.base.files import writable
from shiftbench.provenance import trust
from shiftbench.workflow.plan.plan import Plan

OUTS = {
    "shards": ("data/shards", "data/local", "results/previews"),
    "checkpoints": ("checkpoints",),
    "records": ("results/records", "results/overlaps", "results/searches", "results/scores", "results/analyses"),
    "features": ("results/features",),
    "tables": ("results/tables", "results/released", "results/claims", "results/samples", "results/report"),
}
"""The folders that each DVC stage stores, relative to the output root."""


def prune(plan: Plan, root: Path, stages: list[str]) -> list[str]:
    """Move files that belong to no planned artifact to `root/.trash`, and remove empty folders.

    Returns:
        The paths that were moved, relative to `root`, sorted.

    Raises:
        UntrustedError: links of a checkout that is not trusted lead elsewhere.
        DataError: a folder cannot be written.
    """
    folders = [folder for stage in stages for folder in OUTS[stage]]
    trust.refuse_links(*(root / folder for folder in (*folders, ".trash")))
    owners = {artifact.ref.path for artifact in plan.artifacts.values()}
    owned_folders = {str(Path(ref.path).parent) for ref in plan.artifacts if ref.owns_folder}
    moved = []
    for folder in folders:
        with writable(root / folder):
            (root / folder).mkdir(exist_ok=True)
        for file in sorted(path for path in (root / folder).rglob("*") if path.is_file() or path.is_symlink()):
            name = file.relative_to(root).as_posix()
            if not owned_folders.isdisjoint(map(str, Path(name).parents)) or _owner(name) in owners:
                continue
            target = root / ".trash" / name
            with writable(target):
                file.replace(target)
            moved.append(name)
        with writable(root / folder):
            _drop_empty(root / folder)
    return moved


def _owner(name: str) -> str:
    """The output that a file belongs to: `3.parquet` for `3.parquet.receipt.json`."""
    for suffix in (".receipt.json", ".run.json", ".log.parquet"):
        name = name.removesuffix(suffix)
    return name.replace(".logits.npy", ".npy")


def _drop_empty(folder: Path) -> None:
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()
