"""Run the checks of the levels asked for, one after the other, into an audit; a check that breaks is a finding."""

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
"""Checks of the audit itself, which look back at what the others did."""


def checks() -> list[ModuleType]:
    """Return all checks, in the order of their numbers; those that look back come last."""
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    modules = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: (name_of(module) in LAST, int(module.NUMBER[1:])))


def name_of(check: ModuleType) -> str:
    """Return the name of a check: that of its file."""
    return check.__name__.rpartition(".")[2]


def chosen(only: Sequence[str]) -> list[ModuleType]:
    """Return the checks of some names or numbers (`digests`, `A10`); all where none is given.

    Raises:
        ParamsError: there is none of that name.
    """
    known = checks()
    by_name = {key: check for check in known for key in (name_of(check), check.NUMBER)}
    for name in only:
        if name not in by_name:
            hint = suggest(name, [name_of(check) for check in known])
            raise ParamsError(f"no check is called {name!r}; {hint}")
    return [check for check in known if not only or {name_of(check), check.NUMBER} & set(only)]


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What an audit is asked for.

    Attributes:
        level: 0 to 4; the checks of all levels up to it are run.
        only: names or numbers of checks, whatever their level; default: all.
        count: how much is drawn (see `Case`).
        seed: what draws follow from, to repeat an audit; default: entropy of this one (`case.fresh_seed`).
        today: ISO date; default: today, in UTC.
    """

    level: int = 1
    only: tuple[str, ...] = ()
    count: int = 16
    seed: str | None = None
    today: str | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist.

        Raises:
            ParamsError: no such level or check.
        """
        if self.level not in LEVELS:
            raise ParamsError(f"no level {self.level}; the levels are 0 to {LEVELS[-1]}")
        chosen(self.only)

    @property
    def date(self) -> str:
        """The date of the audit."""
        return self.today or datetime.datetime.now(datetime.UTC).date().isoformat()


def run(
    plan: Plan,
    root: Path,
    asked: AuditRequest = AuditRequest(),
    package: Path = registry.PACKAGE,
    pages: Pages | None = None,
) -> Audit:
    """Audit what a plan made below an output root.

    Args:
        plan: of the checkout.
        root: where its outputs are.
        asked: how deep to look, and at what.
        package: that made them: the auditor's own, or the checkout's (`outside.looking_at`).
        pages: as `Case` has it; default: no page of the repository is compared.
    """
    seed = asked.seed or fresh_seed()
    with tempfile.TemporaryDirectory(prefix="shiftbench-audit-") as scratch:
        place = Path(scratch)
        case = Case(plan, root, asked.level, asked.count, seed, asked.date, place, bool(asked.seed), package, pages)
        for module in track(chosen(asked.only), "audit"):
            wanted = not case.stopped and (bool(asked.only) or asked.level >= module.LEVEL)
            case.results.append(_result(module, case, wanted=wanted))
    return _audit(case.results, _about(case))


_UNPLANNED = "nothing can be planned, so nothing was checked"


def unplanned(error: ParamsError, asked: AuditRequest) -> Audit:
    """Return the audit of a checkout that cannot be planned, so that nothing else can be looked at.

    That fails where params are wrong; where a plan needs code that an auditor from outside does not run, it is
    incomplete.
    """
    told: Verdict = "incomplete" if isinstance(error, NotRunError) else "failed"
    results = []
    for module in chosen(asked.only):
        head = (module.NUMBER, name_of(module), module.LEVEL, _title(module))
        verdict: Verdict = told if module.NUMBER == "A4" else "incomplete"
        why = str(error) if module.NUMBER == "A4" else _UNPLANNED
        results.append(Result(*head, verdict, (Finding(verdict, "params.yaml", why),)))
    about = {
        "date": asked.date,
        "seed": asked.seed or "",
        "given": bool(asked.seed),
        "level": asked.level,
        "count": asked.count,
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
        "given": case.given,
        "level": case.level,
        "count": case.count,
        "seconds": round(time.time() - case.started, 3),
        "auditor": {"inside": inside, **outside.auditor(), "environment": environment.describe()},
        "checkout": _checkout(case),
        "planned": len(case.plan.artifacts),
        "here": len(case.complete),
    }


def _checkout(case: Case) -> dict[str, Any]:
    """Return what is audited: the commit, and how many modules are others than the auditor's."""
    found: dict[str, Any] = {"commit": git_state.says("rev-parse", "--verify", "HEAD")}
    if case.outside:
        found["modules unlike the auditor's"] = len(case.unlike)
    return found


def _result(module: ModuleType, case: Case, *, wanted: bool) -> Result:
    head = (module.NUMBER, name_of(module), module.LEVEL, _title(module))
    if not wanted:
        why = case.stopped or f"a check of level {module.LEVEL}"
        return Result(*head, "not run", notes=(why,))
    started = time.time()
    said = _said(module, case)
    findings = tuple(one for one in said if isinstance(one, Finding))
    notes = tuple(one.text for one in said if isinstance(one, Note))
    verdict = worst(finding.verdict for finding in findings)
    limits = tuple(one.text for one in said if isinstance(one, Note) and one.limits)
    return Result(*head, verdict, findings, notes, round(time.time() - started, 3), limits)


def _title(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().partition("\n")[0]


def _said(module: ModuleType, case: Case) -> list[Finding | Note]:
    """Run a check. Evidence that cannot even be read is a finding, not a crash of the auditor."""
    said: list[Finding | Note] = []
    try:
        for one in module.check(case):
            said.append(one)  # noqa: PERF402 - what was said before it broke is kept
    except (NotRunError, UntrustedError) as error:
        said.append(Finding("incomplete", name_of(module), str(error)))
    except ShiftbenchError as error:
        said.append(_broken(module, case, error))
    except Exception as error:  # noqa: BLE001 - foreign bytes raise what they like
        kind = type(error).__name__
        said.append(Finding("failed", name_of(module), f"the evidence cannot be read: {kind}: {error}"))
    return said or [Finding("failed", name_of(module), "the check said nothing; it must say what it looked at")]


def _broken(module: ModuleType, case: Case, error: ShiftbenchError) -> Finding:
    """Return what it means that a check broke: of another version's code, that its own auditor is needed."""
    if module.LEVEL < _RUNS or not case.unlike:
        return Finding("failed", name_of(module), str(error))
    why = f"the code of this checkout is of another version than this auditor, which cannot run it: {error}"
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
