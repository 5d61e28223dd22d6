"""The application and the index of its commands, whose modules are imported when a command is used.

`shiftbench --help`, `--version` and completion read the index alone. They import no library but typer.
"""

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from shiftbench import __version__

_INDENT = "  "
F = TypeVar("F", bound=Callable[..., Any])


class Entry(NamedTuple):
    """A command in the index.

    Attributes:
        group: the group of the help page.
        module: the module in this folder.
        summary: the first sentence of the command's help; the docstring begins with it.
        examples: command lines that the help shows.
        codes: meanings of exit codes; empty if only 0 means success, 2 a wrong request and 3 wrong data.
    """

    group: str
    module: str
    summary: str
    examples: tuple[str, ...] = ()
    codes: str = ""


_INDEX = {
    "Run": """
plan         run          Show which outputs are missing or out of date.
make         run          Run everything that is out of date in this process (no Snakemake).
systems      claims       Run published systems and show their verdicts.
prune        run          Move outputs that the configuration no longer uses to .trash/.
repair       store        Check the bytes of outputs, and rebuild damaged ones.
trust        run          Allow code of the checkout in this folder to run.
doctor       information  Check this machine before a run.
""",
    "Inspect": """
audit        audit        Check that the numbers follow from the rows, shards, recipes and source files.
why          run          Explain why an output is (or is not) up to date.
list         information  List plugins or published systems.
describe     information  Show the options, constants and file of a plugin, or the card of a system.
claims       claims       Show the verdicts on the claims of systems.
preview      information  Draw a shift at rising severity.
calibrate    calibrate    Find the severities at which shifts cost a model the same accuracy.
detect       detect       Score images with fitted OOD detectors.
power        power        Estimate the samples and seeds needed to detect a difference.
compare      standing     Compare a model with a thousand others under ImageNet's shifts.
check-results printed     Check whether the numbers of a printed table contradict each other.
cite         information  Print the works to cite for a configuration.
""",
    "Extend": """
init         new          Create a new benchmark repository.
new          new          Create a plugin or a system from a template.
test         new          Run the contract tests on your plugins and systems.
pin          store        Record the checksums of your own files.
""",
    "Share": """
pull         store        Download outputs and verify their checksums.
verify       publish      Compare this run with the published results.
release      release      Write a release of a run with a signature, or check one.
submit       submissions  Package a run for the leaderboard.
review       submissions  Check a submission without running its code.
""",
    "Advanced": """
answers      answers      Query language models and cache the answers.
record       store        Record the outputs of systems for `dvc push`.
publish      publish      Write published/ (maintainers).
docs         information  Generate docs/ and params/schema.json from the code (developers).
fetch        stages       Download source files and check their sha256.
shift        stages       Write the shards of one data set, split and shift.
train        stages       Train a model and write its checkpoint.
evaluate     stages       Evaluate a model and write one record per sample.
score        stages       Fit detectors and write OOD scores.
aggregate    stages       Compute metrics with intervals from records.
report       stages       Write the report page, or the samples behind its numbers.
""",
}
_EXAMPLES = {
    "plan": ("shiftbench plan", "shiftbench plan --config smoke --list missing"),
    "make": ("shiftbench make --config smoke",),
    "systems": ("shiftbench systems palm", "shiftbench systems --changed HEAD"),
    "prune": ("shiftbench prune", "shiftbench prune records tables --config smoke"),
    "repair": ("shiftbench repair build/smoke",),
    "trust": ("shiftbench trust",),
    "doctor": ("shiftbench doctor --config smoke",),
    "audit": ("shiftbench audit --config smoke", "shiftbench audit --level 2 --sample 8"),
    "why": ("shiftbench why results/report/index.html",),
    "list": ("shiftbench list shifts --modality image --search blur", "shiftbench list systems"),
    "describe": ("shiftbench describe shift fog", "shiftbench describe system palm"),
    "claims": ("shiftbench claims palm --published",),
    "preview": ("shiftbench preview fog", "shiftbench preview fog --image photo.png"),
    "calibrate": ("shiftbench calibrate fog contrast --model fashion_mnist/convnet-erm-s0",),
    "detect": ("shiftbench detect --model known_0/convnet-erm-s0 --image photo.png --config ood",),
    "power": ("shiftbench power palm --difference 0.02",),
    "compare": (
        "shiftbench compare imagenet=80.4 imagenet_v2=69.0 imagenet_r=40.5",
        "shiftbench compare resnet50.a1_in1k@224 --with timm",
    ),
    "check-results": ("shiftbench check-results table.csv", "shiftbench check-results table.csv --n 10000"),
    "cite": ("shiftbench cite --bibtex",),
    "init": ("shiftbench init my-benchmark", "shiftbench init my-benchmark --images photos --model net.onnx"),
    "new": ("shiftbench new shifts my_shift", "shiftbench new systems my-method"),
    "test": ("shiftbench test", "shiftbench test my_shift"),
    "pin": ("shiftbench pin images/*.png",),
    "pull": ("shiftbench pull", "shiftbench pull systems/palm"),
    "verify": ("shiftbench verify", "shiftbench verify systems/palm"),
    "release": ("shiftbench release 1.0", "shiftbench release 1.0 --verify"),
    "submit": ("shiftbench submit my-run",),
    "review": ("shiftbench review my-run.tar.gz",),
}
_CODES = {
    "audit": "0 exact, 10 statistical, 20 incomplete, 30 failed.",
    "check-results": "0 nothing found, 10 something found.",
    "verify": "0 exact, 10 statistical, 20 incomplete, 30 failed.",
    "release": "with --verify: 0 exact, 20 incomplete, 30 failed.",
    "pull": "0 all outputs that may be shared are here and correct, 3 a remote or an output is wrong.",
}


