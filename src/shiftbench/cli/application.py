"""What the commands share: the application, the two consoles, the options that many of them have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from shiftbench import __version__
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, near
from shiftbench.base.progress import Screen
from shiftbench.base.refs import Ref
from shiftbench.provenance import trust

app = typer.Typer(
    help="A data-versioned, reproducible benchmark of out-of-distribution robustness.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Screen(highlight=False)
err = Screen(stderr=True, highlight=False)

Recipe = Annotated[Path, typer.Option(help="recipe file that the plan wrote", exists=True)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda (a free one), or cuda:N")]
Config = Annotated[
    str | None,
    typer.Option("--config", metavar="NAME", help="configuration: NAME for params/NAME.yaml, or systems/SLUG"),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON for a program")]


def _tell_version(asked: bool) -> None:
    if asked:
        out.print(f"shiftbench {__version__}")
        raise typer.Exit


@app.callback()
def begin(
    trusted: Annotated[
        bool, typer.Option("--trust", help="from now on, let code of the checkout in this folder run")
    ] = False,
    version: Annotated[  # noqa: ARG001  # the option is eager
        bool, typer.Option("--version", help="print the version", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Settle, before any command, whether code of the checkout in this folder may run."""
    if trusted:
        trust.trust()
    registry.Folders.only_read = not trust.is_trusted()


@dataclass(frozen=True, slots=True)
class Hanging:
    """A line that is wrapped where it is too long for the terminal, and then goes on further right than it begins.

    Attributes:
        markup: rich's.
        indent: columns before it.
        further: columns more before what is wrapped.
    """

    markup: str
    indent: int = 0
    further: int = 4

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line, or the lines."""
        width = options.max_width - self.indent
        text = Text.from_markup(self.markup)
        first = text.wrap(console, width)[0]
        yield Padding(first, (0, 0, 0, self.indent))
        left = text[len(first) :]
        left = left[len(left) - len(left.plain.lstrip()) :]
        for line in left.wrap(console, width - self.further) if left else ():
            yield Padding(line, (0, 0, 0, self.indent + self.further))


def escaped(text: str) -> str:
    """Keep brackets of a text from being read as markup."""
    return text.replace("[", r"\[")


def plural(plugin_type: str) -> str:
    """Return a family of plugins by its name or by that of one member: `shifts` for `shift`.

    Raises:
        ParamsError: there is none of that name.
    """
    for name in registry.FAMILIES:
        if plugin_type in (name, name.removesuffix("es"), name.removesuffix("s"), f"{name[:-2]}is"):
            return name
    raise ParamsError(f"no family is called {plugin_type!r}; {near(plugin_type, (*registry.FAMILIES, 'systems'))}")


def use_plugin_folders() -> None:
    """Search the plugin folders of params.yaml; the rest of it may still be wrong while one looks."""
    from shiftbench.workflow.plan import loading

    if Path("params.yaml").is_file():
        loading.use_plugins("params.yaml")


def root() -> Path:
    """Return the output root of params.yaml; here, where there is none."""
    from shiftbench.workflow.plan import loading

    return Path(loading.load("params.yaml").root) if Path("params.yaml").is_file() else Path()


def run_of(config: str | None) -> str:
    """Return the command that runs a scale.

    Example:
        >>> run_of(None), run_of("ood"), run_of("systems/palm")
        ('make run', 'snakemake --config params=ood', 'snakemake systems/palm')
    """
    from shiftbench.workflow.plan import configurations

    return " ".join(["snakemake", *configurations.arguments(config)]) if config else "make run"


def weights_file(root: Path, weights: str, config: str | None) -> Path:
    """Return the file of weights that a run of a scale made, of which a net is about to be loaded.

    Raises:
        UntrustedError: the checkout is not trusted; its own params could say `trust: true` of a model that runs code.
        DataError: there is none of that name.
    """
    trust.require("its model would be loaded, which can run code")
    file = root / Ref("checkpoints", weights).path
    if not file.is_file():
        here = (root / "checkpoints").glob("*/*.safetensors")
        known = [str(path.relative_to(root / "checkpoints").with_suffix("")) for path in here]
        raise DataError(
            f"no weights {weights!r} ({file} does not exist; {near(weights, known)}); "
            f"`{run_of(config)}` makes what is planned, `shiftbench pull` brings what was recorded"
        )
    return file
