"""docs/list_of_checks.md: what each check of the audit looks at, when it passes, and its limits."""

from shiftbench.cli.documents import markdown


def listing() -> str:
    """The page: a table of all checks, then a section for each."""
    from shiftbench.audit.check import checks

    known = sorted(checks(), key=lambda check: int(check.number[1:]))
    lines = ["# The checks of the audit", "", markdown.GENERATED, ""]
    lines += ["| check | file | level | what is checked |", "| --- | --- | --- | --- |"]
    for check in known:
        file = f"[{check.name}](../src/shiftbench/audit/checks/{check.file})"
        lines.append(markdown.row(check.number, file, str(check.level), check.title))
    for check in known:
        lines += ["", f"## {check.number} {check.name}", "", check.rule]
    return "\n".join(lines) + "\n"
