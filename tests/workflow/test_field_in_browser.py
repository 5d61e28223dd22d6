"""The page Field in a browser: a thousand models are sorted, searched and exported, and the scatter is switched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shiftbench.base.refs import Ref
from shiftbench.data import formats, releases
from shiftbench.provenance.recipe import Artifact
from shiftbench.report.field import Field
from shiftbench.statistics import released_rows
from shiftbench.workflow.stages import field_page

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

pytestmark = pytest.mark.browser
ABOUT = {"title": "t", "repository": "a/b", "commit": "0f" * 20, "licence": "MIT", "citation": "c"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of timm's models."""
    rows = released_rows.with_intervals(releases.rows("timm")).select(formats.RELEASED.names)
    content = {"releases": {"timm": ABOUT}, "order": ["timm"]}
    artifact = Artifact.of(Ref("report", "field/index"), content, (Ref("released", "timm"),))
    found = tmp_path_factory.mktemp("field") / "index.html"
    found.write_text(field_page.page(artifact, Field.of({"timm": rows}, {"timm": ABOUT})))
    return found


@pytest.fixture
def page(browser: WebDriver, file: Path) -> Iterator[Any]:
    """Run a script on the fresh page; nothing may be written to the console as an error."""
    browser.set_window_size(1280, 1600)
    browser.get("about:blank")
    browser.get(file.as_uri())
    yield browser.execute_script
    log: Any = browser.get_log  # type: ignore[attr-defined]  # of Chromium's driver
    assert [line for line in log("browser") if line["level"] == "SEVERE"] == []


def names(page: Any) -> list[str]:
    """Models in the table, in order."""
    found: list[str] = page(
        "const heads = [...document.querySelectorAll('#models-table tbody th')];"
        "return heads.map((one) => one.textContent.split('\\u00a0')[1])"
    )
    return found


def click(page: Any, heading: int) -> None:
    page(f"document.querySelectorAll('#models-table thead tr:nth-child(2) button')[{heading}].click()")


def test_the_table_is_sorted_searched_and_grows(page: Any) -> None:
    clean = releases.rows("timm").filter(dataset="imagenet", metric="accuracy")
    best = clean.sort("value", "model", descending=[True, False])["model"].to_list()
    assert names(page) == best[:50]
    page("document.getElementById('more').click()")
    assert names(page) == best[:100]
    click(page, 4)  # ImageNet, once more: rising
    assert names(page)[0] == clean.sort("value")["model"][0]
    page(
        "const field = document.getElementById('find'); field.value = 'eva GIANT';"
        "field.dispatchEvent(new Event('input'))"
    )
    assert len(names(page)) == sum("eva" in model and "giant" in model for model in clean["model"])
    assert page("return document.getElementById('found').textContent").endswith("of 1,556")


def test_a_number_leads_to_its_line(page: Any) -> None:
    row = releases.rows("timm").filter(dataset="imagenet_r", metric="accuracy", model=names(page)[0]).row(0, named=True)
    link, title, text = page(
        "const a = document.querySelector('#models-table tbody td:nth-child(9) a');"
        "return [a.href, a.title, a.textContent]"
    )
    assert link == f"https://github.com/a/b/blob/{'0f' * 20}/results/results-imagenet-r.csv?plain=1#L{row['row']}"
    assert title == f"{row['file']}, commit 0f0f0f0, row {row['row']}, column top1"
    assert text == f"{100 * row['value']:.1f}"


def test_exports_have_all_rows_that_match(page: Any) -> None:
    page(
        "window.saved = []; URL.createObjectURL = (blob) => { window.saved.push(blob); return '#'; };"
        "for (const one of document.querySelectorAll('#models-tools .menu button')) one.click()"
    )
    csv, text = page("return Promise.all(window.saved.map((blob) => blob.text()))")
    assert csv.count("\n") == 1557
    content = json.loads(text)
    assert content["evidence"] == "released"
    assert len(content["models"]) == 1556
    assert content["models"][0]["model"] == names(page)[0]


def test_the_scatter_is_switched_and_a_family_is_ringed(page: Any) -> None:
    page(
        "for (const [id, value] of [['shift', 'imagenet_r'], ['family', 'convnext']]) {"
        "const select = document.getElementById(id); select.value = value; select.dispatchEvent(new Event('change')); }"
    )
    shown, rings, note = page(
        "const open = [...document.querySelectorAll('details.shift')].filter((one) => !one.hidden);"
        "const path = open[0].querySelector('.ring.family').getAttribute('d');"
        "const note = document.getElementById('family-note').textContent;"
        "return [open.map((one) => one.dataset.shift), path.split('M').length - 1, note]"
    )
    assert shown == ["imagenet_r"]
    count = (
        releases.rows("timm").filter(dataset="imagenet", metric="accuracy")["model"].str.contains("^convnext_").sum()
    )
    assert rings == count
    assert note.startswith(f"convnext: {count} results, on average +")


def test_it_opens_within_two_seconds(page: Any) -> None:
    assert page("return performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000
