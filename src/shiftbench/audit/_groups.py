"""What is wrong with many outputs in the same way is told once: another seed changes a thousand recipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from shiftbench.audit._case import Case, _spelled, _touched
from shiftbench.audit._finding import Finding
from shiftbench.refs import Ref

Wrong = tuple[Ref, str, dict[str, Any]]
"""An output, why it fails, and what else the finding says."""
_SHOWN = 3


def grouped(case: Case, wrong: Iterable[Wrong]) -> Iterator[Finding]:
    """Yield one failed finding per reason, about the first output of it, that names some others."""
    groups: dict[str, list[tuple[Ref, dict[str, Any]]]] = {}
    for ref, why, more in wrong:
        groups.setdefault(why, []).append((ref, more))
    for why, members in groups.items():
        first, more = members[0]
        if len(members) == 1:
            yield case.failed(first, why, **more)
            continue
        refs = [ref for ref, _ in members]
        others = ", ".join(ref.path for ref in refs[1 : _SHOWN + 1])
        rest = len(refs) - 1 - _SHOWN
        told = f"{why}; likewise {others}" + (f" and {rest} more" if rest > 0 else "")
        yield Finding("failed", _file(first, more), told, numbers=numbers(case, refs), **more)


def _file(ref: Ref, more: dict[str, Any]) -> str:
    """Take the file that a finding is about out of what else it says; default: the output itself."""
    return str(more.pop("file", ref.path))


def numbers(case: Case, refs: Iterable[Ref]) -> tuple[str, ...]:
    """Spell the published numbers that rest on any of some outputs, as `Case.numbers` does for one."""
    below: set[Ref] = set()
    for ref in refs:
        if ref not in below:
            below |= case.downstream(ref)
    names = {ref.name for ref in below if ref.kind in ("records", "scores")}
    tables = {ref.name for ref in below if ref.kind == "tables"}
    found: list[str] = []
    for campaign, table in case.metrics.items():
        if names:
            found += _touched(table, case._rows(campaign, names))
        elif campaign in tables:
            found += _spelled(table)
    return tuple(found)
