"""The command line `shiftbench`: the commands of users, and one command per stage."""

import sys
from collections.abc import Callable

from shiftbench.base.errors import ParamsError, ShiftbenchError
from shiftbench.cli.commands import app, load_all
from shiftbench.provenance import child_environment

__all__ = ["app", "load_all", "main"]

_RENAMED = {
    "--scale": "--config is its name now",
    "--weights": "--model is its name now",
    "--trust": "`shiftbench trust` is a command now",
}
"""Options of version 0.1, and what replaces them."""


def main(command: Callable[[], object] = app) -> None:
    """Run the command line; print an error of shiftbench without a traceback.

    Args:
        command: the application, or the click command that typer made of it.
    """
    child_environment.settle()
    try:
        for argument in sys.argv[1:]:
            option, _, _ = argument.partition("=")
            if option in _RENAMED:
                raise ParamsError(f"{option} does not exist: {_RENAMED[option]}")
        command()
    except ShiftbenchError as error:
        from shiftbench.cli.application import Chosen, err, escaped
        from shiftbench.workflow.plan import configurations

        message = "\n".join([str(error), *getattr(error, "__notes__", ())])
        message = configurations.as_typed(message, Chosen.config)
        err.print(f"[bold red]error:[/] {escaped(message)}", soft_wrap=True)
        sys.exit(error.code)
