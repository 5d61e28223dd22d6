"""What is drawn could not be known before this audit, and whoever repeats it draws the same.

Pass rule: no run file is finished later than the end of the audit's day in UTC, whatever its time zone. The seed is
entropy of the auditor's own, drawn when the audit began and printed: it follows from nothing that an author could
choose or search. `--seed` repeats an audit; that is noted, since such a seed may have been known when the results
were made. How likely a draw of k meets a fault in a share f of the samples is stated: 1 - (1 - f)^k.
"""

import datetime
from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note

NUMBER, LEVEL = "A25", 0
_SHARES = (0.01, 0.1)


def chance(f: float, k: int) -> float:
    """Return how likely at least one of k independent draws meets a fault in a share f of the samples.

    Example:
        >>> round(chance(0.1, 16), 4)
        0.8147
    """
    return float(1 - (1 - f) ** k)


def _after(finished: str, today: str) -> bool:
    """Tell whether an instant lies after the end of a day in UTC; one without a time zone counts as UTC."""
    try:
        instant = datetime.datetime.fromisoformat(finished)
        day = datetime.datetime.fromisoformat(today).replace(tzinfo=datetime.UTC)
    except ValueError:
        return False  # `environment` tells of what is no date
    instant = instant if instant.tzinfo else instant.replace(tzinfo=datetime.UTC)
    return instant >= day + datetime.timedelta(days=1)


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the audit's date with those of the results, and tell what the draws are worth."""
    dated = 0
    for ref in case.complete:
        finished = str((case.run_file(ref) or {}).get("finished", ""))
        dated += bool(finished)
        if _after(finished, case.today):
            why = "it was finished after this audit, by its clock: the seed could be known when it was made"
            details = {"expected": f"until {case.today}", "found": finished}
            yield case.failed(ref, why, file=f"{ref.path}.run.json", **details)
    yield Note(f"{dated} outputs were finished before this audit" if dated else "nothing was made yet")
    if case.given:
        yield Note("the seed was given by hand; it may have been known when the results were made", limits=True)
    else:
        yield Note("the seed is the auditor's own: entropy of this audit, which `--seed` repeats")
    odds = ", ".join(f"{chance(f, case.count):.0%} where {f:.0%} of them are wrong" for f in _SHARES)
    yield Note(f"a draw of {case.count} meets a fault with a probability of {odds}")
