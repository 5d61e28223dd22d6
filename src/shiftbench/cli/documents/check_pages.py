"""docs/list_of_checks.md: what each check of the audit looks at, when it passes, and its limits."""

import inspect

from shiftbench.cli.documents import markdown


def listing() -> str:
    """The page: a table of all checks, then a section for each."""
    from shiftbench.audit import run  # imports every check

    checks = sorted(run.checks(), key=lambda check: int(check.NUMBER[1:]))
    lines = ["# The checks of the audit", "", markdown.GENERATED, ""]
    lines += ["| check | file | level | what is checked |", "| --- | --- | --- | --- |"]
    for check in checks:
        file = f"[{run.name_of(check)}](../src/shiftbench/audit/checks/{run.name_of(check)}.py)"
        about = (check.__doc__ or "").strip().partition("\n")[0]
        lines.append(markdown.row(check.NUMBER, file, str(check.LEVEL), about))
    for check in checks:
        rule = inspect.cleandoc(check.__doc__ or "").partition("\n")[2].strip()
        lines += ["", f"## {check.NUMBER} {run.name_of(check)}", "", rule]
    return "\n".join(lines) + "\n"
