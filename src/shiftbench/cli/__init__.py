"""The command line `shiftbench`: the commands of users, and one command per stage."""

import importlib
import sys
from collections.abc import Callable

from shiftbench.base.errors import ParamsError, ShiftbenchError
from shiftbench.cli.application import app, err, escaped
from shiftbench.provenance import child_environment

__all__ = ["app", "main"]

# In the order of the help page: first the commands of users, then those that Snakemake calls.
_MODULES = "run audit claims answers information calibrate detect power new store release publish submissions stages"
for _module in _MODULES.split():
    importlib.import_module(f"shiftbench.cli.{_module}")


_RENAMED = {"--scale": "--config", "--weights": "--model"}
"""Options of version 0.1, and their names now."""


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
                raise ParamsError(f"{option} is called {_RENAMED[option]} now")
        command()
    except ShiftbenchError as error:
        message = "\n".join([str(error), *getattr(error, "__notes__", ())])
        err.print(f"[bold red]error:[/] {escaped(message)}", soft_wrap=True)
        sys.exit(error.code)
