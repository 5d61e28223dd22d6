"""First versions of your own plugins and benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.cli.application import Config, err, escaped, out, plural, use_plugin_folders
from shiftbench.cli.commands import command
from shiftbench.provenance import trust
from shiftbench.workflow.plan import cards, configurations


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
    written = scaffolds.scaffold(plugin_type, name, into)
    out.print(f"wrote {written}; add to {scaffolds.params_file(into)}:")
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
def test(
    target: Annotated[
        str | None, typer.Argument(help="plugin, system, or folder; default: all in `plugins:` of the configuration")
    ] = None,  # noqa: PT028  # no test of pytest
    config: Config = None,  # noqa: PT028
) -> None:
    """Run the contract tests on your plugins and systems."""
    from shiftbench import contracts

    trust.require("contract tests run the code of your plugins")
    use_plugin_folders(config)
    if target is not None and Path(target).is_dir():
        registry.Folders.use((Path(target).resolve(),))
        target = None
    chosen = contracts.of_user(target)
    for slug in chosen.get(contracts.SYSTEMS, ()):  # a wrong card is a message, not a failed test
        card = cards.load(slug)
        for config in card.params:
            configurations.load(f"{configurations.SYSTEMS}/{slug}/{config}")
    for plugin_type, names in chosen.items():
        err.print(f"testing {plugin_type}: {', '.join(sorted(names))}")
    if status := contracts.run(chosen):
        raise typer.Exit(status)


@command
def init(
    folder: Annotated[Path, typer.Argument(help="new folder for the benchmark")],
    images: Annotated[Path | None, typer.Option(help="your images: a folder with one folder per class")] = None,
    model: Annotated[
        str | None, typer.Option(help="your model: TorchScript, torch.export, ONNX, state dict, predictions, timm name")
    ] = None,
    architecture: Annotated[str, typer.Option(help="of a state dict: a name of torchvision, timm or a plugin")] = "",
    size: Annotated[int, typer.Option(min=0, help="side of the model's input in px; 0: the images' own size")] = 224,
    mean: Annotated[str, typer.Option(help="of each channel in 0 to 1, such as 0.5,0.5,0.5; default: ImageNet's")] = "",
    std: Annotated[str, typer.Option(help="of each channel in 0 to 1; default: ImageNet's")] = "",
) -> None:
    """Create a new benchmark repository."""
    from shiftbench.workflow.tools import init_benchmark as initial

    if (images is None) != (model is None):
        raise ParamsError("give both --images and --model, or neither")
    own = None
    if images is not None and model is not None:
        scale = size, _numbers("--mean", mean), _numbers("--std", std)
        own = initial.own_params(initial.Own(images, model, architecture, *scale))
    for name in initial.create(folder):
        out.print(f"wrote {folder / name}", soft_wrap=True)
    if own:
        initial.use_own(folder, own)
        out.print(f"pinned {images} and {model} in {folder / 'sources.lock'}", soft_wrap=True)
        out.print(f"next: cd {folder}, then {_COMMIT}, `shiftbench plan` and `make run`, or `shiftbench make`")
        return
    out.print(f"next: cd {folder}, read params.yaml and README.md, then {_COMMIT}, `make smoke`, `make run`")


_COMMIT = "`git add -A && git commit -m 'feat: a benchmark'`"


def _numbers(option: str, text: str) -> tuple[float, ...] | None:
    """Numbers between commas; None for an empty text."""
    try:
        return tuple(float(part) for part in text.split(",")) if text else None
    except ValueError:
        raise ParamsError(f"{option} {text!r}: expected numbers between commas, such as 0.5,0.5,0.5") from None
