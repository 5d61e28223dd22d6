"""Looking: what there is, how a shift looks, what this machine can do, whom to cite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shiftbench import plugins
from shiftbench.cli.app import Json, app, escaped, out, use_plugin_folders
from shiftbench.errors import ParamsError, near

PANEL = "Looking"


@app.command("list", rich_help_panel=PANEL)
def list_(family: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """List the plugins of a family, or the families."""
    families = plugins.FAMILIES if family is None else [family]
    if family is not None and family not in plugins.FAMILIES:
        raise ParamsError(f"no family is called {family!r}; {near(family, plugins.FAMILIES)}")
    use_plugin_folders()
    found = {name: plugins.names(name) for name in families}
    if as_json:
        out.print_json(json.dumps(found))
        return
    for name, members in found.items():
        out.print(f"[bold]{name}[/] ({len(members)})")
        for member in members:
            out.print(f"  {member:24} {escaped(_first_line(name, member))}")


def _first_line(family: str, name: str) -> str:
    lines = (plugins.find(family, name).__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


@app.command(rich_help_panel=PANEL)
def describe(family: str, name: str) -> None:
    """Show what a plugin is, its source, its options and its file."""
    use_plugin_folders()
    module = plugins.find(family, name)
    out.print(escaped((module.__doc__ or "").strip()))
    for option, value in getattr(module, "PARAMS", {}).items():
        out.print(f"  {option} = {value!r}")
    out.print(f"[dim]{plugins.file(family, name)}[/]")


@app.command(rich_help_panel=PANEL)
def docs() -> None:
    """Generate docs/params.md, docs/formats.md and params.schema.json from the code."""
    from shiftbench import docs as documents

    for path in documents.write(Path()):
        out.print(f"wrote {path}")
