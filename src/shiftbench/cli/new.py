"""Yours: plugins and benchmarks of your own."""

from pathlib import Path
from typing import Annotated

import typer

from shiftbench.cli.application import app, escaped, out, plural, use_plugin_folders

PANEL = "Yours"


@app.command(rich_help_panel=PANEL)
def new(
    plugin_type: Annotated[str, typer.Argument(help="shifts, datasets, models, metrics, ...")],
    name: Annotated[str, typer.Argument(help="its name: in params, in paths and in tables")],
    into: Annotated[Path, typer.Option(help="your folder of plugins")] = Path("mine"),
) -> None:
    """Write a plugin of your own to begin with; it runs as it is."""
    from shiftbench.workflow.tools import scaffold as scaffolds

    plugin_type = plural(plugin_type)
    use_plugin_folders()
    out.print(f"wrote {scaffolds.scaffold(plugin_type, name, into)}; params.yaml asks for it with")
    for line in scaffolds.lines(plugin_type, name, into):
        out.print(f"  {escaped(line)}", soft_wrap=True)
    if Path(f"tests/contracts/test_every_{plugin_type.removesuffix('s')}.py").is_file():
        out.print(f"test it: SHIFTBENCH_PLUGINS={into} pytest tests/contracts -k {name}")


@app.command(rich_help_panel=PANEL)
def init(folder: Annotated[Path, typer.Argument(help="a new folder")]) -> None:
    """Make a repository for a benchmark of your own, under git and DVC."""
    from shiftbench.workflow.tools import init_benchmark as initial

    for name in initial.create(folder):
        out.print(f"wrote {folder / name}", soft_wrap=True)
    out.print(f"next: cd {folder}, look into params.yaml and README.md, `make smoke`, `make run`")
