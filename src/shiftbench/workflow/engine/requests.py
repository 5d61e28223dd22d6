"""What Snakemake's command line asks for; the plan needs to know it when the Snakefile is read, and is told later."""

from collections.abc import Iterable

from snakemake import cli

from shiftbench.workflow.plan.plan import VERBS
from shiftbench.workflow.plan.planned_job import Request


def read(words: Iterable[str]) -> Request:
    """Return what the words of a command line ask for.

    Example:
        >>> read(["--cores", "2", "checkpoints"])
        Request(targets=('checkpoints',), again=(), until=())
        >>> read(["--forcerun", "shift", "--cores", "2"]).again, read(["--forceall"]).again[:2]
        (('shift',), ('fetch', 'shift'))
    """
    asked = cli.get_argument_parser().parse_args(list(words))
    targets = tuple(asked.targets)
    again = (*(VERBS if asked.forceall else ()), *(asked.forcerun or ()), *(targets if asked.force else ()))
    return Request(targets, tuple(map(str, again)), tuple(map(str, asked.until or ())))
