"""The report in a browser: sorted, switched, opened and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from makers import synthetic_outputs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.report import completions, queries, samples
from shiftbench.report.completions import Written
from shiftbench.workflow.stages import report, samples_page

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output root whose report is made."""
    folder = tmp_path_factory.mktemp("page")
    recipe.execute(synthetic_outputs.root(folder), report.run)
    return folder


@contextmanager
def screen(page: Page, width: int, media: str = "") -> Iterator[None]:
    """Open the page on a screen of this width; a telephone's below 600 px."""
    tell: Any = page.driver.execute_cdp_cmd  # type: ignore[attr-defined]
    size = {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": width < 600}
    tell("Emulation.setDeviceMetricsOverride", size)
    tell("Emulation.setEmulatedMedia", {"media": media})
    try:
        if not media:
            page.driver.refresh()
        yield
    finally:
        tell("Emulation.clearDeviceMetricsOverride", {})
        tell("Emulation.setEmulatedMedia", {"media": ""})


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
        return [element.text.strip() for element in self.driver.find_elements("css selector", query)]

    def order(self) -> list[str]:
        """Weights of the leaderboard from top to bottom."""
        query = "#leaderboard-clothes tr.mean th.name"
        return self.run(f"return [...document.querySelectorAll('{query}')].map(row => row.dataset.name)")

    def heading(self, at: int) -> Any:
        return self.one(f"#leaderboard-clothes thead tr:last-child th:nth-child({at})")

    def click(self, element: Any) -> None:
        """Click where neither the header covers the element nor the page still scrolls."""
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def drawn(self, id: str) -> str:
        """Text of a figure."""
        return str(
            self.run("return document.getElementById(arguments[0]).querySelector(':scope > svg').textContent", id)
        )

    def shown(self, id: str) -> list[str]:
        """Keys of the series that a figure shows."""
        script = """
            const groups = [...document.getElementById(arguments[0]).querySelectorAll(':scope > svg g[data-key]')];
            return groups.filter(one => one.style.display !== 'none').map(one => one.dataset.key);
        """
        return list(self.run(script, id))

    def shared(self) -> str:
        """The address with the view that a link keeps, opened afresh."""
        address = str(self.driver.current_url)
        self.driver.get("about:blank")
        self.driver.get(address)
        return address


def test_a_click_on_a_heading_sorts_and_another_reverses(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    robust = 6  # accuracy under corruptions
    assert page.order()[0] == "convnet-augmix"  # best under corruption, by which the page is sorted
    page.heading(2).find_element("css selector", "button").click()
    assert page.order()[0] == "convnet-erm"  # best on the clean set
    page.heading(robust).find_element("css selector", "button").click()
    assert page.heading(robust).get_attribute("aria-sort") == "descending"
    assert page.order() == ["convnet-augmix", "vit-augmix", "convnet-erm", "vit-erm"]
    page.heading(robust).find_element("css selector", "button").send_keys(Keys.ENTER)
    assert page.heading(robust).get_attribute("aria-sort") == "ascending"
    assert page.order() == ["vit-erm", "convnet-erm", "vit-augmix", "convnet-augmix"]
    page.heading(1).find_element("css selector", "button").click()
    assert page.order() == ["convnet-erm", "convnet-augmix", "vit-erm", "vit-augmix"]  # by title
    assert page.heading(robust).get_attribute("aria-sort") == "none"


def test_seeds_open_below_their_mean_and_stay_there_when_sorted(page: Page) -> None:
    button = page.one('#leaderboard-clothes [aria-label="training seeds of ViT"]')
    assert "ViT, seed 0" not in page.texts("#leaderboard-clothes tr.seed th")
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    page.heading(2).find_element("css selector", "button").click()
    body = button.find_element("xpath", "ancestor::tbody")
    names = body.find_elements("css selector", "tr.seed th")
    assert [name.text for name in names] == ["ViT, seed 0", "ViT, seed 1", "ViT, seed 2"]
    assert names[0].get_attribute("data-name") == "vit-erm-s0"
    button.click()
    assert not [text for text in page.texts("#leaderboard-clothes tr.seed th") if text]


def test_the_numbers_are_those_of_the_tables(page: Page, root: Path) -> None:
    metrics = pl.read_parquet(root / "results/tables/clothes/metrics.parquet")
    clean = metrics.filter(pl.col("shift") == "identity", metric="accuracy").filter(pl.col("seed").is_null())
    for row in clean.iter_rows(named=True):
        label = row["model"].partition("/")[2]
        artifact = page.one(f'#leaderboard-clothes tr:has(> th[data-name="{label}"]) td')
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
    page.click(page.one("#fold-reliability-clothes summary"))
    Select(page.one('select[data-panel="reliability-clothes"]')).select_by_value("all shifts at severity 5")
    assert page.one("#plot-clothes-reliability-0").get_attribute("data-choice") == "all shifts at severity 5"


def test_a_legend_hides_weights_in_every_figure_of_its_panel(page: Page) -> None:
    page.drawn("plot-clothes-curves-0")
    button = page.one('#curves-clothes .legend [data-label="vit-erm"]')
    page.click(button)
    assert button.get_attribute("aria-pressed") == "false"
    assert page.shown("plot-clothes-curves-0") == ["convnet-augmix", "convnet-erm", "vit-augmix"]


def test_the_selector_of_differences_shows_one_column(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    page.click(page.one("#differences-clothes summary"))
    select = Select(page.one('select[data-rows="differences-clothes"]'))
    select.select_by_value("corruptions-accuracy")
    shown = [text for text in page.texts("#differences-clothes tbody") if text]
    assert len(shown) == 6  # pairs of four
    assert any("ConvNet + AugMix is better" in text for text in shown)


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
    heading = page.one(f"{table} thead tr:last-child th:nth-child(3)")
    for order, names in (("ascending", ["ViM", "KNN", "MSP", "ODIN"]), ("descending", ["ODIN", "MSP", "KNN", "ViM"])):
        page.click(heading.find_element("css selector", "button"))  # lower is better: it comes first
        assert heading.get_attribute("aria-sort") == order
        assert page.texts(f"{table} tbody th") == names


def test_scores_follow_their_two_selectors(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    assert "ViM, Unknown" in page.drawn("plot-unknown-scores-0")
    detector, dataset = page.driver.find_elements("css selector", "#scores-unknown select")
    Select(detector).select_by_visible_text("ODIN")
    Select(dataset).select_by_visible_text("<b>noise</b>")
    assert "noise" in page.drawn("plot-unknown-scores-1")
    assert page.one("#plot-unknown-scores-1").get_attribute("data-choice") == "3|2"
    assert page.run("return document.querySelectorAll('#plot-unknown-scores-1 rect').length") > 40


def test_a_search_leaves_the_rows_whose_names_hold_all_words(page: Page) -> None:
    field = page.one('input[data-search="corruptions-clothes-table"]')
    page.click(page.one("#corruptions-clothes summary"))
    field.send_keys("FOG vit")
    query = "#corruptions-clothes-table tbody"
    rows = [row for row in page.driver.find_elements("css selector", query) if row.text]
    names = [[one.text for one in row.find_elements("css selector", ".name")] for row in rows]
    assert names == [["Fog", "ViT + AugMix"], ["Fog", "ViT"]]
    field.clear()
    field.send_keys("vit-erm")  # the name of params.yaml, which is behind the title
    shown = [row.find_elements("css selector", ".name")[1].text for row in rows if row.is_displayed()]
    assert shown == ["ViT"]
    field.clear()


def test_a_link_keeps_the_view(page: Page) -> None:
    """Sorting, filter, metric and theme come back from the address."""
    from selenium.webdriver.support.ui import Select

    page.heading(2).find_element("css selector", "button").click()
    Select(page.one('select[data-panel="curves-clothes"]')).select_by_value("nll")
    page.one("#theme").click()
    page.click(page.one("#corruptions-clothes summary"))
    page.one('input[data-search="corruptions-clothes-table"]').send_keys("fog vit-erm")
    address = page.shared()
    assert "#&" in address
    assert page.order()[0] == "convnet-erm"
    assert "NLL, nat" in page.drawn("plot-clothes-curves-0")
    assert page.run("return document.documentElement.dataset.theme") == "light"
    field = page.one('input[data-search="corruptions-clothes-table"]')
    assert field.get_attribute("value") == "fog vit-erm"
    count = field.find_element("xpath", "following-sibling::output").get_attribute("textContent")
    assert count == "1 of 12"
    page.driver.get(address.partition("#")[0])


def test_tables_and_figures_can_be_taken(page: Page) -> None:
    """What is copied is what is seen; no file leaves without its numbers."""
    page.run("""
        window.taken = {};
        HTMLAnchorElement.prototype.click = function () { window.taken[this.download] = this.href; };
        navigator.clipboard.writeText = async (text) => { window.copied = text; };
    """)

    def take(id: str, label: str) -> None:
        menu = page.one(f'details.take[data-of="{id}"]')
        page.run("arguments[0].open = true", menu)
        button = next(one for one in menu.find_elements("css selector", "button") if one.text == label)
        page.click(button)

    from selenium.webdriver.support.ui import WebDriverWait

    take("heat-clothes-table", "copy LaTeX")
    WebDriverWait(page.driver, 20).until(lambda _: page.run("return window.copied !== undefined"))
    tex = page.run("return window.copied")
    assert tex.count("\\toprule") == tex.count("\\bottomrule") == 1
    assert all(group in tex for group in ("noise", "weather", "digital"))
    assert "\\textbf{" in tex
    lines = [line for line in tex.splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
    assert len({line.count("&") for line in lines}) == 1
    take("leaderboard-clothes", "CSV")
    assert page.run("return window.taken['leaderboard-clothes.csv'].startsWith('blob:')")
    take("first-clothes", "SVG")
    assert page.run("return window.taken['first-clothes.svg'].startsWith('blob:')")
    take("first-clothes", "PNG")
    WebDriverWait(page.driver, 20).until(lambda _: page.run("return 'first-clothes.png' in window.taken"))
    size = page.run("""
        const image = new Image();
        image.src = window.taken['first-clothes.png'];
        return image.decode().then(() => [image.naturalWidth, image.naturalHeight]);
    """)
    assert min(size) > 600
    take("first-clothes", "copy link")
    WebDriverWait(page.driver, 20).until(lambda _: "#first-clothes" in page.run("return window.copied"))
    page.driver.refresh()


def test_a_table_is_one_stop_of_the_tab_key(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    stops = """
        return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex], audio')]
            .filter((one) => one.tabIndex >= 0 && one.checkVisibility()).length;
    """
    assert page.run(stops) <= 150
    first = page.one("#leaderboard-clothes button.sort")
    first.send_keys(Keys.ARROW_RIGHT)
    second = page.run("return document.activeElement.closest('th').cellIndex")
    assert second == 1
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert page.run("return document.activeElement.closest('tbody') !== null")
    small = """
        return [...document.querySelectorAll('button, input, select, summary')].filter((one) => one.checkVisibility())
            .filter((one) => (one.closest('label') ?? one).getBoundingClientRect().height < 24)
            .map((one) => one.outerHTML.slice(0, 120));
    """
    assert page.run(small) == []


@pytest.mark.parametrize("width", [390, 1198])
def test_a_leaderboard_shows_what_fits_and_all_that_is_asked_for(page: Page, width: int) -> None:
    with screen(page, width):
        chooser = page.one('[data-columns="leaderboard-clothes"]')
        over = """
            const scroll = document.getElementById('leaderboard-clothes').parentElement;
            return scroll.scrollWidth - scroll.clientWidth;
        """
        shown = """
            const headings = document.querySelectorAll('#leaderboard-clothes thead tr:last-child th');
            return [...headings].filter(one => !one.hidden).length;
        """
        assert page.run(over) == 0
        fitting = page.run(shown)
        assert fitting >= 3  # names, clean accuracy, and that under corruptions
        page.click(chooser.find_element("css selector", "summary"))
        page.click(chooser.find_element("css selector", "button.everything"))
        assert page.run(shown) == 14
        page.click(chooser.find_element("css selector", "button.fitting"))
        assert page.run(shown) == fitting


def test_a_permalink_opens_what_is_folded_away(page: Page) -> None:
    anchors = page.run(
        "return [...document.querySelectorAll('a.permalink')].map(a => decodeURIComponent(a.hash.slice(1)))"
    )
    assert len(anchors) == len(set(anchors)) > 20
    assert all(page.run("return document.getElementById(arguments[0]) !== null", a) for a in anchors)
    assert "model-clothes-vit-erm" in anchors
    page.run("location.hash = '#corruptions-clothes'")
    assert page.run("return document.getElementById('corruptions-clothes').open")


def test_a_printed_page_has_whole_figures_and_columns(page: Page) -> None:
    page.run("dispatchEvent(new Event('beforeprint'))")
    missing = "return [...document.querySelectorAll('.plot:not([hidden])')].filter(p => !p.querySelector('svg')).length"
    assert page.run(missing) == 0
    assert page.run("return [...document.querySelectorAll('details.more, details.differences')].every(one => one.open)")
    with screen(page, 700, media="print"):  # narrower than what was drawn: figures shrink as wholes
        wide = """
            const right = figure => figure.getBoundingClientRect().right;
            return [...document.querySelectorAll('.plot svg')].filter(one => right(one) > innerWidth).length;
        """
        assert page.run(wide) == 0
    page.run("dispatchEvent(new Event('afterprint'))")


def test_a_number_leads_to_the_samples_behind_it(page: Page, root: Path) -> None:
    """Names of classes, keys and texts are anybody's: they are shown and become no markup."""
    nasty = synthetic_outputs.NASTY
    ends = {"method": "plain", "records": "results/records/r.parquet", "shards": "s"}
    answers = [(f"k{nasty}", 0, 1, False, 9 * 10**8), ("l", 0, 0, True, 10**9)]
    rows = [
        samples.Rows("d/convnet-erm-s0", cell=("fashion_mnist", "test", shift, level), classes=(nasty, "b"),
                     counts=(1, 1, 0), picked=samples.pick(answers)[1], **ends)
        for shift, level in (("identity", 0.0), ("fog", 3.0), ("fog", 1.0))
    ]  # fmt: skip
    labels = {("d/convnet-erm-s0", "plain"): "convnet-erm-s0"}
    content = samples.content(rows, {("s", "l"): {"text": f"a text {nasty}"}}, labels)
    artifact = Artifact.of(Ref("report", "samples/clothes/index"), {"clean": "d", "shows": "samples"}, ())
    file = root / artifact.ref.path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(samples_page.page(artifact, content))
    page.driver.get_log("browser")
    page.click(page.one("#leaderboard-clothes tr.mean td:nth-child(2) a.value"))
    assert page.texts("#shown h2") == ["ConvNet, seed 0: Fashion MNIST, clean"]
    assert page.texts("#shown h3") == ["correct: 1", "wrong: 1", "wrong, most confident first"]
    assert f"a text {nasty}" in page.texts("#shown blockquote")
    assert f"true class: {nasty}" in page.texts("#shown figcaption span")
    page.run("location.hash = '#model=convnet-erm-s0&set=fashion_mnist/fog'")
    assert page.texts("#shown h2") == ["ConvNet, seed 0: Fashion MNIST, Fog, severity 1"]
    assert page.texts("#shown .note code") == ["results/records/r.parquet"]
    page.one('[data-step="severity"][data-by="1"]').click()
    assert page.texts("#shown h2") == ["ConvNet, seed 0: Fashion MNIST, Fog, severity 3"]
    assert "severity=3" in page.driver.current_url
    page.run("document.getElementById('kind').value = 'wrong'")
    page.run("document.getElementById('kind').dispatchEvent(new Event('change'))")
    assert page.texts("#shown h3") == ["wrong: 1"]
    assert page.one("#back").get_attribute("href").endswith("#model-clothes-convnet-erm")
    assert page.driver.get_log("browser") == []
    page.one(".brand").click()
    assert page.texts("h1") == ["Robustness under distribution shift"]


def test_completions_are_shown_as_they_were_written(page: Page, root: Path) -> None:
    """Prompts and completions are anybody's: thinking and answer are told apart, and nothing becomes markup."""
    nasty = synthetic_outputs.NASTY
    written = [
        Written("k", f"hmm {nasty} </think> so 3", True, (7, 3), (0.5, 0.25), True, False),
        Written("l", f"hmm {nasty}", False, (32, 0), (3.0, 0.0), False, True),
    ]
    counts, picked = completions.pick(written)
    rows = [
        completions.Rows("decoder-pear-s0", ("d", "test", shift, level), "r.parquet", "s", counts, picked)
        for shift, level in (("identity", 0.0), ("five", None))
    ]
    prompts = {("s", "k"): {"text": f"1 +2 {nasty}", "mark": "</think>", "answer": "3"}}
    prompts[("s", "l")] = prompts["s", "k"]
    artifact = Artifact.of(Ref("report", "samples/chains/index"), {"clean": "d", "shows": "completions"}, ())
    file = root / artifact.ref.path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(samples_page.page(artifact, completions.content(rows, prompts)))
    page.driver.get_log("browser")
    page.driver.get(f"{file.as_uri()}#model=decoder-pear-s0&set=d/five")
    assert page.texts("#shown h3") == ["correct: 1", "wrong: 1"]
    assert page.texts("#shown .prompt") == [f"1 +2 {nasty}"] * 2
    assert page.texts("#shown .thinking") == [f"hmm {nasty} </think>", f"hmm {nasty}"]
    answers = page.run("return [...document.querySelectorAll('.answer')].map(one => one.textContent)")
    assert answers == [" so 3", ""]
    told = page.texts("#shown figcaption")
    assert "thinking: 7 tokens, 0.500 nat" in told[0]
    assert "thinking not closed" in told[1]
    assert "cut at the most tokens" in told[1]
    assert page.driver.get_log("browser") == []


def test_claims_about_tables_are_shown_with_table_and_query(page: Page, root: Path) -> None:
    """Cells and queries are anybody's: nothing becomes markup."""
    nasty = synthetic_outputs.NASTY
    answered = {"answer": "true", "status": "ok", "query": f"df['{nasty}'].max() == 3"}
    written = [queries.of({"key": key, "correct": key == "k", **answered}) for key in ("k", "l")]
    counts, picked = completions.pick(written)
    row = completions.Rows("a", ("d", "test", "identity", 0.0), "r.parquet", "s", counts, picked)
    table = {"header": ["Name", nasty], "rows": [["Ada", "3"]], "caption": "isles"}
    fields = {"text": f"is {nasty}", "table": table, "meta": {"answer": True}}
    prompts = {("s", key): queries.asked(Sample(key, fields)) for key in ("k", "l")}
    artifact = Artifact.of(Ref("report", "samples/tables/index"), {"clean": "d", "shows": "queries"}, ())
    file = root / artifact.ref.path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(samples_page.page(artifact, completions.content([row], prompts)))
    page.driver.get_log("browser")
    page.driver.get(file.as_uri())
    assert page.texts("#shown h3") == ["correct: 1", "wrong: 1"]
    assert page.texts("#shown .claim") == [f"is {nasty}"] * 2
    assert page.texts("#shown th") == ["Name", nasty] * 2
    assert page.texts("#shown td") == ["Ada", "3"] * 2
    assert page.texts("#shown pre")[0].splitlines()[0] == f"df['{nasty}'].max() == 3"
    assert page.driver.get_log("browser") == []


def test_every_picture_says_what_it_shows(page: Page) -> None:
    alts = page.run("return [...document.images].map(image => image.alt)")
    assert "Trouser, Fog, severity 3" in alts
    assert all(alts)
    page.run("document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })")
    sizes = page.run("return Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
    assert set(sizes) == {28}


def test_the_theme_switches(page: Page) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(colour)
    page.one("#theme").click()
    assert page.one("#theme").text == "theme: light"
    page.one("#theme").click()
    assert page.one("#theme").text == "theme: dark"
    assert page.run(colour) != before
    page.one("#theme").click()
    assert page.one("#theme").text == "theme: auto"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen(page: Page, width: int) -> None:
    with screen(page, width):
        assert page.run("return document.documentElement.scrollWidth") <= width


def test_a_telephone_shows_a_finding_on_its_first_screen(page: Page) -> None:
    with screen(page, 400):
        box = "return document.querySelector('.findings').getBoundingClientRect().bottom"
        assert page.run(box) < 1100
        assert page.run("return document.documentElement.scrollHeight") < 20_000
        page.driver.refresh()
        assert page.run("return document.querySelectorAll('details.gallery').length") > 0
        assert page.run("return document.querySelectorAll('details.gallery[open]').length") == 0
    page.driver.refresh()
    assert page.run("return document.querySelectorAll('details.gallery[open]').length") == 1


def test_no_request_leaves_the_page_and_nothing_is_complained_about(page: Page) -> None:
    page.driver.get_log("browser")  # what other tests left
    page.driver.refresh()
    for plot in page.run("return [...document.querySelectorAll('.plot')].map(plot => plot.id)"):
        page.drawn(plot)
    requests = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in requests if not name.startswith("data:")] == []
    assert page.driver.get_log("browser") == []
