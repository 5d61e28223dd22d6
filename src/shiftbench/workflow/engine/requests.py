"""The request on Snakemake's command line, read before Snakemake itself would give it to the plan."""

from collections.abc import Iterable

from snakemake import cli

from shiftbench.workflow.plan.plan import VERBS
from shiftbench.workflow.plan.planned_job import Request


def read(words: Iterable[str]) -> Request:
    """The request of a command line.

    Example:
        >>> read(["--cores", "2", "checkpoints"])
        Request(targets=('checkpoints',), again=(), until=())
        >>> read(["--forcerun", "shift", "--cores", "2"]).again, read(["--forceall"]).again[:2]
        (('shift',), ('fetch', 'shift'))
    """
    options = cli.get_argument_parser().parse_args(list(words))
    targets = tuple(options.targets)
    again = (*(VERBS if options.forceall else ()), *(options.forcerun or ()), *(targets if options.force else ()))
    return Request(targets, tuple(map(str, again)), tuple(map(str, options.until or ())))
