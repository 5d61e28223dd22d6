"""Declaration of checks: a decorated function is a check of the audit.

`@check("A10", level=1)` stands above the function, whose name is the name of the check. The first line of its docstring
is the title, and the other lines are the rule in docs/list_of_checks.md.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shiftbench.audit import checks as folder
from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note

Examine = Callable[[Case], Iterator[Finding | Note]]
LAST = f"{folder.__name__}.auditor"
"""File with the checks of the audit itself, which run last."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its number, the level from which on it runs, and the function that examines a case."""

    number: str
    level: int
    examine: Examine

    def __call__(self, case: Case) -> Iterator[Finding | Note]:
        """Examine a case; each check yields at least one finding or note."""
        return self.examine(case)

    @property
    def name(self) -> str:
        """Name for `--only`."""
        return self.examine.__name__

    @property
    def file(self) -> str:
        """Name of the file in `checks/`."""
        return f"{self.examine.__module__.rpartition('.')[2]}.py"

    @property
    def title(self) -> str:
        """What is checked, in one sentence."""
        return (inspect.getdoc(self.examine) or "").partition("\n")[0]

    @property
    def rule(self) -> str:
        """Pass rule and limits."""
        return (inspect.getdoc(self.examine) or "").partition("\n")[2].strip()


def check(number: str, *, level: int) -> Callable[[Examine], Check]:
    """Declare a check."""
    return lambda examine: Check(number, level, examine)


def checks() -> list[Check]:
    """All checks, in the order of their numbers; those of the audit itself come last."""
    names = [f"{folder.__name__}.{module.name}" for module in pkgutil.iter_modules(folder.__path__)]
    known = [one for name in names for one in vars(importlib.import_module(name)).values() if isinstance(one, Check)]
    return sorted(known, key=lambda one: (one.examine.__module__ == LAST, int(one.number[1:])))
