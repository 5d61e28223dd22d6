"""The last audit as a page, as JSON, and as a badge for other pages.

An audit of one's own checkout writes all three next to the report, if there is one. They are no output of the run:
DVC ignores them, and a new report removes them, since it was not audited yet. An audit of somebody
else's checkout writes them into the auditor's folder, and nothing into the checkout.
"""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment

from shiftbench import __version__
from shiftbench.audit import check, summary
from shiftbench.audit.finding import Audit
from shiftbench.base import files
from shiftbench.base.refs import Ref
from shiftbench.report import html

NAMES = ("audit.html", "audit.json", "audit.svg")
_COLOURS = {"exact": "#1a7f37", "statistical": "#7d6608", "incomplete": "#9a6700", "failed": "#c1272d"}
_FINDINGS, _NUMBERS = 200, 50  # on the page, per check and per finding; the JSON has all
_LETTER, _SIDE = 6.6, 8  # the width of a letter of the badge, and of the space beside the words
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write(done: Audit, root: Path, into: Path | None = None) -> Path | None:
    """Write the three files next to the report of an output root, or into another folder.

    Returns:
        The page; None if there is no report.

    Raises:
        UntrustedError: a link in an untrusted checkout leads elsewhere.
        DataError: the folder cannot be written.
    """
    folder = into or (root / Ref("report", "index").path).parent
    if not folder.is_dir():
        return None
    texts = {
        "audit.json": json.dumps(done.plain(), indent=1, allow_nan=False) + "\n",
        "audit.svg": badge(done),
        "audit.html": page(done),
    }
    for name, text in texts.items():
        files.write_bytes(folder / name, text.encode())
    return folder / "audit.html"


def page(done: Audit) -> str:
    """HTML of the page, without scripts and requests."""
    results = done.results
    return (
        _environment()
        .get_template("audit.html")
        .render(
            done=done,
            headline=_headline(done),
            meaning=_MEANINGS[done.verdict],
            auditor=_auditor(done.about),
            tables=[(table, summary.lines(table)) for table in done.about.get("tables", ())],
            limits=summary.limits(done),
            flawed=[result for result in results if result.findings],
            left=[result for result in results if result.verdict == "not run"],
            unasked=len(check.checks()) - len(results),
            shown={"findings": _FINDINGS, "numbers": _NUMBERS},
            policy=_POLICY,
            style=html.style(),
            version=__version__,
        )
    )


def badge(done: Audit) -> str:
    """SVG of the badge: verdict, level, date."""
    words = ("audit", _headline(done))
    widths = [round(len(word) * _LETTER + 2 * _SIDE) for word in words]
    template = _environment().get_template("audit.svg")
    return template.render(words=words, widths=widths, colour=_COLOURS[done.verdict], date=done.about["date"])


_MEANINGS = {
    "exact": "All that was checked is as stated.",
    "statistical": "All that was checked is as stated, or differs within a stated tolerance for a stated reason.",
    "incomplete": "Nothing contradicts, but evidence names bytes that are not here.",
    "failed": "Evidence is missing, or contradicts.",
}


def _headline(done: Audit) -> str:
    """Verdict with the level or the number of checks: an audit of some checks must not look complete."""
    total = len(check.checks())
    if len(done.results) < total:
        return f"{done.verdict}, {len(done.results)} of {total} checks"
    return f"{done.verdict}, level {done.about['level']}"


def _auditor(about: dict[str, Any]) -> dict[str, str]:
    """Facts about the auditor and the checkout, one line each."""
    whole, checkout = about.get("auditor", {}), about.get("checkout", {})
    lines = {
        "shiftbench": whole.get("version"),
        "sha256 of its files": whole.get("digest"),
        "its place": "with what it audits" if whole.get("inside") else "elsewhere",
        "audited commit": checkout.get("commit"),
        "its modules unlike the auditor's": checkout.get("modules unlike the auditor's"),
    }
    lines |= whole.get("environment", {})
    return {name: _line(value) for name, value in lines.items() if value not in (None, [], {})}


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _environment() -> Environment:
    environment = html.environment("audit")
    environment.filters["line"] = _line
    return environment
