"""A run would make nothing again: every output is what today's parameters and code ask for.

Pass rule: the recipe in each receipt is the planned one, so no parameter and no source file changed after the run, but
for comments, docstrings and formatting, which enter no recipe. The finding says which key or file differs. That the
inputs are the same bytes is asked by `coherence`; what is not here, by `chain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shiftbench import recipe
from shiftbench.audit._case import Case
from shiftbench.audit._finding import Finding, Note
from shiftbench.recipe import Cell

NUMBER, LEVEL = "A28", 0
_SHOWN = 4


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare the recipe in each receipt with the planned one."""
    fresh = 0
    for ref, cell in case.whole.items():
        receipt = case.receipt(ref) or {}
        if receipt["fingerprint"] == cell.fingerprint:
            fresh += 1
            continue
        why, old, new = _changed(receipt["recipe"], cell)
        yield case.failed(ref, why, expected=new, found=old)
    yield Note(f"{fresh} of {len(case.whole)} outputs would not be made again")


def _changed(old: dict[str, Any], cell: Cell) -> tuple[str, str, str]:
    """Return why an output is stale, what its recipe holds, and what is planned."""
    lines = recipe.differences(old, cell.recipe)
    own = [line for line in lines if not line.startswith("upstream.")]
    code = [
        line.removeprefix("code.").partition(":")[0] for line in own if line.startswith("code.")
    ]
    options = [line for line in own if not line.startswith("code.")]
    said = [f"recipe changed: {line}" for line in options[:_SHOWN]]
    said += [f"code changed: {', '.join(code[:_SHOWN])}"] if code else []
    if not own:
        inputs = [line.removeprefix("upstream.").partition(": ")[0] for line in lines]
        said = [f"an input is stale: {', '.join(inputs[:_SHOWN])}"]
    why = "; ".join(said) + "; run again, or go back to the code and the params of the run"
    return why, f"recipe {recipe.fingerprint(old)[:16]}", f"recipe {cell.fingerprint[:16]}"
