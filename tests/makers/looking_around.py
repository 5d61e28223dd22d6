"""A process that looks around in its working folder: imports everything, then is one command line after another.

    python -P -m makers.looking_around '["plan", "audit --level 0"]'

After each step it prints a JSON line, and goes on when it reads one.
"""

import contextlib
import importlib
import io
import json
import os
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path.cwd()


def main() -> None:
    """Do all steps."""
    _tell("start")
    _tell("import modules", changed=changed_by(import_modules))
    _tell("import libraries", changed=changed_by(warm_server().preload))
    for words in json.loads(sys.argv[1]):
        os.chdir(Path.home() if str(HERE) in words else HERE)
        code, output = ended(words.split())
        _tell(words, code=code, said=output)


def changed_by(act: Callable[[], None]) -> list[str]:
    """Return the variables that are other ones afterwards."""
    before = dict(os.environ)
    act()
    names = before.keys() | os.environ.keys()
    return sorted(name for name in names if before.get(name) != os.environ.get(name))


def import_modules() -> None:
    """Import the modules of the package."""
    import shiftbench

    for module in pkgutil.walk_packages(shiftbench.__path__, "shiftbench."):
        if ".templates" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def warm_server() -> ModuleType:
    """Return the module that knows which libraries jobs begin with."""
    return importlib.import_module("shiftbench.cli.warm_server")


def ended(words: list[str]) -> tuple[int, str]:
    """Be a command line; return its exit code and what it said."""
    from shiftbench import cli

    sys.argv[:] = ["shiftbench", *words]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), output.getvalue()
    return 0, output.getvalue()


def _tell(step: str, **what: Any) -> None:
    print(json.dumps({"step": step, **what}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
