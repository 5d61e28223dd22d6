"""Names and texts of a stranger, on every page that shows them: text in a browser, never a program or a request."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from makers import synthetic_outputs
from shiftbench.audit import page as audit_page
from shiftbench.audit import run as audits
from shiftbench.audit.finding import Audit, Finding, Result
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.cli.documents import leaderboard
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.release.published import LEADERBOARD, Published
from shiftbench.report import completions, queries, samples
from shiftbench.report.completions import Written
from shiftbench.report.system import Verdict
from shiftbench.workflow.stages import report, samples_page

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

pytestmark = pytest.mark.browser
RUNS = "window.ran=1"
PAYLOADS = (
    f"<script>{RUNS}</script>",
    f"</script><script>{RUNS}</script>",
    f"<!--<script>{RUNS}//",
    f"--><svg/onload={RUNS}>",
    f"]]><img src=x onerror={RUNS}>",
    f"\"><img src=http://127.0.0.1:9/x onerror='{RUNS}'>",
    f"' autofocus onfocus={RUNS} x='",
    f'<a href="javascript:{RUNS}">a</a>',
    f"<iframe srcdoc='<script>parent.{RUNS}</script>'>",
    f"<math><mtext><mglyph><style><img src=x onerror={RUNS}>",
    "</style><link rel=stylesheet href=http://127.0.0.1:9/x>",
    "</title><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/x'>",
    "<base href=http://127.0.0.1:9/><form action=x><button>b",
    "red;background:url(http://127.0.0.1:9/x);}*{display:none",
    f"{{{{ 7 * 191 }}}}{{% raw %}}${{{RUNS}}}",
    "__proto__",
    "constructor",
    "\u202ereversed\u202c \u2066isolated\u2069 \u200bzero",
    "\u2028line\u2029paragraph \x85 \x7f",
    "e\u0301" * 30 + "a\u0336" * 30,
    "long" * 5_000,
    "\\u003cscript\\u003e" + "\\" * 7,
)
"""What could leave the place where a page puts a name: text, attribute, style, JSON, a title."""
_ODD = """
    const odd = [];
    for (const one of document.querySelectorAll('*')) {
        for (const attribute of one.attributes) {
            const value = attribute.value.trim().toLowerCase();
            if (attribute.name.startsWith('on') || value.startsWith('javascript:')) odd.push(one.outerHTML);
            if (attribute.name === 'src' && !value.startsWith('data:')) odd.push(one.outerHTML);
        }
        if (/^(iframe|object|embed|base|form|math|portal)$/i.test(one.tagName)) odd.push(one.outerHTML);
    }
    const asked = performance.getEntriesByType('resource').map(one => one.name);
    const display = getComputedStyle(document.body).display;
    return [odd, asked.filter(name => !name.startsWith('data:')), window.ran ?? null, display];
"""


def looked_at(browser: WebDriver, file: Path) -> str:
    """Open a page; nothing of it may run, be asked for or be said on the console. Returns its text."""
    browser.get_log("browser")  # type: ignore[attr-defined]
    browser.get("about:blank")
    browser.get(file.as_uri())
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")  # draws every figure
    assert browser.execute_script(_ODD) == [[], [], None, "block"]
    assert browser.get_log("browser") == []  # type: ignore[attr-defined]
    assert browser.current_url == file.as_uri()
    return str(browser.execute_script("return document.documentElement.textContent"))


def shown(text: str, payload: str) -> bool:
    """Tell whether a text has a payload; a page cuts long ones and joins lines."""
    return " ".join(payload.split())[:30] in " ".join(text.split())


@pytest.fixture(params=range(2))
def nasty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Payloads of a draw, one after the other, in each name of the outputs that others may choose."""
    order = np.random.default_rng(request.param).permutation(len(PAYLOADS))
    text = " ".join(PAYLOADS[at] for at in order)
    monkeypatch.setattr(synthetic_outputs, "NASTY", text)
    return text


def test_a_report_shows_what_others_wrote(browser: WebDriver, tmp_path: Path, nasty: str) -> None:
    recipe.execute(synthetic_outputs.root(tmp_path), report.run)
    assert shown(looked_at(browser, tmp_path / "results/report/index.html"), nasty)


def written(folder: Path, kind: str, content: dict[str, Any]) -> Path:
    ref = Ref("report", f"samples/{kind}/index")
    artifact = Artifact.of(ref, {"clean": "d", "shows": kind}, ())
    file = folder / "page.html"
    file.write_text(samples_page.page(artifact, content))
    return file


def test_samples_show_what_others_wrote(browser: WebDriver, tmp_path: Path, nasty: str) -> None:
    picked = samples.pick([(f"k{nasty}", 0, 1, False, 9 * 10**8), ("l", 0, 0, True, 10**9)])[1]
    ends = {"method": "plain", "records": f"r {nasty}", "shards": "s", "picked": picked}
    row = samples.Rows(f"d/{nasty}", cell=("d", "test", nasty, 3.0), classes=(nasty, "b"), counts=(1, 1, 0), **ends)
    texts = {("s", key): {"text": f"a text {nasty}"} for key in ("l", f"k{nasty}")}
    content = samples.content([row], texts, {(f"d/{nasty}", "plain"): nasty})
    assert shown(looked_at(browser, written(tmp_path, "samples", content)), f"a text {nasty}")


