"""Parts that the commands share: the two consoles and common options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.progress import Screen
from shiftbench.base.refs import Ref
from shiftbench.provenance import trust

out = Screen(highlight=False)
err = Screen(stderr=True, highlight=False)

Recipe = Annotated[Path, typer.Option(help="recipe file of the job, written by `shiftbench plan --write`", exists=True)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda (a free GPU) or cuda:N")]


class Chosen:
    """The configuration of this command, for the commands that its messages print."""

    config: str | None = None


def _choose(config: str | None) -> str | None:
    Chosen.config = config
    return config


Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME",
        envvar="SHIFTBENCH_CONFIG",
        show_envvar=False,
        callback=_choose,
        help="NAME for params/NAME.yaml over params.yaml, or systems/SLUG; default: $SHIFTBENCH_CONFIG, or params.yaml",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]


@dataclass(frozen=True, slots=True)
class Hanging:
    """A line with a hanging indent: if it is too long for the terminal, the lines that follow begin further right.

    Attributes:
        markup: the text, in rich's markup.
        indent: columns before the first line.
        further: further columns before the lines that follow.
    """

    markup: str
    indent: int = 0
    further: int = 4

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines as rich prints them."""
        width = options.max_width - self.indent
        text = Text.from_markup(self.markup)
        first = text.wrap(console, width)[0]
        yield Padding(first, (0, 0, 0, self.indent))
        rest = text[len(first) :]
        rest = rest[len(rest) - len(rest.plain.lstrip()) :]
        for line in rest.wrap(console, width - self.further) if rest else ():
            yield Padding(line, (0, 0, 0, self.indent + self.further))


def escaped(text: str) -> str:
    """The text with escaped brackets, so that rich reads no markup in it."""
    return text.replace("[", r"\[")


def plural(plugin_type: str) -> str:
    """The plural name of a plugin type: `shifts` for `shift` and `shifts`.

    Raises:
        ParamsError: no plugin type has that name.
    """
    for name in registry.PLUGIN_TYPES:
        if plugin_type in (name, name.removesuffix("es"), name.removesuffix("s"), f"{name[:-2]}is"):
            return name
    known = (*registry.PLUGIN_TYPES, "systems")
    raise ParamsError(f"no plugin type is called {plugin_type!r}; {suggest(plugin_type, known)}")


def use_plugin_folders(config: str | None = None) -> None:
    """Search the plugin folders of a configuration, without a check of its other parameters."""
    from shiftbench.workflow.plan import configurations, loading

    named = None if config and config.startswith(f"{configurations.SYSTEMS}/") else config  # a card has no folders
    if named or Path("params.yaml").is_file():
        loading.use_plugins(*configurations.files(named))


def root() -> Path:
    """The output root of params.yaml; this folder if there is no params.yaml."""
    from shiftbench.workflow.plan import loading

    return Path(loading.load("params.yaml").root) if Path("params.yaml").is_file() else Path()


def configuration(config: str | None, *paths: str) -> str | None:
    """The configuration that the user named, else that of the first path below the output root of one."""
    from shiftbench.workflow.plan import configurations

    return _choose(config or next(filter(None, map(configurations.of_path, paths)), None))


def checkpoint_file(root: Path, model: str, config: str | None) -> Path:
    """The checkpoint of a model that a run made, before a command loads it.

    Raises:
        UntrustedError: the checkout is not trusted; its own params could say `trust: true` of a model that runs code.
        DataError: the checkpoint does not exist.
    """
    from shiftbench.workflow.plan import configurations

    trust.require("its model would be loaded, which can run code")
    file = root / Ref("checkpoints", model).path
    if not file.is_file():
        files = (root / "checkpoints").glob("*/*.safetensors")
        known = [str(path.relative_to(root / "checkpoints").with_suffix("")) for path in files]
        raise DataError(
            f"no model {model!r} ({file} does not exist; {suggest(model, known)}); "
            f"`{configurations.run_of(config)}` trains the planned models, "
            "`shiftbench pull` downloads the recorded ones"
        )
    return file
