"""Commands of a run: plan, why, prune and make."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.cli.application import Config, Hanging, Json, err, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import plan as plans


@command
def plan(
    config: Config = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="also estimate hours and GB")] = False,
    write: Annotated[bool, typer.Option("--write", help="write the recipe files")] = False,
    as_json: Json = False,
) -> None:
    """Show which outputs are missing or out of date."""
    from shiftbench.workflow.plan import estimate as estimates

    planned, root = plans.load(config)
    if write:
        planned.write(root)
    rows = estimates.table(planned, root)
    if as_json:
        out.print_json(json.dumps(rows))
        return
    columns = ["stage", "jobs", "outputs", "fresh", "stale", "missing", *(["hours", "GB"] if estimate else [])]
    table = Table(*columns)
    for row in rows:
        table.add_row(*(estimates.cell_text(row[column]) for column in columns))
    out.print(table)
    _list_own_files(planned)


def _list_own_files(planned: plans.Plan) -> None:
    """Print the user's own files that a plan reads."""
    from shiftbench.workflow.plan import unavailable

    files = unavailable.user_files(planned)
    if not files:
        return
    missing = sum(not file.exists for file in files)
    out.print(f"[bold]Your own files[/], never downloaded: {missing} of {len(files)} missing")
    for file in files:
        state = "changed" if file.changed else "here" if file.exists else "missing"
        terms = f"; {file.licence}" if file.licence else ""
        ignored = f"; ignored: {file.ignored}" if file.ignored else ""
        duplicates = f"; files with equal bytes: {file.duplicates}" if file.duplicates else ""
        line = f"{state:8} {file.path}: {file.description}, for {file.needed_by}{terms}{ignored}{duplicates}"
        out.print(f"  {escaped(line)}", soft_wrap=True)


@command
def why(
    output: Annotated[str, typer.Argument(help="path of the output, or a part of its path")],
    config: Config = None,
    whole: Annotated[bool, typer.Option("--whole", help="print long values in full")] = False,
) -> None:
    """Explain why an output is (or is not) up to date."""
    from shiftbench.provenance import recipe

    planned, root = plans.load(config)
    for artifact in planned.at(root, output):
        content = recipe.receipt(root, artifact.ref)
        out.print(f"[bold]{artifact.ref.path}[/]: {escaped(recipe.status(root, artifact))}")
        if content and content["fingerprint"] != artifact.fingerprint:
            for line in recipe.changes(content["recipe"], artifact.recipe):
                out.print("  changed  " + escaped(line))
        for key, value in sorted(artifact.recipe.items()):
            text = recipe.canonical(value) if whole else _shorten(value)
            out.print(Hanging(f"{key:9} {escaped(text)}", indent=2, further=10))


def _shorten(value: Any) -> str:
    """A part of a recipe; of a long one, its length and first names."""
    from shiftbench.provenance.recipe import canonical

    text = canonical(value)
    if len(text) <= _LONG:
        return text
    if not isinstance(value, dict | list):
        return f"{text[:_LONG]}..."
    names = [item if isinstance(item, str) else canonical(item) for item in value]
    first = ", ".join(names[:_FIRST])
    return f"{len(value)}: {first[:_LONG]}{', ...' if len(value) > _FIRST else ''} (--whole prints all)"


_LONG, _FIRST = 300, 3


@command
def prune(
    stages: Annotated[list[str], typer.Argument(help="stages of the store: shards, checkpoints, records, tables")],
    config: Config = None,
) -> None:
    """Move outputs that the configuration no longer uses to .trash/."""
    from shiftbench.workflow.plan import prune as pruning
    from shiftbench.workflow.storage import pull

    unknown = [stage for stage in stages if stage not in pruning.OUTS]
    if unknown:
        raise ParamsError(f"no stage of the store is called {unknown[0]!r}; {suggest(unknown[0], pruning.OUTS)}")
    planned, root = plans.load(config)
    if "shards" in stages:
        pull.require_tars(planned, root)
    for name in pruning.prune(planned, root, stages):
        err.print(f"pruned {name}")


@command
def trust() -> None:
    """Allow code of the checkout in this folder to run.

    Look at the checkout first: its plugins, models and DVC configuration can run
    any code. The decision is remembered outside of the checkout.
    """
    from shiftbench.provenance import trust as trusted

    trusted.trust()
    out.print(f"trusted from now on: {escaped(str(Path.cwd()))}", soft_wrap=True)


@command
def make(
    paths: Annotated[
        list[str] | None, typer.Argument(help="paths of outputs, or of folders of outputs; default: all")
    ] = None,
    config: Config = None,
) -> None:
    """Run everything that is out of date in this process (no Snakemake).

    Use it for one output, for small benchmarks and in notebooks.
    """
    from shiftbench.data import skipped
    from shiftbench.provenance import trust
    from shiftbench.workflow.plan import job_selection
    from shiftbench.workflow.tools import run_local

    trust.require("its benchmark would run here")
    systems = [system for path in paths or () for system in job_selection.systems_of(path)]
    planned, root = plans.load(config or next(iter(systems), None))
    for source in planned.unavailable_sources:
        err.print(escaped(str(source)), soft_wrap=True)
    goals = {artifact.ref for path in paths or () for artifact in planned.at(root, path)}
    count = run_local.make(planned, root, goals)
    shards = (root / ref.path for ref in goals or planned.artifacts if ref.kind == "shards")
    for samples in skipped.find_skipped(shards):
        err.print(escaped(str(samples)), soft_wrap=True)
    page = "" if goals else f"; report: {root / planned.targets()[0]}"
    out.print(f"{count} made{page}", soft_wrap=True)
