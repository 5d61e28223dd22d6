"""Runs the checks of an audit one after the other; an error in a check is a finding."""

import datetime
import importlib
import json
import pkgutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.audit import checks as folder
from shiftbench.audit import outside, summary
from shiftbench.audit.case import Case, Pages, fresh_seed
from shiftbench.audit.evidence import git_state
from shiftbench.audit.finding import Audit, Finding, Note, Result, Verdict, worst
from shiftbench.base import files, registry
from shiftbench.base.errors import NotRunError, ParamsError, ShiftbenchError, UntrustedError, suggest
from shiftbench.base.progress import track
from shiftbench.provenance import environment
from shiftbench.workflow.plan.plan import Plan

LEVELS = range(5)
_RUNS = 2
"""From this level on, code of the checkout is run."""
LAST = ("sampling", "verdict")
"""Checks of the audit itself, which run last."""


def checks() -> list[ModuleType]:
    """All checks, in the order of their numbers; those of the audit itself come last."""
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    modules = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: (name_of(module) in LAST, int(module.NUMBER[1:])))


def name_of(check: ModuleType) -> str:
    """Name of a check, which is that of its file."""
    return check.__name__.rpartition(".")[2]


def select_checks(only: Sequence[str]) -> list[ModuleType]:
    """Checks with some names or numbers (`digests`, `A10`); all if there are none.

    Raises:
        ParamsError: no check has such a name.
    """
    known = checks()
    by_name = {key: check for check in known for key in (name_of(check), check.NUMBER)}
    for name in only:
        if name not in by_name:
            hint = suggest(name, [name_of(check) for check in known])
            raise ParamsError(f"no check named {name!r}; {hint}")
    return [check for check in known if not only or {name_of(check), check.NUMBER} & set(only)]


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
        """Check that level and checks exist.

        Raises:
            ParamsError: no such level or check.
        """
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
        for module in track(select_checks(request.only), "audit"):
            is_due = not case.stopped and (bool(request.only) or request.level >= module.LEVEL)
            case.results.append(_result(module, case, is_due=is_due))
    return _audit(case.results, _about(case))


_UNPLANNED = "the checkout cannot be planned, so that nothing was checked"


def audit_without_plan(error: ParamsError, request: AuditRequest) -> Audit:
    """Audit of a checkout that cannot be planned, so that nothing else can be checked.

    It fails if params are wrong. If a plan needs code that an auditor from outside does not run, it is
    incomplete.
    """
    plan_verdict: Verdict = "incomplete" if isinstance(error, NotRunError) else "failed"
    results = []
    for module in select_checks(request.only):
        head = (module.NUMBER, name_of(module), module.LEVEL, _title(module))
        verdict: Verdict = plan_verdict if module.NUMBER == "A4" else "incomplete"
        why = str(error) if module.NUMBER == "A4" else _UNPLANNED
        results.append(Result(*head, verdict, (Finding(verdict, "params.yaml", why),)))
    about = {
        "date": request.date,
        "seed": request.seed or "",
        "given": bool(request.seed),
        "level": request.level,
        "count": request.count,
    }
    return _audit(results, {**about, "seconds": 0.0, "planned": 0, "here": 0})


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
        "checkout": _checkout(case),
        "planned": len(case.plan.artifacts),
        "here": len(case.complete),
    }


def _checkout(case: Case) -> dict[str, Any]:
    """Commit of the checkout, and the number of modules that differ from the auditor's."""
    facts: dict[str, Any] = {"commit": git_state.says("rev-parse", "--verify", "HEAD")}
    if case.outside:
        facts["modules unlike the auditor's"] = len(case.differing_modules)
    return facts


def _result(module: ModuleType, case: Case, *, is_due: bool) -> Result:
    head = (module.NUMBER, name_of(module), module.LEVEL, _title(module))
    if not is_due:
        why = case.stopped or f"a check of level {module.LEVEL}"
        return Result(*head, "not run", notes=(why,))
    started = time.time()
    results = _findings(module, case)
    findings = tuple(one for one in results if isinstance(one, Finding))
    notes = tuple(one.text for one in results if isinstance(one, Note))
    verdict = worst(finding.verdict for finding in findings)
    limits = tuple(one.text for one in results if isinstance(one, Note) and one.limits)
    return Result(*head, verdict, findings, notes, round(time.time() - started, 3), limits)


def _title(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().partition("\n")[0]


def _findings(module: ModuleType, case: Case) -> list[Finding | Note]:
    """Run a check. Unreadable evidence is a finding, not a crash of the auditor."""
    results: list[Finding | Note] = []
    try:
        for one in module.check(case):
            results.append(one)  # noqa: PERF402 - what was said before it broke is kept
    except (NotRunError, UntrustedError) as error:
        results.append(Finding("incomplete", name_of(module), str(error)))
    except ShiftbenchError as error:
        results.append(_error_finding(module, case, error))
    except Exception as error:  # noqa: BLE001 - foreign bytes raise what they like
        kind = type(error).__name__
        results.append(Finding("failed", name_of(module), f"the evidence cannot be read: {kind}: {error}"))
    return results or [Finding("failed", name_of(module), "the check yielded neither a finding nor a note")]


def _error_finding(module: ModuleType, case: Case, error: ShiftbenchError) -> Finding:
    """Finding about an error in a check; if the code is of another version, its own auditor is needed."""
    if module.LEVEL < _RUNS or not case.differing_modules:
        return Finding("failed", name_of(module), str(error))
    why = f"the code of this checkout has another version than this auditor, which cannot run it: {error}"
    return Finding("incomplete", name_of(module), why)


def write(done: Audit, file: Path) -> None:
    """Write an audit as JSON; `-` prints it.

    Raises:
        DataError: the folder cannot be written.
    """
    text = json.dumps(done.plain(), indent=1, allow_nan=False) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        files.write_bytes(file, text.encode())
