"""The stages: what the rules call, one recipe file at a time."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.cli.application import Device, Recipe, app, err, escaped, out

PANEL = "Stages"


Again = Annotated[bool, typer.Option("--again", help="make all of it, whatever receipts say")]


def _stage(verb: str, recipe_file: Path, *, again: bool, **options: Any) -> None:
    from shiftbench.provenance import recipe
    from shiftbench.workflow.engine import memory
    from shiftbench.workflow.stages import verbs

    memory.keep_freed()
    registry.Folders.only_read = False  # whoever started the run trusts the checkout, and may have on another machine
    make = partial(verbs.RUN[verb], **options)
    count = recipe.execute(recipe_file, make, again=again, copy=_from_cache)
    err.print(f"{verb} {recipe_file.stem}: {count} made")


def _from_cache(file: Path, digest: str, there: Path) -> bool:
    from shiftbench.workflow.storage import dvc_store

    found = dvc_store.copy(file, digest, there)
    if found:
        err.print(escaped(f"{file.name}: from DVC's cache"))
    return found


@app.command(rich_help_panel=PANEL)
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="originals to keep here")] = None,
    recipe: Annotated[Path | None, typer.Option(help="recipe file that the plan wrote", exists=True)] = None,
    again: Again = False,
) -> None:
    """Bring originals, checked by sha256: those of a recipe, or by name for use without a benchmark."""
    from shiftbench.data import source_files
    from shiftbench.workflow.stages import fetch as fetching

    if recipe is not None:
        _stage("fetch", recipe, again=again)
    elif not names:
        known = ", ".join(source_files.source_names())
        raise ParamsError(f"name the originals to bring; there are {known}")
    for name in names or ():
        found = fetching.keep(name)
        out.print(f"{name}: {source_files.original_folder(name)} ({found.provider})", soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def shift(recipe: Recipe, again: Again = False) -> None:
    """Make shards of one (dataset, split, shift)."""
    from shiftbench.data import skipped
    from shiftbench.provenance.recipe import Run

    _stage("shift", recipe, again=again)
    run = Run(recipe.resolve())
    for one in skipped.find_skipped(run.root / path for path in run.job.outputs):
        err.print(escaped(str(one)), soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def train(recipe: Recipe, device: Device = "cpu", again: Again = False) -> None:
    """Make weights."""
    from shiftbench.evaluation import devices

    with devices.hold(device) as held:
        _stage("train", recipe, again=again, device=held)


@app.command(rich_help_panel=PANEL)
def evaluate(recipe: Recipe, device: Device = "auto", again: Again = False) -> None:
    """Write one row per sample."""
    _stage("evaluate", recipe, again=again, device=device)


@app.command(rich_help_panel=PANEL)
def score(recipe: Recipe, again: Again = False) -> None:
    """Fit detectors and write OOD scores."""
    _stage("score", recipe, again=again)


@app.command(rich_help_panel=PANEL)
def aggregate(recipe: Recipe, again: Again = False) -> None:
    """Turn rows into metrics with intervals."""
    _stage("aggregate", recipe, again=again)


@app.command(rich_help_panel=PANEL)
def report(recipe: Recipe, again: Again = False) -> None:
    """Write the static page."""
    _stage("report", recipe, again=again)
