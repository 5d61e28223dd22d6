"""First versions of your own plugins and benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

from shiftbench.base import registry
from shiftbench.cli.application import err, escaped, out, plural, use_plugin_folders
from shiftbench.cli.commands import command
from shiftbench.provenance import trust


@command
def new(
    plugin_type: Annotated[str, typer.Argument(help="plugin type: shifts, datasets, models, metrics, ..., or systems")],
    name: Annotated[str, typer.Argument(help="name of the plugin or system in params, paths and tables")],
    into: Annotated[Path, typer.Option(help="folder for your plugins")] = Path("mine"),
) -> None:
    """Create a plugin or a system from a template."""
    from shiftbench import contracts
    from shiftbench.workflow.tools import scaffold as scaffolds

    use_plugin_folders()
    if plugin_type in ("system", "systems"):
        _new_system(name, into)
        return
    plugin_type = plural(plugin_type)
    out.print(f"wrote {scaffolds.scaffold(plugin_type, name, into)}; add to params.yaml:")
    for line in scaffolds.params_lines(plugin_type, name, into):
        out.print(f"  {escaped(line)}", soft_wrap=True)
    if plugin_type in contracts.TYPES:
        out.print(f"test it: shiftbench test {name}")


def _new_system(name: str, into: Path) -> None:
    from shiftbench.workflow.tools import scaffold as scaffolds

    slug = scaffolds.scaffold_system(name, into)
    out.print(f"wrote {into / 'systems' / slug.replace('-', '_')}: card.yaml, README.md")
    for line in scaffolds.folder_lines(into):
        out.print(f"add to params.yaml: {escaped(line)}", soft_wrap=True)
    out.print(f"run it: shiftbench systems {slug}/smoke")
    out.print(f"test it: shiftbench test {slug}")


@command
def test_(
    target: Annotated[
        str | None, typer.Argument(help="plugin, system, or folder; default: all in `plugins:` of params.yaml")
    ] = None,  # noqa: PT028  # a command, no test
) -> None:
    """Run the contract tests on plugins and systems of your own."""
    from shiftbench import contracts

    trust.require("contract tests run the code of your plugins")
    use_plugin_folders()
    if target is not None and Path(target).is_dir():
        registry.Folders.use((Path(target).resolve(),))
        target = None
    chosen = contracts.of_user(target)
    for plugin_type, names in chosen.items():
        err.print(f"testing {plugin_type}: {', '.join(sorted(names))}")
    if status := contracts.run(chosen):
        raise typer.Exit(status)


@command
def init(folder: Annotated[Path, typer.Argument(help="new folder for the benchmark")]) -> None:
    """Create a new benchmark repository."""
    from shiftbench.workflow.tools import init_benchmark as initial

    for name in initial.create(folder):
        out.print(f"wrote {folder / name}", soft_wrap=True)
    out.print(f"next: cd {folder}, read params.yaml and README.md, then `make smoke`, `make run`")