def _index() -> dict[str, Entry]:
    entries = {}
    for group, lines in _INDEX.items():
        for line in lines.strip().splitlines():
            name, module, summary = line.split(maxsplit=2)
            entries[name] = Entry(group, module, summary, _EXAMPLES.get(name, ()), _CODES.get(name, ""))
    return entries


INDEX: Mapping[str, Entry] = MappingProxyType(_index())
"""All commands in the order of the help page."""
GROUPS = tuple(_INDEX)


class Command(TyperCommand):
    """A command whose help ends with its exit codes, examples and the documentation."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option --help, described as all other options are."""
        return _described(super().get_help_option(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # typer's signature
        """Write the lines of the epilog as they are."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


class Commands(TyperGroup):
    """The group of all commands; the index describes them, and `get_command` imports one."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # typer's signature
        """The names of all commands, in the order of the help page."""
        return list(INDEX)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # typer's signature
        """The command with this name, whose module is imported; None if there is none."""
        if cmd_name not in self.commands and cmd_name in INDEX:
            _load(cmd_name)
            self.commands.update(typer.main.get_group(app).commands)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the words name; an unknown one is compared with all names of the index."""
        if args and args[0] not in INDEX:
            from shiftbench.base.errors import suggest

            ctx.fail(f"no command is called {args[0]!r}; {suggest(args[0], INDEX)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The completions of a word: commands of the index, or options."""
        from typer.core import CompletionItem  # type: ignore[attr-defined]  # typer exports none

        names = [
            CompletionItem(name, help=entry.summary) for name, entry in INDEX.items() if name.startswith(incomplete)
        ]
        return names if not incomplete.startswith("-") else super().shell_complete(ctx, incomplete)

    def get_help_option(self, ctx: Any) -> Any:
        """The option --help, described as all other options are."""
        return _described(super().get_help_option(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # typer's signature
        """Write the commands, group by group."""
        for group in GROUPS:
            rows = [(name.ljust(_WIDEST), entry.summary) for name, entry in INDEX.items() if entry.group == group]
            with formatter.section(group):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # typer's signature
        """Write the lines of the epilog as they are."""
        formatter.write(f"\n{self.epilog}\n")


_WIDEST = max(map(len, INDEX))


def _described(option: Any) -> Any:
    if option is not None:
        option.help = "print this help"
    return option


app = typer.Typer(
    cls=Commands,
    help="A data-versioned, reproducible benchmark of out-of-distribution robustness.",
    epilog="`shiftbench COMMAND --help` shows options and examples. Begin with README.md and docs/tutorial.\n"
    "Exit codes: 0 success, 2 wrong request, 3 wrong data; others are in a command's help.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def command(function: F) -> F:
    """Add a function to the application; the index has its group, examples and exit codes."""
    name = function.__name__.rstrip("_").replace("_", "-")
    entry = INDEX[name]
    parts = [f"Exit codes: {entry.codes}"] if entry.codes else []
    if entry.examples:
        parts.append("\n".join(["Examples:", *(_INDENT + line for line in entry.examples)]))
    registered = app.command(name, cls=Command, rich_help_panel=entry.group, epilog="\n\n".join(parts) or None)
    return registered(function)


def _load(name: str) -> None:
    importlib.import_module(f"shiftbench.cli.{INDEX[name].module}")


def load_all() -> None:
    """Import the modules of all commands."""
    for name in INDEX:
        _load(name)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"shiftbench {__version__}")
        raise typer.Exit


@app.callback()
def begin(
    version: Annotated[  # noqa: ARG001  # the option is eager
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Decide before any command whether code of the checkout in this folder may run."""
    from shiftbench.base import registry
    from shiftbench.cli import application
    from shiftbench.provenance import trust

    application.Chosen.config = None
    registry.Folders.only_read = not trust.is_trusted()
