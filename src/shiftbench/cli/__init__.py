"""The command line `shiftbench`: one verb per stage, and what a user asks of a benchmark."""

import importlib
import sys
from collections.abc import Callable

from shiftbench.base.errors import ParamsError, ShiftbenchError
from shiftbench.cli.application import app, err, escaped
from shiftbench.provenance import child_environment

__all__ = ["app", "main"]

# The order of the help page: what people type, then what the workflow calls.
_PANELS = "run audit claims answers information calibrate detect power new store release publish submissions stages"
for _panel in _PANELS.split():
    importlib.import_module(f"shiftbench.cli.{_panel}")


_RENAMED = {"--scale": "--config", "--weights": "--model"}
"""Options of 0.1."""


def main(command: Callable[[], object] = app) -> None:
    """Run the command line; an error raised on purpose is printed without a traceback.

    Args:
        command: the application, or what typer has made of it already.
    """
    child_environment.settle()
    try:
        for word in sys.argv[1:]:
            option, _, _ = word.partition("=")
            if option in _RENAMED:
                raise ParamsError(f"{option} is called {_RENAMED[option]} now")
        command()
    except ShiftbenchError as error:
        told = "\n".join([str(error), *getattr(error, "__notes__", ())])
        err.print(f"[bold red]error:[/] {escaped(told)}", soft_wrap=True)
        sys.exit(error.code)
