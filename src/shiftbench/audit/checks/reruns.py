"""A run would make nothing again: every output is what today's parameters and code ask for.

Pass rule: the recipe in each receipt is the planned one, so no parameter and no definition that a job reaches changed
after the run; comments, docstrings, annotations and names enter no fingerprint. From outside it is planned by the
auditor's code with the digests of the checkout's; where that code is of another version and plans otherwise, this is
incomplete. The finding says which key or definition differs. That the inputs are the same bytes is asked by
`coherence`; what is not here, by `chain`.
"""

from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case, Wrong
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.provenance import code_digest, recipe
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A28", 0
_SHOWN = 4
_CURE = "run again, or go back to the code and the params of the run"


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the recipe in each receipt with the planned one."""
    wrong = list(_stale(case))
    if case.unlike and wrong:
        (ref, why, details), count = wrong[0], len(wrong)
        other = f"{len(case.unlike)} modules are of another version than this auditor: {some(case.unlike)}"
        yield case.incomplete(ref, f"{count} recipes are not those that this auditor plans ({why}); {other}", **details)
    else:
        yield from case.grouped(wrong)
    yield Note(f"{len(case.complete) - len(wrong)} of {len(case.complete)} outputs would not be made again")


def _stale(case: Case) -> Iterator[Wrong]:
    for ref, artifact, receipt in case.of():
        if receipt["fingerprint"] != artifact.fingerprint:
            now, then = artifact.fingerprint[:16], recipe.fingerprint(receipt["recipe"])[:16]
            details = {"expected": f"recipe {now}", "found": f"recipe {then}"}
            yield ref, f"{_changed(receipt['recipe'], artifact)}; {_CURE}", details


def _changed(old: dict[str, Any], artifact: Artifact) -> str:
    """Return why an output is stale: its own keys and code, else that an input is."""
    lines = recipe.changes(old, artifact.recipe)
    code = code_digest.told(old, artifact.recipe)
    options = [line for line in lines if not line.startswith(("code: ", "upstream."))]
    reasons = [f"recipe changed: {line}" for line in options[:_SHOWN]]
    reasons += [f"code changed: {', '.join(code[:_SHOWN])}"] if code else []
    return "; ".join(reasons) or "it was made from outputs that are stale themselves"
