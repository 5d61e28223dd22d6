"""First versions of your own plugins and benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

from shiftbench.cli.application import escaped, out, plural, use_plugin_folders
from shiftbench.cli.commands import command


@command
def new(
    plugin_type: Annotated[str, typer.Argument(help="plugin type: shifts, datasets, models, metrics, ...")],
    name: Annotated[str, typer.Argument(help="name of the plugin in params, paths and tables")],
    into: Annotated[Path, typer.Option(help="folder for your plugins")] = Path("mine"),
) -> None:
    """Create a plugin from a template."""
    from shiftbench.workflow.tools import scaffold as scaffolds

    plugin_type = plural(plugin_type)
    use_plugin_folders()
    out.print(f"wrote {scaffolds.scaffold(plugin_type, name, into)}; add to params.yaml:")
    for line in scaffolds.params_lines(plugin_type, name, into):
        out.print(f"  {escaped(line)}", soft_wrap=True)
    if Path(f"tests/contracts/test_every_{plugin_type.removesuffix('s')}.py").is_file():
        out.print(f"test it: SHIFTBENCH_PLUGINS={into} pytest tests/contracts -k {name}")


@command
def init(folder: Annotated[Path, typer.Argument(help="new folder for the benchmark")]) -> None:
    """Create a new benchmark repository."""
    from shiftbench.workflow.tools import init_benchmark as initial

    for name in initial.create(folder):
        out.print(f"wrote {folder / name}", soft_wrap=True)
    out.print(f"next: cd {folder}, read params.yaml and README.md, then `make smoke`, `make run`")
