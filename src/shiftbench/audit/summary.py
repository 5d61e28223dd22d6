"""Summary of an audit per table: what its numbers follow from, what was not checked, what a reader must trust.

Terminal, page and JSON print the same sentences, from `about.tables` of an audit.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from shiftbench.audit.case import upstream
from shiftbench.audit.finding import VERDICTS, Audit, Finding, Result, Verdict, some, worst
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan.plan import Plan

_AGREE = ("A2", "A3", "A28")
"""Without these the receipts were not compared with the checkout."""
_FOLLOW = ("A10", "A13", "A14")
"""Without these a table's numbers were not computed again."""
_SAYS = (
    "its receipts agree with this checkout; no number was computed again",
    "its numbers follow from the recorded predictions",
    "its numbers follow from the recorded predictions, and drawn shards from the source files",
    "its numbers follow from the recorded predictions; drawn predictions, shards and models were made again",
    "all of it was made again from source files, params and code",
)
_NOT_LOOKED_AT = (
    (1, "whether the numbers follow from the recorded predictions (level 1, as long as reading them)"),
    (2, "whether the shards come from the source files (level 2, minutes)"),
    (3, "whether the predictions come from these models, and the models from the training data (level 3, minutes)"),
    (4, "what was not drawn (level 4, as long as the run)"),
)
_BELIEVED = (
    "that the source files are authentic, and their labels correct",
    "the code of plugins and of the package, which nobody has checked here",
    "that no result was left out",
)
_RECORDED = "the recorded answers of language models, which are not asked again"
_OWN = "this auditor, which is part of the checkout"


def tables(plan: Plan, results: Sequence[Result], level: int, *, inside: bool) -> list[dict[str, Any]]:
    """Results of an audit for each table, as JSON; `inside`: whether the auditor is part of the checkout.

    A table has its `name`; a `verdict`, the worst of the findings that touch it and of those of the whole checkout; the
    result in one sentence (`says`); what this leaves open (`not_looked_at`, `believed`); and `checks`, the numbers of
    the checks whose findings touch it.
    """
    return [_table(plan, name, results, level, inside=inside) for name in plan.benchmarks]


def _table(plan: Plan, name: str, results: Sequence[Result], level: int, *, inside: bool) -> dict[str, Any]:
    touching = [(r.number, f) for r in results for f in r.findings if _touches(f, name) or not f.numbers]
    verdict = worst(finding.verdict for _, finding in touching)
    reached = _reached(results, level)
    inputs = upstream(plan, [Ref("tables", name)])
    asks = any("/recorded/" in file for ref in inputs for file in plan.artifacts[ref].recipe["code"])
    return {
        "name": name,
        "verdict": verdict,
        "says": _sentence(results, reached, verdict, touching),
        "not_looked_at": [what for above, what in _NOT_LOOKED_AT if above > reached],
        "believed": [*_BELIEVED, *([_RECORDED] if asks else []), *([_OWN] if inside else [])],
        "checks": list(dict.fromkeys(number for number, _ in touching)),
    }


def _sentence(
    results: Sequence[Result], reached: int, verdict: Verdict, touching: Sequence[tuple[str, Finding]]
) -> str:
    worse = VERDICTS.index("incomplete")
    wrong = [number for number, f in touching if VERDICTS.index(f.verdict) >= worse]
    if verdict in ("failed", "incomplete"):
        many = len(wrong) > 1
        what = "contradict or lack evidence for" if many else "contradicts or lacks evidence for"
        if verdict == "incomplete":
            what = "leave open" if many else "leaves open"
        names = some(dict.fromkeys(wrong), 8)
        return f"{len(wrong)} finding{'s' if many else ''} {what} its numbers ({names})"
    if reached < 0:
        names = some((r.name for r in results), 4)
        return f"only {names} checked it; this says nothing about its numbers as a whole"
    reason = "" if verdict == "exact" else "; some differ within a stated tolerance, for a stated reason"
    return f"{_SAYS[reached]}{reason}"


def _reached(results: Sequence[Result], level: int) -> int:
    """Level of the checks that ran; -1: only some checks were requested."""
    done = {result.number for result in results if result.verdict != "not run"}
    needed = {*_AGREE, *(_FOLLOW if level else ())}
    return level if done >= needed else -1


def _touches(finding: Finding, name: str) -> bool:
    return any(number.startswith(f"{name}: ") for number in finding.numbers)


def findings_by_table(done: Audit) -> Iterator[tuple[dict[str, Any] | None, list[tuple[Result, Finding]]]]:
    """Yield each table with the findings that touch it; last, under None, those of the whole checkout.

    A finding that touches several tables is given with the first one.
    """
    left = [(result, finding) for result in done.results for finding in result.findings]
    for table in done.about.get("tables", ()):
        own = [one for one in left if _touches(one[1], table["name"])]
        left = [one for one in left if one not in own]
        yield table, own
    yield None, left


def limits(done: Audit) -> list[str]:
    """Notes that limit the verdict, each with the number of its check."""
    return [f"{result.number} {note}" for result in done.results for note in result.limits]


def lines(table: dict[str, Any]) -> list[str]:
    """Sentences about a table, a line each."""
    return [
        f"Table {table['name']}: {table['says']}.",
        *_line("Not checked", table["not_looked_at"]),
        *_line("You still believe", table["believed"]),
    ]


def _line(head: str, parts: Iterable[str]) -> list[str]:
    items = "; ".join(parts)
    return [f"{head}: {items}."] if items else []
