"""Runs the checks of an audit one after the other; an error in a check is a finding."""

import datetime
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from shiftbench.audit import outside, summary
from shiftbench.audit.case import Case, Pages, fresh_seed
from shiftbench.audit.check import Check, checks
from shiftbench.audit.evidence import git_state
from shiftbench.audit.finding import Audit, Finding, Note, Result, Verdict, worst
from shiftbench.base import files, registry
from shiftbench.base.errors import NotRunError, ParamsError, ShiftbenchError, UntrustedError, suggest
from shiftbench.base.progress import track
from shiftbench.provenance import environment
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan.plan import Plan

LEVELS = range(5)
_RUNS = 2
"""From this level on, code of the checkout is run."""


def select_checks(only: Sequence[str]) -> list[Check]:
    """Checks with some names or numbers (`digests`, `A10`); all if there are none."""
    known = checks()
    for name in only:
        if not any(name in (check.name, check.number) for check in known):
            raise ParamsError(f"no check named {name!r}; {suggest(name, [check.name for check in known])}")
    return [check for check in known if not only or {check.name, check.number} & set(only)]


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """The options of an audit.

    Attributes:
        level: 0 to 4; the checks of all levels up to it are run.
        only: names or numbers of checks, whatever their level; default: all.
        count: how many samples are drawn (see `Case`).
        seed: of an audit that is repeated; default: new entropy (`case.fresh_seed`).
        today: ISO date; default: today, in UTC.
    """

    level: int = 1
    only: tuple[str, ...] = ()
    count: int = 16
    seed: str | None = None
    today: str | None = None

    def __post_init__(self) -> None:
        """Check that level and checks exist."""
        if self.level not in LEVELS:
            raise ParamsError(f"no level {self.level}; the levels are 0 to {LEVELS[-1]}")
        select_checks(self.only)

    @property
    def date(self) -> str:
        """The date of the audit."""
        return self.today or datetime.datetime.now(datetime.UTC).date().isoformat()


def run(
    plan: Plan,
    root: Path,
    request: AuditRequest = AuditRequest(),
    package: Path = registry.PACKAGE,
    pages: Pages | None = None,
) -> Audit:
    """Audit the outputs of a plan.

    Args:
        plan: of the checkout.
        root: its output root.
        request: level, checks and draws.
        package: that made the outputs: the auditor's own, or the checkout's (`outside.enter`).
        pages: as `Case` has it; default: no page of the repository is compared.
    """
    seed = request.seed or fresh_seed()
    with tempfile.TemporaryDirectory(prefix="shiftbench-audit-") as scratch:
        place, is_repeated = Path(scratch), bool(request.seed)
        case = Case(plan, root, request.level, request.count, seed, request.date, place, is_repeated, package, pages)
        for check in track(select_checks(request.only), "audit"):
            is_due = not case.stopped and (bool(request.only) or request.level >= check.level)
            case.results.append(_as_typed(_result(check, case, is_due=is_due), plan.config))
    return _audit(case.results, _about(case))


def _as_typed(result: Result, config: str | None) -> Result:
    """A result whose findings name commands with the configuration of the audit."""
    findings = (replace(one, why=configurations.as_typed(one.why, config)) for one in result.findings)
    return replace(result, findings=tuple(findings))


_UNPLANNED = "the checkout cannot be planned, so that nothing was checked"


def audit_without_plan(error: ParamsError, request: AuditRequest) -> Audit:
    """Audit of a checkout that cannot be planned, so that nothing else can be checked.

    It fails if params are wrong. If a plan needs code that an auditor from outside does not run, it is
    incomplete.
    """
    plan_verdict: Verdict = "incomplete" if isinstance(error, NotRunError) else "failed"
    results = []
    for check in select_checks(request.only):
        verdict: Verdict = plan_verdict if check.number == "A4" else "incomplete"
        why = str(error) if check.number == "A4" else _UNPLANNED
        results.append(_head(check, verdict, findings=(Finding(verdict, "params.yaml", why),)))
    asked = {"date": request.date, "seed": request.seed or "", "level": request.level, "count": request.count}
    return _audit(results, {**asked, "given": bool(request.seed), "seconds": 0.0, "planned": 0, "here": 0})


def _audit(results: list[Result], about: dict[str, Any]) -> Audit:
    ordered = tuple(sorted(results, key=lambda result: int(result.number[1:])))
    return Audit(worst(r.verdict for r in ordered if r.verdict != "not run"), ordered, about)


def _about(case: Case) -> dict[str, Any]:
    inside = outside.is_inside(git_state.top())
    return {
        "tables": summary.tables(case.plan, case.results, case.level, inside=inside),
        "date": case.today,
        "seed": case.seed,
        "given": case.is_repeated,
        "level": case.level,
        "count": case.count,
        "seconds": round(time.time() - case.started, 3),
        "auditor": {"inside": inside, **outside.auditor(), "environment": environment.describe()},
        "checkout": {
            "commit": git_state.says("rev-parse", "--verify", "HEAD"),
            **({"modules unlike the auditor's": len(case.differing_modules)} if case.outside else {}),
        },
        "planned": len(case.plan.artifacts),
        "here": len(case.complete),
    }


def _head(check: Check, verdict: Verdict | Literal["not run"], **more: Any) -> Result:
    return Result(check.number, check.name, check.level, check.title, verdict, **more)


def _result(check: Check, case: Case, *, is_due: bool) -> Result:
    if not is_due:
        return _head(check, "not run", notes=(case.stopped or f"a check of level {check.level}",))
    started = time.time()
    results = _findings(check, case)
    findings = tuple(one for one in results if isinstance(one, Finding))
    notes = [one for one in results if isinstance(one, Note)]
    return _head(
        check,
        worst(finding.verdict for finding in findings),
        findings=findings,
        notes=tuple(note.text for note in notes),
        seconds=round(time.time() - started, 3),
        limits=tuple(note.text for note in notes if note.limits),
    )


def _findings(check: Check, case: Case) -> list[Finding | Note]:
    """Run a check. Unreadable evidence is a finding, not a crash of the auditor."""
    results: list[Finding | Note] = []
    try:
        for one in check(case):
            results.append(one)  # noqa: PERF402 - findings before an error are kept
    except (NotRunError, UntrustedError) as error:
        results.append(Finding("incomplete", check.name, str(error)))
    except ShiftbenchError as error:
        if check.level < _RUNS or not case.differing_modules:
            results.append(Finding("failed", check.name, str(error)))
        else:
            why = "the code of this checkout has another version than this auditor, which cannot run it"
            results.append(Finding("incomplete", check.name, f"{why}: {error}"))
    except Exception as error:  # noqa: BLE001 - foreign bytes raise what they like
        why = f"the evidence cannot be read: {type(error).__name__}: {error}"
        results.append(Finding("failed", check.name, why))
    return results or [Finding("failed", check.name, "the check yielded neither a finding nor a note")]


def write(done: Audit, file: Path) -> None:
    """Write an audit as JSON; `-` prints it."""
    text = json.dumps(done.plain(), indent=1, allow_nan=False) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        files.write_bytes(file, text.encode())
