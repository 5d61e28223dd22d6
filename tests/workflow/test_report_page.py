"""The report in a browser: sorted, switched, opened and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from makers import synthetic_outputs
from shiftbench.provenance import recipe
from shiftbench.stages import report

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output root whose report is made."""
    folder = tmp_path_factory.mktemp("page")
    recipe.execute(synthetic_outputs.root(folder), report.run)
    return folder


@pytest.fixture
def page(browser: WebDriver, root: Path) -> Page:
    browser.set_window_size(1280, 1600)
    browser.get((root / "results/report/index.html").as_uri())
    return Page(browser)


class Page:
    """The page as a reader has it; every look waits for nothing, since nothing is loaded."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver
        assert driver.execute_script("return document.documentElement.dataset.ready") == "true"

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, query: str) -> Any:
        return self.driver.find_element("css selector", query)

    def texts(self, query: str) -> list[str]:
        return [
            element.text.strip() for element in self.driver.find_elements("css selector", query)
        ]

    def order(self) -> list[str]:
        """Weights of the leaderboard from top to bottom."""
        query = "#leaderboard-clothes tr.mean th.name"
        return self.run(
            f"return [...document.querySelectorAll('{query}')].map(artifact => artifact.dataset.value)"
        )

    def heading(self, at: int) -> Any:
        return self.one(f"#leaderboard-clothes thead tr:last-child th:nth-child({at})")

    def click(self, element: Any) -> None:
        """Click where neither the header covers the element nor the page still scrolls."""
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def drawn(self, id: str) -> str:
        """Draw a figure by scrolling to it; return its text."""
        from selenium.webdriver.support.ui import WebDriverWait

        plot = self.one(f"#{id}")
        self.run("arguments[0].scrollIntoView()", plot)
        WebDriverWait(self.driver, 20).until(
            lambda _: self.run("return arguments[0].querySelector('svg') !== null", plot)
        )
        return str(self.run("return arguments[0].textContent", plot))


def test_a_click_on_a_heading_sorts_and_another_reverses(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    robust = 6  # accuracy under corruptions
    assert page.order()[0] == "convnet-erm"  # best on the clean set
    page.heading(robust).find_element("css selector", "button").click()
    assert page.heading(robust).get_attribute("aria-sort") == "descending"
    assert page.order() == ["convnet-augmix", "vit-augmix", "convnet-erm", "vit-erm"]
    page.heading(robust).find_element("css selector", "button").send_keys(Keys.ENTER)
    assert page.heading(robust).get_attribute("aria-sort") == "ascending"
    assert page.order() == ["vit-erm", "convnet-erm", "vit-augmix", "convnet-augmix"]
    page.heading(1).find_element("css selector", "button").click()
    assert page.order() == sorted(page.order())
    assert page.heading(robust).get_attribute("aria-sort") == "none"


def test_seeds_open_below_their_mean_and_stay_there_when_sorted(page: Page) -> None:
    button = page.one('#leaderboard-clothes [aria-label="training seeds of vit-erm"]')
    assert "vit-erm-s0" not in page.texts("#leaderboard-clothes tr.seed th")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    page.heading(2).find_element("css selector", "button").click()
    body = button.find_element("xpath", "ancestor::tbody")
    assert [row.text.split()[0] for row in body.find_elements("css selector", "tr.seed")] == [
        "vit-erm-s0",
        "vit-erm-s1",
    ]
    button.click()
    assert not [text for text in page.texts("#leaderboard-clothes tr.seed th") if text]


def test_the_numbers_are_those_of_the_tables(page: Page, root: Path) -> None:
    metrics = pl.read_parquet(root / "results/tables/clothes/metrics.parquet")
    clean = metrics.filter(pl.col("shift") == "identity", metric="accuracy").filter(
        pl.col("seed").is_null()
    )
    for row in clean.iter_rows(named=True):
        label = row["weights"].partition("/")[2]
        artifact = page.one(f'#leaderboard-clothes tr:has(> th[data-value="{label}"]) td')
        assert float(artifact.get_attribute("data-value")) == row["value"]
        low, high = 100 * row["ci_low"], 100 * row["ci_high"]
        assert artifact.text.replace("\n", " ").startswith(f"{100 * row['value']:.1f}")
        assert f"[{low:.1f}, {high:.1f}]" in artifact.text
    assert page.texts("#leaderboard-clothes td.best .mark")


def test_the_selector_switches_the_metric_of_the_curves(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    assert "accuracy, %" in page.drawn("plot-clothes-curves-0")
    Select(page.one('select[data-panel="curves-clothes"]')).select_by_value("nll")
    assert "NLL, nat" in page.drawn("plot-clothes-curves-0")
    assert "accuracy" not in page.drawn("plot-clothes-curves-0")
    Select(page.one('select[data-panel="reliability-clothes"]')).select_by_value(
        "all shifts at severity 5"
    )
    page.drawn("plot-clothes-reliability-0")
    assert (
        page.one("#plot-clothes-reliability-0").get_attribute("data-choice")
        == "all shifts at severity 5"
    )


def test_a_legend_hides_weights_in_every_figure_of_its_panel(page: Page) -> None:
    page.drawn("plot-clothes-curves-0")
    button = page.one('#curves-clothes .legend [data-label="vit-erm"]')
    page.click(button)
    assert button.get_attribute("aria-pressed") == "false"
    script = "return document.getElementById('plot-clothes-curves-0').data.filter(t => t.visible).map(t => t.name)"
    assert set(page.run(script)) == {"convnet-augmix", "convnet-erm", "vit-augmix"}


def test_the_selector_of_differences_shows_one_column(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    page.one("#differences-clothes summary").click()
    select = Select(page.one('select[data-rows="differences-clothes"]'))
    select.select_by_value("corruptions-accuracy")
    shown = [text for text in page.texts("#differences-clothes tbody") if text]
    assert len(shown) == 6  # pairs of four
    assert any("convnet-augmix is better" in text for text in shown)


def test_the_selector_of_detection_shows_one_metric_and_its_table_sorts(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    def shown() -> list[str]:
        script = (
            "return [...document.querySelectorAll('#detectors-unknown [data-column]')]"
            ".filter(one => !one.hidden).map(one => one.dataset.column)"
        )
        return list(page.run(script))

    assert shown() == ["auroc"]
    Select(page.one('select[data-rows="detectors-unknown"]')).select_by_value("fpr95")
    assert shown() == ["fpr95"]
    table = "#detectors-unknown-fpr95"
    assert page.texts(f"{table} tbody th") == ["ViM", "KNN", "MSP", "ODIN"]
    page.click(page.one(f"{table} thead tr:last-child th:nth-child(3) button"))
    assert page.texts(f"{table} tbody th") == ["ODIN", "MSP", "KNN", "ViM"]


def test_scores_follow_their_two_selectors(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    assert "MSP, unknown: AUROC" in page.drawn("plot-unknown-scores-0")
    detector, dataset = page.driver.find_elements("css selector", "#scores-unknown select")
    Select(detector).select_by_visible_text("ViM")
    Select(dataset).select_by_visible_text("<b>noise</b>")
    assert "noise" in page.drawn("plot-unknown-scores-1")
    assert page.one("#plot-unknown-scores-1").get_attribute("data-choice") == "3|2"
    assert (
        page.run("return document.getElementById('plot-unknown-scores-1').data[0].y.length") == 40
    )


def test_every_picture_says_what_it_shows(page: Page) -> None:
    alts = page.run("return [...document.images].map(image => image.alt)")
    assert "fashion_mnist/test/000001, fog, severity 3" in alts
    assert all(alts)
    page.run("document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })")
    sizes = page.run(
        "return Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
    )
    assert set(sizes) == {28}


def test_the_theme_switches(page: Page) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(colour)
    page.one("#theme").click()
    assert page.run(colour) != before


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen(page: Page, width: int) -> None:
    size = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": width < 600}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)  # type: ignore[attr-defined]
    try:
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})  # type: ignore[attr-defined]


def test_no_request_leaves_the_page_and_nothing_is_complained_about(page: Page, root: Path) -> None:
    page.driver.get_log("browser")  # what other tests left
    page.driver.refresh()
    for plot in page.run("return [...document.querySelectorAll('.plot')].map(plot => plot.id)"):
        page.drawn(plot)
    requests = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    inside = ("data:", "blob:", (root / "results/report/audit.svg").as_uri())
    assert [name for name in requests if not name.startswith(inside)] == []
    complaints = [one["message"] for one in page.driver.get_log("browser")]  # nobody has audited it
    assert [one for one in complaints if "audit.svg" not in one] == []
