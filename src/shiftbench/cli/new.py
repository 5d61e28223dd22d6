"""First versions of your own plugins and benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

from shiftbench.cli.application import app, escaped, out, plural, use_plugin_folders

PANEL = "Your plugins and benchmarks"


@app.command(rich_help_panel=PANEL)
def new(
    plugin_type: Annotated[str, typer.Argument(help="plugin type: shifts, datasets, models, metrics, ...")],
    name: Annotated[str, typer.Argument(help="name of the plugin in params, paths and tables")],
    into: Annotated[Path, typer.Option(help="folder for your plugins")] = Path("mine"),
) -> None:
    """Write the first version of a plugin of your own; it runs without changes."""
    from shiftbench.workflow.tools import scaffold as scaffolds

    plugin_type = plural(plugin_type)
    use_plugin_folders()
    out.print(f"wrote {scaffolds.scaffold(plugin_type, name, into)}; add to params.yaml:")
    for line in scaffolds.params_lines(plugin_type, name, into):
        out.print(f"  {escaped(line)}", soft_wrap=True)
    if Path(f"tests/contracts/test_every_{plugin_type.removesuffix('s')}.py").is_file():
        out.print(f"test it: SHIFTBENCH_PLUGINS={into} pytest tests/contracts -k {name}")


@app.command(rich_help_panel=PANEL)
def init(folder: Annotated[Path, typer.Argument(help="new folder for the benchmark")]) -> None:
    """Create a repository for a benchmark of your own, with git and DVC."""
    from shiftbench.workflow.tools import init_benchmark as initial

    for name in initial.create(folder):
        out.print(f"wrote {folder / name}", soft_wrap=True)
    out.print(f"next: cd {folder}, read params.yaml and README.md, then `make smoke`, `make run`")
