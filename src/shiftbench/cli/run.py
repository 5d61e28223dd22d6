"""Commands of a run: plan, why, prune and make."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.cli.application import Config, Hanging, Json, configuration, err, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import plan as plans


@command
def plan(
    config: Config = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="also estimate hours and GB")] = False,
    write: Annotated[bool, typer.Option("--write", help="write the recipe files")] = False,
    listed: Annotated[
        str | None, typer.Option("--list", metavar="STATE", help="list the outputs: missing, stale, fresh, or all")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which outputs are missing or out of date."""
    from shiftbench.workflow.plan import estimate as estimates

    if listed is not None and listed not in _STATES:
        raise ParamsError(f"outputs have no state {listed!r}; {suggest(listed, _STATES)}")
    planned, root = plans.load(config)
    if listed is not None:
        _list_outputs(planned, root, listed, as_json=as_json)
        return
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
    totals = (round(sum(row[column] for row in rows), 3) for column in columns[1:])
    table.add_section()
    table.add_row("all", *map(estimates.cell_text, totals))
    out.print(table)
    hours = sum(row["hours"] for row in rows)
    if all(row["stale"] + row["missing"] == 0 for row in rows):
        out.print("nothing to do")
    else:
        out.print(f"expected: {hours:.2g} h of one process" if hours else "expected: seconds")
    _list_own_files(planned)


_STATES = ("missing", "stale", "fresh", "all")


def _list_outputs(planned: plans.Plan, root: Path, listed: str, *, as_json: bool) -> None:
    """Print the outputs of a state, with the reason of each stale one."""
    states = {ref.path: state for ref, state in planned.states(root).items()}
    kinds = {path: state if state in ("missing", "fresh") else "stale" for path, state in states.items()}
    chosen = {path: states[path] for path in states if listed in (kinds[path], "all")}
    if as_json:
        out.print_json(json.dumps([{"path": str(root / path), "state": state} for path, state in chosen.items()]))
        return
    for path, state in chosen.items():
        reason = "" if state == kinds[path] else f": {state}"
        out.print(f"{kinds[path]:8} {escaped(f'{root / path}{reason}')}", soft_wrap=True)


def _list_own_files(planned: plans.Plan) -> None:
    """Print the user's own files that a plan reads."""
    from shiftbench.workflow.plan import unavailable

    files = unavailable.user_files(planned)
    if not files:
        return
    missing = sum(not file.exists for file in files)
    out.print(f"[bold]Your own files[/], never downloaded: {missing} of {len(files)} missing")
    for file in files:
        state = "changed" if file.changed else "missing" if not file.exists else "refused" if file.fault else "here"
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
    from shiftbench.workflow.plan import out_of_date

    planned, root = plans.load(configuration(config, output))
    artifacts, states = planned.at(root, output), planned.states(root)
    for artifact in artifacts:
        content = recipe.receipt(root, artifact.ref)
        out.print(f"[bold]{artifact.ref.path}[/]: {escaped(states[artifact.ref])}")
        causes = [ref for ref in out_of_date.causes(planned.artifacts, states, artifact.ref) if ref != artifact.ref]
        for ref in causes[:_SHOWN]:
            out.print(Hanging(f"because of {escaped(f'{ref.path}: {states[ref]}')}", indent=2))
        if len(causes) > _SHOWN:
            out.print(f"  and of {len(causes) - _SHOWN} more outputs; `shiftbench why PATH` explains each")
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


_LONG, _FIRST, _SHOWN = 300, 3, 5


@command
def prune(
    stages: Annotated[
        list[str] | None,
        typer.Argument(help="stages of the store: shards, checkpoints, records, features, tables; default: all"),
    ] = None,
    config: Config = None,
) -> None:
    """Move outputs that the configuration no longer uses to .trash/."""
    from shiftbench.workflow.plan import prune as pruning
    from shiftbench.workflow.storage import pull

    stages = stages or list(pruning.OUTS)
    unknown = [stage for stage in stages if stage not in pruning.OUTS]
    if unknown:
        raise ParamsError(f"no stage of the store is called {unknown[0]!r}; {suggest(unknown[0], pruning.OUTS)}")
    planned, root = plans.load(config)
    if "shards" in stages:
        pull.require_tars(planned, root)
    pruned = pruning.prune(planned, root, stages)
    for name in pruned:
        err.print(f"pruned {escaped(name)}", soft_wrap=True)
    err.print(f"{len(pruned)} files moved to {escaped(str(root / '.trash'))}", soft_wrap=True)


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
    planned, root = plans.load(configuration(config or next(iter(systems), None), *paths or ()))
    for source in planned.unavailable_sources:
        err.print(escaped(str(source)), soft_wrap=True)
    goals = {artifact.ref for path in paths or () for artifact in planned.at(root, path)}
    count = run_local.make(planned, root, goals)
    shards = (root / ref.path for ref in goals or planned.artifacts if ref.kind == "shards")
    for samples in skipped.find_skipped(shards):
        err.print(escaped(str(samples)), soft_wrap=True)
    page = "" if goals else f"; report: {root / planned.targets()[0]}"
    out.print(f"{count} made{page}", soft_wrap=True)
