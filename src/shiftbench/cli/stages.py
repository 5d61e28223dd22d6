"""The stages: the commands of Snakemake's rules, one recipe file per call."""

import traceback
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, ShiftbenchError
from shiftbench.cli.application import Device, Recipe, err, escaped, out
from shiftbench.cli.commands import command

Again = Annotated[bool, typer.Option("--again", help="make all outputs, also those with a correct receipt")]


def _stage(verb: str, recipe_file: Path, *, again: bool, **options: Any) -> None:
    from shiftbench.provenance import recipe
    from shiftbench.workflow.engine import failures, memory
    from shiftbench.workflow.stages import verbs

    memory.keep_freed()
    registry.Folders.only_read = False  # whoever started the run trusts the checkout, maybe on another machine
    make = partial(verbs.RUN[verb], **options)
    try:
        count = recipe.execute(recipe_file, make, again=again, copy=_from_cache)
    except ShiftbenchError:
        raise
    except Exception as error:  # noqa: BLE001  # of a plugin, any
        traceback.print_exc()
        err.print(escaped(failures.START + failures.describe(error)), soft_wrap=True)
        raise typer.Exit(1) from None
    err.print(f"{verb} {recipe_file.stem}: {count} made")


def _from_cache(file: Path, digest: str, there: Path) -> bool:
    from shiftbench.workflow.storage import dvc_lock

    is_copied = dvc_lock.copy(file, digest, there)
    if is_copied:
        err.print(escaped(f"{file.name}: from DVC's cache"))
    return is_copied


@command
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="source files to download to this machine")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="recipe file of the job, written by `shiftbench plan --write`", exists=True)
    ] = None,
    again: Again = False,
) -> None:
    """Download source files and check their sha256."""
    from shiftbench.data import source_files
    from shiftbench.workflow.stages import fetch as fetching

    if recipe is not None:
        _stage("fetch", recipe, again=again)
    elif not names:
        known = ", ".join(source_files.source_names())
        raise ParamsError(f"name the source files to download; there are {known}")
    for name in names or ():
        result = fetching.keep(name)
        out.print(f"{name}: {source_files.original_folder(name)} ({result.provider})", soft_wrap=True)


@command
def shift(recipe: Recipe, again: Again = False) -> None:
    """Write the shards of one data set, split and shift."""
    from shiftbench.data import skipped
    from shiftbench.provenance.recipe import Run

    _stage("shift", recipe, again=again)
    run = Run(recipe.resolve())
    for samples in skipped.find_skipped(run.root / path for path in run.job.outputs):
        err.print(escaped(str(samples)), soft_wrap=True)


@command
def train(recipe: Recipe, device: Device = "cpu", again: Again = False) -> None:
    """Train a model and write its checkpoint."""
    from shiftbench.evaluation import devices

    with devices.hold(device) as used_device:
        _stage("train", recipe, again=again, device=used_device)


@command
def evaluate(recipe: Recipe, device: Device = "auto", again: Again = False) -> None:
    """Evaluate a model and write one record per sample."""
    _stage("evaluate", recipe, again=again, device=device)


@command
def score(recipe: Recipe, again: Again = False) -> None:
    """Fit detectors and write OOD scores."""
    _stage("score", recipe, again=again)


@command
def aggregate(recipe: Recipe, again: Again = False) -> None:
    """Compute metrics with intervals from records."""
    _stage("aggregate", recipe, again=again)


@command
def report(recipe: Recipe, again: Again = False) -> None:
    """Write the report page, or the samples behind its numbers."""
    _stage("report", recipe, again=again)
