"""The audit beside the report: a page without scripts, a badge for other pages, files that DVC leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from makers import synthetic_outputs
from shiftbench.audit import page, run
from shiftbench.audit.finding import Audit, Finding, Result
from shiftbench.provenance import environment, recipe
from shiftbench.workflow.stages import report

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

    from makers.repositories import Repository

NASTY = synthetic_outputs.NASTY
FOUND = Finding(
    "failed",
    f"data/shards/{NASTY}/000000.tar",
    f"the bytes are other ones {NASTY}",
    sample=f"digits/{NASTY}",
    expected="a" * 64,
    found=f"b {NASTY}",
    numbers=tuple(f"small: accuracy of {NASTY} {i} = 0.5" for i in range(60)),
    explanation={"member": NASTY, "pixels": 3, "environment": {"pillow": "12 -> 13"}},
)
ABOUT: dict[str, Any] = {
    "date": "2026-01-31",
    "seed": "0123456789abcdef",
    "level": 1,
    "count": 16,
    "seconds": 1.5,
    "planned": 31,
    "here": 30,
    "auditor": {"inside": False, "version": "1.2.3", "digest": "d" * 64, "environment": environment.describe()},
    "checkout": {"commit": f"c {NASTY}"},
}


def audit(verdict: str, *findings: Finding, checks: int | None = None) -> Audit:
    """Return an audit of all checks at level 1; `digests` has the findings."""
    results = []
    for check in run.checks()[:checks]:
        own = findings if check.name == "digests" else ()
        state = "not run" if check.level > 1 else verdict if own else "exact"
        notes = (f"looked at {NASTY}",)
        results.append(Result(check.number, check.name, check.level, "A title", state, own, notes, 0.25))
    return Audit(verdict, tuple(results), ABOUT)


@pytest.fixture(scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    recipe.execute(synthetic_outputs.root(folder), report.run)
    return folder


@pytest.fixture
def folder(_root: Path) -> Path:
    """A report that nobody has audited."""
    place = _root / "results/report"
    for old in place.glob("audit.*"):
        old.unlink()
    return place


def test_nothing_is_written_where_there_is_no_report(tmp_path):
    assert page.write(audit("exact"), tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_json_is_that_of_the_command_line(folder):
    done = audit("failed", FOUND)
    assert page.write(done, folder.parents[1]) == folder / "audit.html"
    assert {file.name for file in folder.glob("audit.*")} == set(page.NAMES)
    assert json.loads((folder / "audit.json").read_text()) == json.loads(json.dumps(done.plain()))


@pytest.mark.parametrize(
    ("verdict", "checks", "words"),
    [("exact", None, "exact, level 1"), ("incomplete", None, "incomplete, level 1"), ("exact", 2, "exact, 2 of ")],
)
def test_the_badge_says_how_much_the_verdict_rests_on(verdict, checks, words):
    picture = ElementTree.fromstring(page.badge(audit(verdict, checks=checks)))
    assert words in "".join(picture.itertext())
    assert picture.attrib["aria-label"].startswith(f"audit: {words}")


def test_a_new_report_is_not_audited(tmp_path):
    job = synthetic_outputs.root(tmp_path)
    recipe.execute(job, report.run)
    index = tmp_path / "results/report/index.html"
    before = index.read_bytes()
    page.write(audit("exact"), tmp_path)
    assert index.read_bytes() == before
    recipe.receipt_path(tmp_path, recipe.Job.read(job).artifacts[0].ref).unlink()
    recipe.execute(job, report.run)
    assert index.read_bytes() == before
    assert not list(index.parent.glob("audit.*"))


def opened(browser: WebDriver, file: Path) -> list[dict[str, Any]]:
    """Open a page; return what the browser complains about."""
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.set_window_size(1280, 1600)
    browser.get(file.as_uri())
    complaints: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return complaints


def texts(browser: WebDriver, query: str) -> list[str]:
    return [one.text for one in browser.find_elements("css selector", query)]


@pytest.mark.browser
def test_the_page_tells_all_and_runs_nothing(browser, folder):
    written = page.write(audit("failed", FOUND), folder.parents[1])
    assert opened(browser, written) == []
    assert texts(browser, "h1") == ["Audit failed"]
    assert browser.find_elements("css selector", "script") == []
    rows = texts(browser, "table.checks tbody th")
    assert rows == [check.number for check in run.checks()]
    (finding,) = texts(browser, ".finding")
    for part in (FOUND.file, FOUND.why, FOUND.sample, FOUND.expected, FOUND.found, "pillow 12 -> 13"):
        assert str(part) in finding
    browser.execute_script("document.querySelector('.finding details').open = true")
    numbers = texts(browser, ".finding li")
    assert (len(numbers), numbers[0], numbers[-1]) == (51, FOUND.numbers[0], "and 10 more, all in audit.json")
    assert f"looked at {NASTY}" in texts(browser, "table.checks li")
    left = "\n".join(texts(browser, "#left li"))
    assert all(check.number in left for check in run.checks() if check.level > 1)
    said = texts(browser, "#auditor dd")
    assert {"1.2.3", "d" * 64, "elsewhere", f"c {NASTY}"} <= set(said)
    requests = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in requests if not name.startswith("data:")] == []


@pytest.mark.browser
def test_the_page_fits_a_telephone(browser, folder):
    written = page.write(audit("failed", FOUND), folder.parents[1])
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(written.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
def test_the_report_leads_to_its_audit_and_misses_nothing_without_one(browser, folder):
    assert opened(browser, folder / "index.html") == []
    page.write(audit("exact"), folder.parents[1])
    assert opened(browser, folder / "index.html") == []
    browser.find_element("css selector", "#audit a").click()
    assert texts(browser, "h1") == ["Audit exact"]


@pytest.mark.workflow
def test_dvc_and_prune_leave_the_audit_alone(colleague: Repository) -> None:
    folder = colleague.path / "results/report"
    recorded = (colleague.path / "dvc.lock").read_bytes()
    colleague.run("shiftbench", "audit", "--level", "0", check=False)
    assert {file.name for file in folder.glob("audit.*")} == set(page.NAMES)
    assert "up to date" in colleague.run("dvc", "status").stdout
    colleague.run("shiftbench", "prune", "tables")
    assert colleague.planned() == set()
    colleague.run("dvc", "commit", "--force", "--quiet")
    assert (colleague.path / "dvc.lock").read_bytes() == recorded
    assert {file.name for file in folder.glob("audit.*")} == set(page.NAMES)
    colleague.run("shiftbench", "pull", "tables")
    assert (folder / "index.html").is_file()
