"""The leaderboard of a report, made again from tables: it needs no previews, which a submission does not have."""

import tempfile
from dataclasses import replace
from pathlib import Path

from polars.exceptions import PolarsError
from pyarrow import ArrowException

from shiftbench.audit.case import Case
from shiftbench.audit.recompute.stages import Again
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.plan.report_specs import INDEX
from shiftbench.workflow.stages import report

BOARD = "leaderboard.csv"


def made(plan: Plan, root: Path) -> bytes:
    """Return leaderboard.csv as the report stage writes it of the tables below an output root.

    Raises:
        DataError: a table is not here, or nothing can be made of it.
    """
    planned = plan.artifacts[INDEX]
    inputs = tuple(ref for ref in planned.inputs if ref.kind != "previews")
    with tempfile.TemporaryDirectory(prefix="shiftbench-board-") as scratch:
        case = Case(plan, root, level=1, count=1, seed="", today="", scratch=Path(scratch))
        run = Again(case, INDEX, replace(planned, inputs=inputs))
        try:
            report.run(run, [run.artifact])
        except (ShiftbenchError, OSError, LookupError, TypeError, ValueError, ArrowException, PolarsError) as error:
            raise DataError(f"its leaderboard cannot be made from its tables: {error}") from error
        return run.made[BOARD].read_bytes()
