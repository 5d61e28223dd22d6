"""Checks of the audit itself: nobody could know its draws, and every check has a verdict."""

import datetime
from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.finding import Finding, Note, Result, worst
from shiftbench.provenance import environment
from shiftbench.workflow.tools import doctor

_SHARES = (0.01, 0.1)


def chance(f: float, k: int) -> float:
    """Probability that k independent draws meet a fault in a share f of the samples.

    Example:
        >>> round(chance(0.1, 16), 4)
        0.8147
    """
    return float(1 - (1 - f) ** k)


def _after(finished: str, today: str) -> bool:
    """Whether an instant is after the end of a day in UTC; without a time zone, it is in UTC."""
    try:
        instant = datetime.datetime.fromisoformat(finished)
        day = datetime.datetime.fromisoformat(today).replace(tzinfo=datetime.UTC)
    except ValueError:
        return False  # `environment` tells of what is no date
    instant = instant if instant.tzinfo else instant.replace(tzinfo=datetime.UTC)
    return instant >= day + datetime.timedelta(days=1)


@check("A25", level=0)
def sampling(case: Case) -> Iterator[Finding | Note]:
    """No author could know what this audit draws, and a repeated audit draws the same.

    Pass rule: no run file ends later than the audit's day in UTC, whatever its time zone. The seed is entropy of the
    auditor's machine, drawn when the audit began and printed. It follows from nothing that an author could choose or
    search. `--seed` repeats an audit; this is noted, since the seed may have been known when the results were made. A
    note states the probability that a draw of k detects a fault in a share f of the samples: 1 - (1 - f)^k.
    """
    dated = 0
    for ref in case.complete:
        finished = str((case.run_file(ref) or {}).get("finished", ""))
        dated += bool(finished)
        if _after(finished, case.today):
            why = "it was finished after this audit, by its clock, so that the seed could be known when it was made"
            details = {"expected": f"until {case.today}", "found": finished}
            yield case.failed(ref, why, file=f"{ref.path}.run.json", **details)
    yield Note(f"{dated} outputs were finished before this audit" if dated else "there are no results yet")
    if case.is_repeated:
        yield Note("the seed is that of `--seed`; it may have been known when the results were made", limits=True)
    else:
        yield Note("the seed is the auditor's own: entropy of this audit, which `--seed` repeats")
    odds = ", ".join(f"{chance(f, case.count):.0%} where {f:.0%} of them are wrong" for f in _SHARES)
    yield Note(f"a draw of {case.count} detects a fault with a probability of {odds}")


@check("A30", level=0)
def verdict(case: Case) -> Iterator[Finding | Note]:
    """Every check came to a verdict, and the audit names its own environment.

    Pass rule: each requested check has one result, with findings or a note of what was checked, and a verdict that is
    the worst of its findings. Installed versions that differ from the lock are noted, since they may change bytes.
    """
    for result in case.results:
        yield from _sound(case, result)
    done = [result for result in case.results if result.verdict != "not run"]
    yield Note(f"{len(done)} other checks ran, {len(case.results) - len(done)} are of deeper levels")
    here = environment.describe()
    yield Note(f"audited with Python {here['python']} on {here['os']}, {here['cpu']}")
    for line in doctor.lock_differences(environment.LOCK):
        yield Note(f"this machine differs from the lock: {line}")


def _sound(case: Case, result: Result) -> Iterator[Finding]:
    if result.verdict == "not run":
        return
    if not (result.findings or result.notes):
        why = "the check yielded neither a finding nor a note"
        yield case.failed(result.name, why)
    stated = worst(finding.verdict for finding in result.findings)
    why = "the verdict is not the worst of the findings"
    yield from case.expect(result.name, why, stated, result.verdict)
