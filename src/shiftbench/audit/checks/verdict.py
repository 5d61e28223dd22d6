"""Every check came to a verdict, and the audit names its own environment.

Pass rule: each requested check has one result, with findings or a note of what was checked, and a verdict that is the
worst of its findings. Installed versions that differ from the lock are noted, since they may change bytes.
"""

from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note, Result, worst
from shiftbench.provenance import environment
from shiftbench.workflow.tools import doctor

NUMBER, LEVEL = "A30", 0


def check(case: Case) -> Iterator[Finding | Note]:
    """Check the results of the other checks."""
    for result in case.results:
        yield from _sound(case, result)
    done = [result for result in case.results if result.verdict != "not run"]
    yield Note(f"{len(done)} other checks ran, {len(case.results) - len(done)} are of deeper levels")
    here = environment.describe()
    yield Note(f"audited with Python {here['python']} on {here['os']}, {here['cpu']}")
    yield from (
        Note(f"this machine differs from the lock: {line}") for line in doctor.lock_differences(environment.LOCK)
    )


def _sound(case: Case, result: Result) -> Iterator[Finding]:
    if result.verdict == "not run":
        return
    if not (result.findings or result.notes):
        why = "the check yielded neither a finding nor a note"
        yield case.failed(result.name, why)
    stated = worst(finding.verdict for finding in result.findings)
    why = "the verdict is not the worst of the findings"
    yield from case.expect(result.name, why, stated, result.verdict)