def test_completions_show_what_others_wrote(browser: WebDriver, tmp_path: Path, nasty: str) -> None:
    told = Written("k", f"hmm {nasty} </think> so", True, (7, 3), (0.5, 0.25), True, False)
    counts, picked = completions.pick([told])
    row = completions.Rows(f"a {nasty}", ("d", "test", nasty, 0.0), "r", "s", counts, picked)
    prompts = {("s", "k"): {"text": f"prompt {nasty}", "mark": "</think>", "answer": nasty}}
    page = written(tmp_path, "completions", completions.content([row], prompts))
    assert shown(looked_at(browser, page), f"prompt {nasty}")


def test_queries_show_what_others_wrote(browser: WebDriver, tmp_path: Path, nasty: str) -> None:
    answer = {"answer": nasty, "status": "ok", "query": f"df['{nasty}']"}
    told = [queries.of({"key": key, "correct": key == "k", **answer}) for key in ("k", "l")]
    counts, picked = completions.pick(told)
    row = completions.Rows("a", ("d", "test", "identity", 0.0), "r", "s", counts, picked)
    table = {"header": [nasty, "b"], "rows": [[nasty, "3"]], "caption": nasty}
    fields = {"text": f"is {nasty}", "table": table, "meta": {"answer": True}}
    prompts = {("s", key): queries.asked(Sample(key, fields)) for key in ("k", "l")}
    page = written(tmp_path, "queries", completions.content([row], prompts))
    assert shown(looked_at(browser, page), f"is {nasty}")


def test_an_audit_shows_what_others_wrote(browser: WebDriver, tmp_path: Path) -> None:
    """Each payload in a finding of its own, on the page and in the badge."""
    findings = tuple(Finding("failed", one, f"why {one}", one, one, one, (one,), {"member": one}) for one in PAYLOADS)
    results = tuple(
        Result(m.number, m.name, m.level, one, "failed", findings, (one,))
        for m, one in zip(audits.checks()[:3], PAYLOADS[:3], strict=True)
    )
    about = dict.fromkeys(("date", "seed", "count", "seconds", "planned", "here"), PAYLOADS[0])
    checkout = {"commit": PAYLOADS[1], "modules unlike the auditor's": list(PAYLOADS[:5])}
    done = Audit("failed", results, {**about, "level": 1, "given": False, "checkout": checkout})
    page, badge = tmp_path / "audit.html", tmp_path / "audit.svg"
    page.write_text(audit_page.page(done))
    badge.write_text(audit_page.badge(done))
    text = looked_at(browser, page)
    assert all(shown(text, f"why {one}") for one in PAYLOADS)
    browser.get(badge.as_uri())
    assert browser.execute_script("return window.ran ?? null") is None
    assert browser.get_log("browser") == []  # type: ignore[attr-defined]
    assert json.loads(json.dumps(done.plain()))


def test_a_leaderboard_shows_what_others_wrote(
    browser: WebDriver, tmp_path: Path, nasty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each payload is a benchmark, a column, weights, a method and a sender; also of a system and of its claims."""
    board = tmp_path / LEADERBOARD
    board.parent.mkdir(parents=True)
    names = ("benchmark", "model", "method", "column", "value", "ci_low", "ci_high")
    rows = [[f"{one} {kind}", f"w{one}", one, f"c{one}", "0.5", "", ""] for one in PAYLOADS for kind in ("a", nasty)]
    with board.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    sent = [dict(zip(names, ["theirs", *row[1:]], strict=True)) for row in rows]
    about = dict.fromkeys(("root", "commit", "created"), f'"{nasty}') | {"rows": 1, "files": 1}
    there = Published(f"s{nasty}", tmp_path, about, {}, {})
    monkeypatch.setattr(leaderboard.published, "configurations", lambda _: [there.configuration])
    monkeypatch.setattr(leaderboard.published, "read", lambda *_: there)
    monkeypatch.setattr(
        leaderboard.submission,
        "accepted_submissions",
        lambda _: [
            ({"name": one, "scale": there.configuration, "created": one, "verdict": one}, sent) for one in PAYLOADS
        ],
    )
    verdict = Verdict(nasty, nasty, nasty, nasty, nasty, nasty, against=False, parts=())
    judged = leaderboard.SystemRow(nasty, nasty, f"README.md#{nasty}", (verdict,), (1,), 0.5)
    monkeypatch.setattr(leaderboard.configurations, "built_slugs", lambda: ["one"])
    monkeypatch.setattr(leaderboard, "_system_row", lambda _: judged)
    page = tmp_path / "leaderboard.html"
    html = MarkdownIt("commonmark").enable("table").render(leaderboard.page(tmp_path))
    page.write_text(f'<meta charset="utf-8">{html}', errors="surrogatepass")
    text = looked_at(browser, page)
    assert [one for one in PAYLOADS if not shown(text, one)] == []  # who sent it
    assert shown(text, f"s{nasty}")
