"""Stages run again in this process: with the recipe of a receipt and the audited inputs, into a folder of the audit."""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from polars.exceptions import PolarsError
from pyarrow import ArrowException

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.provenance import code_digest
from shiftbench.provenance.recipe import Artifact, Job, Run
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.plan.report_specs import INDEX

BOARD = "leaderboard.csv"
Pair = tuple[Path, Path]
"""A file of the run, and the file that was made again."""


class Rerun(Run):
    """A run that reads the audited inputs and writes into the audit's folder, without receipts.

    It makes `planned`, or else an output with the recipe of its receipt. `made` are the files that were made, by name.
    """

    def __init__(self, case: Case, ref: Ref, planned: Artifact | None = None) -> None:
        self.artifact = planned or _recorded(case, ref)
        self.root, self.scratch = case.root, case.scratch / "again"
        self.job = Job(self.artifact.recipe["verb"], ref.name, (self.artifact,))
        self.started, self.notes, self.watch = time.time(), {}, None
        self.made: dict[str, Path] = {}

    def path(self, ref: Ref) -> Path:
        """Path of an output; the one that is made again is in the audit's folder."""
        return (self.scratch if ref == self.artifact.ref else self.root) / ref.path

    def commit(
        self,
        artifact: Artifact,
        files: dict[str, Path],
        facts: dict[str, Any] | None = None,  # noqa: ARG002 - a receipt would hold them
    ) -> None:
        """Put files in place, without a receipt."""
        output = self.path(artifact.ref)
        for name, temporary in files.items():
            self.made[name] = output.parent / name
            self.made[name].parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(self.made[name])

    def compare(self, case: Case, stated: Iterable[str]) -> tuple[list[Finding], list[Pair]]:
        """Compare the files that were made with those that the receipt states, byte by byte.

        Returns:
            Findings about files that only one side has; pairs of files with different bytes.
        """
        findings, differing = list[Finding](), list[Pair]()
        for name in sorted(self.made.keys() | set(stated)):
            here, made = case.folder(self.artifact.ref) / name, self.made.get(name)
            place = here.relative_to(case.root).as_posix()
            if made is None:
                findings.append(case.failed(self.artifact.ref, "no stage makes this file", file=place))
            elif not here.is_file():
                findings.append(case.incomplete(self.artifact.ref, "it is not here", file=place))
            elif here.read_bytes() != made.read_bytes():
                differing.append((here, made))
        return findings, differing


def _recorded(case: Case, ref: Ref) -> Artifact:
    """An output with the recipe that its receipt states."""
    recipe = (case.receipt(ref) or {})["recipe"]
    known = {planned.path: planned for planned in case.plan.artifacts}
    inputs = (known[path] for path in recipe.get("upstream", ()) if path in known)
    # Inputs have the order of the plan, which decides the order of chapters in a report.
    order = {need: at for at, need in enumerate(case.plan.artifacts[ref].inputs)}
    return Artifact.of(ref, recipe, tuple(sorted(inputs, key=lambda need: order.get(need, len(order)))))


def missing_inputs(case: Case, ref: Ref) -> list[Ref]:
    """Inputs of an output that are not here, so that it cannot be made again."""
    return [need for need in case.plan.artifacts[ref].inputs if case.state(need) != "complete"]


def code_change_note(artifact: Artifact) -> str:
    """A text for findings that names code that changed since the recipe was written; empty if none did."""
    try:
        changed = code_digest.changed_definitions(artifact.recipe)
    except ShiftbenchError as error:
        changed = [str(error)]  # gone
    return f" (but the code changed since: {', '.join(changed[:3])})" if changed else ""


def leaderboard(plan: Plan, root: Path) -> bytes:
    """Leaderboard (`BOARD`) that the report stage makes of the tables below an output root.

    Previews are left out, which a submission does not have. A DataError if it cannot be made.
    """
    from shiftbench.workflow.stages import report

    planned = plan.artifacts[INDEX]
    inputs = tuple(ref for ref in planned.inputs if ref.kind != "previews")
    with tempfile.TemporaryDirectory(prefix="shiftbench-board-") as scratch:
        case = Case(plan, root, level=1, count=1, seed="", today="", scratch=Path(scratch))
        run = Rerun(case, INDEX, replace(planned, inputs=inputs))
        try:
            report.run(run, [run.artifact])
        except (ShiftbenchError, OSError, LookupError, TypeError, ValueError, ArrowException, PolarsError) as error:
            raise DataError(f"its leaderboard cannot be made from its tables: {error}") from error
        return run.made[BOARD].read_bytes()
