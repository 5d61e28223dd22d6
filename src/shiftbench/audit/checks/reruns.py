"""A run would make nothing again: every output matches today's parameters and code.

Pass rule: the recipe in each receipt is the planned one, so that no parameter and no definition that a job reaches
changed after the run. Comments, docstrings, annotations and names are in no fingerprint. A finding names the key or the
definition that differs. From outside, the auditor's code plans with the digests of the checkout's code. If that code is
of another version and the plans differ, the check is incomplete.

Limits: `coherence` compares the bytes of inputs; `chain` covers missing outputs.
"""

from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.finding import Finding, Note, some
from shiftbench.provenance import code_digest, recipe
from shiftbench.provenance.recipe import Artifact

NUMBER, LEVEL = "A28", 0
_SHOWN = 4
_CURE = "run again, or go back to the code and the params of the run"


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the recipe in each receipt with the planned one."""
    wrong = list(_stale(case))
    if case.differing_modules and wrong:
        (ref, why, details), count = wrong[0], len(wrong)
        modules = case.differing_modules
        other = f"{len(modules)} modules are of another version than this auditor: {some(modules)}"
        yield case.incomplete(ref, f"{count} recipes are not those that this auditor plans ({why}); {other}", **details)
    else:
        yield from case.grouped(wrong)
    yield Note(f"{len(case.complete) - len(wrong)} of {len(case.complete)} outputs would not be made again")


def _stale(case: Case) -> Iterator[Flaw]:
    for ref, artifact, receipt in case.outputs():
        if receipt["fingerprint"] != artifact.fingerprint:
            now, then = artifact.fingerprint[:16], recipe.fingerprint(receipt["recipe"])[:16]
            details = {"expected": f"recipe {now}", "found": f"recipe {then}"}
            yield ref, f"{_changed(receipt['recipe'], artifact)}; {_CURE}", details


def _changed(old: dict[str, Any], artifact: Artifact) -> str:
    """Reason why an output is stale: its own keys and code, else a stale input."""
    lines = recipe.changes(old, artifact.recipe)
    code = code_digest.differences(old, artifact.recipe)
    options = [line for line in lines if not line.startswith(("code: ", "upstream."))]
    reasons = [f"recipe changed: {line}" for line in options[:_SHOWN]]
    reasons += [f"code changed: {', '.join(code[:_SHOWN])}"] if code else []
    return "; ".join(reasons) or "its inputs are stale"
