"""The command line `shiftbench`: one verb per stage, and what a user asks of a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shiftbench import params as parameters
from shiftbench import plan as plans
from shiftbench import plugins
from shiftbench.errors import ParamsError, ShiftbenchError, near

app = typer.Typer(
    help="A data-versioned, reproducible benchmark of out-of-distribution robustness.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Recipe = Annotated[Path, typer.Option(help="recipe file that the plan wrote", exists=True)]
Device = Annotated[str, typer.Option(help="auto, cpu, or cuda:N")]
Scale = Annotated[str | None, typer.Option(help="overlay: NAME for params/NAME.yaml")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for a program")]


def main() -> None:
    """Run the command line; an error raised on purpose is printed without a traceback."""
    try:
        app()
    except ShiftbenchError as error:
        err.print(f"[bold red]error:[/] {_escaped(str(error))}")
        sys.exit(error.code)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _load(scale: str | None) -> tuple[plans.Plan, Path]:
    return plans.load(scale)


# ---------------------------------------------------------------------- stages


def _stage(verb: str, recipe_file: Path, **options: Any) -> None:
    import importlib

    from shiftbench import recipe

    stage = importlib.import_module(f"shiftbench.{verb}")
    count = recipe.execute(recipe_file, lambda run, todo: stage.run(run, todo, **options))
    err.print(f"{verb} {recipe_file.stem}: {count} made")


@app.command(rich_help_panel="Stages")
def fetch(recipe: Recipe) -> None:
    """Bring originals, checked by sha256."""
    _stage("fetch", recipe)


@app.command(rich_help_panel="Stages")
def shift(recipe: Recipe) -> None:
    """Make shards of one (dataset, split, shift)."""
    _stage("shift", recipe)


@app.command(rich_help_panel="Stages")
def train(recipe: Recipe, device: Device = "cpu") -> None:
    """Make weights."""
    _stage("train", recipe, device=device)


@app.command(rich_help_panel="Stages")
def evaluate(recipe: Recipe, device: Device = "auto") -> None:
    """Write one row per sample."""
    _stage("evaluate", recipe, device=device)


@app.command(rich_help_panel="Stages")
def score(recipe: Recipe) -> None:
    """Fit detectors and write OOD scores."""
    _stage("score", recipe)


@app.command(rich_help_panel="Stages")
def aggregate(recipe: Recipe) -> None:
    """Turn rows into metrics with intervals."""
    _stage("aggregate", recipe)


@app.command(rich_help_panel="Stages")
def report(recipe: Recipe) -> None:
    """Write the static page."""
    _stage("report", recipe)


# -------------------------------------------------------------------- the plan


@app.command(rich_help_panel="The run")
def plan(
    scale: Scale = None,
    estimate: Annotated[
        bool, typer.Option(help="also hours and GB, before anything starts")
    ] = False,
    write: Annotated[bool, typer.Option(help="write and stamp the recipe files")] = False,
    as_json: Json = False,
) -> None:
    """Show what the plan names and what of it is to be made."""
    from shiftbench import estimate as estimates

    planned, root = _load(scale)
    if write:
        planned.write(root)
    rows = estimates.table(planned, root)
    if as_json:
        out.print_json(json.dumps(rows))
        return
    columns = [
        "stage",
        "jobs",
        "outputs",
        "fresh",
        "stale",
        "missing",
        *(["hours", "GB"] if estimate else []),
    ]
    table = Table(*columns)
    for row in rows:
        table.add_row(*(estimates.spell(row[column]) for column in columns))
    out.print(table)


@app.command(rich_help_panel="The run")
def why(output: str, scale: Scale = None) -> None:
    """Tell what decided an output, and what changed since."""
    from shiftbench import recipe

    planned, root = _load(scale)
    hits = [
        cell
        for cell in planned.cells.values()
        if output in (cell.ref.path, cell.ref.name) or cell.ref.path.endswith(output)
    ]
    if not hits:
        known = [cell.ref.path for cell in planned.cells.values()]
        raise ParamsError(f"nothing planned is called {output!r}; {near(output, known)}")
    for cell in hits:
        content = recipe.receipt(root, cell.ref)
        out.print(f"[bold]{cell.ref.path}[/]: {_escaped(recipe.status(root, cell))}")
        if content and content["fingerprint"] != cell.fingerprint:
            for line in recipe.differences(content["recipe"], cell.recipe):
                out.print("  changed  " + _escaped(line))
        for line in _decided(cell.recipe):
            out.print("  " + _escaped(line))


def _decided(recipe: dict[str, Any]) -> list[str]:
    from shiftbench.recipe import canonical

    return [f"{key:9} {canonical(value)}" for key, value in sorted(recipe.items())]


@app.command(rich_help_panel="The run")
def prune(
    stages: Annotated[list[str], typer.Argument(help="shards weights records tables")],
    scale: Scale = None,
) -> None:
    """Move what the plan no longer names to .trash/."""
    from shiftbench import prune as pruning

    unknown = [stage for stage in stages if stage not in pruning.OUTS]
    if unknown:
        raise ParamsError(
            f"no stage of the store is called {unknown[0]!r}; {near(unknown[0], pruning.OUTS)}"
        )
    planned, root = _load(scale)
    for name in pruning.prune(planned, root, stages):
        err.print(f"pruned {name}")


@app.command(rich_help_panel="The store")
def pull(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="records, fashion_mnist/test/fog/3, ...; default: all"),
    ] = None,
    remote: Annotated[str | None, typer.Option(help="DVC remote; default: the default one")] = None,
    scale: Scale = None,
) -> None:
    """Pull outputs from a DVC remote, check every digest, and settle what is left to do."""
    from shiftbench import store

    planned, root = _load(scale)
    planned.write(root)
    checked, missing = store.pull(planned, root, what or [], remote)
    out.print(
        f"{checked} outputs pulled and checked against their receipts; {len(missing)} planned outputs are not here"
    )


@app.command(rich_help_panel="The store")
def repair(path: str, scale: Scale = None) -> None:
    """Check outputs below PATH and make the damaged ones again."""
    from shiftbench import store

    planned, root = _load(scale)
    again = store.repair(planned, root, path)
    for name in again:
        out.print(f"damaged: {name}")
    if not again:
        out.print("all bytes are as recorded; nothing to repair")
        return
    planned.write(root)
    command = [sys.executable, "-m", "snakemake", *(str(root / name) for name in again)]
    overlay = ["--config", f"scale={scale}"] if scale else []
    if subprocess.run([*command, *overlay], check=False).returncode:
        raise ShiftbenchError(
            "the damaged outputs were dropped, but making them again failed; see the log above"
        )
    out.print(f"repaired {len(again)} output(s)")


@app.command(rich_help_panel="The store")
def pin(paths: list[Path]) -> None:
    """Record the sha256 of files of yours in sources.lock, so that results can be traced to them."""
    from shiftbench import pins

    out.print(f"pinned {pins.pin(paths)} file(s) in {pins.LOCK}")


# --------------------------------------------------------------------- looking


@app.command("list", rich_help_panel="Looking")
def list_(family: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """List the plugins of a family, or the families."""
    families = plugins.FAMILIES if family is None else [family]
    if family is not None and family not in plugins.FAMILIES:
        raise ParamsError(f"no family is called {family!r}; {near(family, plugins.FAMILIES)}")
    _use_plugin_folders()
    found = {name: plugins.names(name) for name in families}
    if as_json:
        out.print_json(json.dumps(found))
        return
    for name, members in found.items():
        out.print(f"[bold]{name}[/] ({len(members)})")
        for member in members:
            out.print(f"  {member:24} {_escaped(_first_line(name, member))}")


def _use_plugin_folders() -> None:
    if Path("params.yaml").is_file():
        parameters.load("params.yaml")


def _first_line(family: str, name: str) -> str:
    lines = (plugins.find(family, name).__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


@app.command(rich_help_panel="Looking")
def describe(family: str, name: str) -> None:
    """Show what a plugin is, its source, its options and its file."""
    _use_plugin_folders()
    module = plugins.find(family, name)
    out.print(_escaped((module.__doc__ or "").strip()))
    for option, value in getattr(module, "PARAMS", {}).items():
        out.print(f"  {option} = {value!r}")
    out.print(f"[dim]{plugins.file(family, name)}[/]")


@app.command(rich_help_panel="Looking")
def docs() -> None:
    """Generate docs/params.md, docs/formats.md and params.schema.json from the code."""
    from shiftbench import docs as documents

    for path in documents.write(Path()):
        out.print(f"wrote {path}")
