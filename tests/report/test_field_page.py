"""The page Field: what it says follows from the tables of releases; each number has its line; parts may be missing."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from isolation import ROOT
from shiftbench.base.files import write_bytes
from shiftbench.base.refs import Ref
from shiftbench.data import formats, releases, schema
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job, Run
from shiftbench.report import field_corruptions, field_detection, field_models, field_scatter, svg
from shiftbench.report.field import Field
from shiftbench.statistics import released_rows
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.stages import field_page, report

ABOUT = {
    "title": "A <b>title</b>",
    "repository": "a/b",
    "commit": "0f" * 20,
    "licence": "MIT",
    "citation": "arXiv:1708.07747",
}
KINDS = ("ImageNet-1k", "image-text pairs", "ImageNet-21k")
SHIFTS = ("imagenet_v2", "imagenet_r")
VOID = {"meta", "link", "input", "br", "hr", "img"}


def rows(numbers: list[dict[str, Any]], release: str) -> pl.DataFrame:
    """Numbers as a frame of RELEASED, with intervals; each in a line of its own unless it says another."""
    default: dict[str, Any] = {
        "release": release,
        "evidence": "released",
        "method": "plain",
        "split": "test",
        "shift": "identity",
    }
    default |= {"severity": 0.0, "metric": "accuracy", "file": f"{release}.csv", "column": "top1"}
    filled = [
        {"row": at + 2, "printed": f"{100 * one['value']:.2f}", **default, **one} for at, one in enumerate(numbers)
    ]
    columns = [column for column in formats.RELEASED.columns if column.name not in ("ci_low", "ci_high")]
    empty = pl.from_arrow(formats.RELEASED.arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    frame = pl.DataFrame(filled, schema={column.name: empty.schema[column.name] for column in columns}, orient="row")
    return released_rows.with_intervals(frame).select(formats.RELEASED.names)


def models() -> pl.DataFrame:
    """Sixty models; image-text pairs are 0.8 above the line of ImageNet-R on logits, and nothing else is."""
    draw = np.random.default_rng(5)
    numbers = []
    for at in range(60):
        x, size = draw.normal(1.2, 0.4), 2.0 ** draw.uniform(2, 8)
        facts = {"model": f"net{'abcdef'[at % 6]}_{at}.tag<i>@224", "parameters": size, "image_size": 224}
        facts |= {"pretraining": KINDS[0 if at < 40 else 1 + at % 2], "n": 10_000}
        above = 0.8 * (facts["pretraining"] == KINDS[1])
        for name, logit in (("imagenet", x), ("imagenet_v2", x - 0.4), ("imagenet_r", 0.9 * x - 1 + above)):
            noise = 0 if name == "imagenet" else draw.normal(0, 0.05)
            numbers.append({**facts, "dataset": name, "value": float(1 / (1 + np.exp(-logit - noise)))})
    return rows(numbers, "zoo")


def corruptions(release: str, names: dict[str, str], n: int, offset: float) -> pl.DataFrame:
    """Models on fifteen corruptions; `offset` is added to the accuracies of the second."""
    draw = np.random.default_rng(9)  # the same for both releases
    numbers = []
    for at, name in enumerate(names.values()):
        own: dict[str, Any] = {"model": name, "dataset": "imagenet", "n": n, "row": at + 2}
        numbers.append({**own, "value": 0.5 + 0.05 * at})
        for shift in field_corruptions.FIFTEEN:
            for severity in range(1, 6):
                value = 0.62 + 0.05 * at - 0.1 * severity + draw.uniform(0, 0.05) + offset * (at == 1)
                numbers.append(
                    {
                        **own,
                        "shift": shift,
                        "severity": float(severity),
                        "value": value,
                        "column": f"{shift}.{severity}",
                    }
                )
    return rows(numbers, release)


def attacks() -> pl.DataFrame:
    """Two robust models and one that is not, in both folders of RobustBench."""
    numbers = []
    for name, norm, robust, corrupted in (
        ("Standard", "", 0.0, 0.7),
        ("Good", "_Linf", 0.6, 0.8),
        ("Bad", "", 0.5, 0.6),
    ):
        facts = {"dataset": "cifar10", "n": 10_000}
        for folder, last in (("Linf", ""), ("corruptions", norm)):
            numbers.append({**facts, "model": f"cifar10/{folder}/{name}{last}", "value": 0.9})
        numbers.append(
            {**facts, "model": f"cifar10/Linf/{name}", "shift": "autoattack_linf", "severity": 8.0, "value": robust}
        )
        mean = {"shift": "common_corruptions", "severity": None, "n": None, "value": corrupted}
        numbers.append({**facts, "model": f"cifar10/corruptions/{name}{norm}", **mean})
    return rows([{**one, "file": "attacks.csv"} for one in numbers], "robustbench")


def board(*, planted: bool = True) -> pl.DataFrame:
    """Thirty methods on two ID sets; one near number is far too high, if planted; the second set has no spreads."""
    draw = np.random.default_rng(4)
    numbers = []
    for at in range(30):
        skill = draw.normal(1.5, 0.4)
        for set_at, reference in enumerate(("cifar10/test/identity/0", "imagenet/test/identity/0")):
            for group, more in (("near", 0.0), ("far", 0.7)):
                logit = skill + more - 0.3 * set_at + draw.normal(0, 0.05)
                if planted and (at, reference[:5], group) == (4, "image", "near"):
                    logit += 3
                own: dict[str, Any] = {
                    "model": "ResNet18",
                    "method": "CE",
                    "detector": f"D<{at}>",
                    "reference": reference,
                    "dataset": group,
                }
                spread: dict[str, float] = {"spread": 0.002, "seeds": 3} if set_at == 0 and at else {}
                own |= {
                    "shift": None,
                    "severity": None,
                    "metric": "auroc",
                    "column": group,
                    "file": f"{reference[:5]}.csv",
                }
                numbers.append({**own, **spread, "row": at + 2, "value": float(1 / (1 + np.exp(-logit)))})
    return rows(numbers, "boards")


def made(tables: dict[str, pl.DataFrame], root: Path) -> Path:
    """Write tables, run the stage, and return the folder of the page."""
    refs = [Ref("released", name) for name in tables]
    for ref, table in zip(refs, tables.values(), strict=True):
        (root / ref.path).parent.mkdir(parents=True, exist_ok=True)
        schema.write(table.to_arrow().cast(formats.RELEASED.arrow), root / ref.path, "0" * 64, formats.RELEASED)
    content = {"releases": dict.fromkeys(tables, ABOUT), "order": list(tables)}
    artifact = Artifact.of(Ref("report", "field/index"), content, tuple(refs))
    job = Job("report", "field/index", (artifact,), {"plugins": []})
    write_bytes(root / job.recipe_path, job.text().encode())

    def stage(run: Run, todo: list[Artifact]) -> None:
        for one in todo:
            field_page.run(run, one)

    recipe.execute(root / job.recipe_path, stage)
    return (root / artifact.ref.path).parent


TABLES: dict[str, Callable[[], pl.DataFrame]] = {
    "zoo": models,
    "imagenet_testbed": lambda: corruptions(
        "imagenet_testbed", dict(zip(field_corruptions.SAME, field_corruptions.SAME, strict=True)), 50_000, 0.0
    ),
    "robustbench": lambda: pl.concat(
        [
            corruptions(
                "robustbench",
                {one: f"imagenet/corruptions/{one}" for one in field_corruptions.SAME.values()},
                5_000,
                -0.1,
            ),
            attacks(),
        ]
    ),
    "boards": board,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made({name: make() for name, make in TABLES.items()}, tmp_path_factory.mktemp("field"))


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "index.html").read_text()


class Page(HTMLParser):
    """Elements of a page: links, headings, ids, captions of tables, and tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.policy = ""
        self.tables: list[list[str]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.links += [own[name] or "" for name in ("src", "href", "action", "data") if name in own]
        self.ids += [own["id"] or ""] if "id" in own else []
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.tables += [[]] if tag == "table" else []
        if tag in ("caption", "th") and self.tables:
            self.tables[-1].append(tag if tag == "caption" else own.get("scope") or "no scope")
        if own.get("http-equiv") == "Content-Security-Policy":
            self.policy = own["content"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


# ---------------------------------------------------------------------------------- what the page says


def test_pretraining_above_the_line_is_named_with_its_interval() -> None:
    found = field_models.Models.of("zoo", models())
    assert found
    shift = found.shifts[1]
    assert (shift.name, found.weights, found.architectures) == ("imagenet_r", 60, 60)
    x, y = shift.pairs.logits()
    of = np.array([int(re.search(r"_(\d+)", model)[1]) < 40 for model in shift.pairs.models])  # type: ignore[index]
    slope, intercept = np.polyfit(x[of], y[of], 1)
    expected = shift.pairs.shifted - 1 / (1 + np.exp(-(slope * x + intercept)))
    np.testing.assert_allclose(shift.residuals[:, 0], expected, atol=1e-9)
    assert (shift.residuals[:, 1] < shift.residuals[:, 0]).all()
    assert shift.tau[0] == pytest.approx(scipy.stats.kendalltau(shift.pairs.clean, shift.pairs.shifted).statistic)
    count, (mean, low, high) = shift.groups["image-text pairs"]
    assert count == 10
    assert low < mean < high
    said = dict(field_models.findings(found))
    assert (
        f"image-text pairs +{100 * mean:.1f} pp [+{100 * low:.1f}, +{100 * high:.1f}] (10 results)"
        in said["Pretraining, ImageNet-R"]
    )
    assert said["Pretraining, ImageNet-R"].index("image-text") < said["Pretraining, ImageNet-R"].index("No significant")
    assert "Above models" not in said["Pretraining, ImageNet-V2"]
    top = shift.pairs.models[int(np.argmax(expected))]
    assert said["Farthest from the line on ImageNet-R"].startswith(f"Above: {top} ")


def test_findings_and_numbers_are_on_the_page_without_a_script(html: str) -> None:
    text = re.sub(r"<script.*?</script>|<style>.*?</style>", "", html, flags=re.DOTALL)
    assert text.count("<li><a href=") >= 15
    found = field_models.Models.of("zoo", models())
    assert found
    for row in found.table.head(50).iter_rows(named=True):
        cell = row["imagenet_r"]
        link = f'href="https://github.com/a/b/blob/{"0f" * 20}/zoo.csv?plain=1#L{cell["row"]}"'
        place = f'title="zoo.csv, commit 0f0f0f0, row {cell["row"]}, column top1" rel="noreferrer"'
        assert f"{link} {place}>{100 * cell['value']:.1f}</a>" in text
    assert len(re.findall(r'<details class="shift" data-shift="\w+"(?: open)?><summary>', text)) == 2
    assert text.count("<svg xmlns") == 3  # two scatters, and attacks against corruptions


def test_data_for_the_script_and_the_csv_have_every_model(html: str, folder: Path) -> None:
    content = json.loads(re.search(r'id="content">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    table = models().filter(dataset="imagenet_r")
    by_model = {row["model"]: row for row in table.iter_rows(named=True)}
    lines = list(csv.DictReader((folder / "models.csv").read_text().splitlines()))
    assert len(content["rows"]) == len(lines) == 60
    at = [one["name"] for one in content["datasets"]].index("imagenet_r")
    for (model, kind, family, size, pixels, cells, above), line in zip(content["rows"], lines, strict=True):
        row = by_model[model]
        assert cells[at] == [round(100 * row["value"], 4), row["row"]]
        assert (content["kinds"][kind], size, pixels) == (row["pretraining"], row["parameters"], 224)
        assert content["families"][family] == model[:4]
        assert line["model"] == model
        assert line["imagenet_r"] == row["printed"]
        assert line["imagenet_r_source"] == content["datasets"][at]["link"] + str(row["row"])
        assert above[1][0] / 100 == pytest.approx(float(line["imagenet_r_above_line"]), abs=0.011)


def test_points_of_a_scatter_are_where_the_accuracies_are() -> None:
    found = field_models.Models.of("zoo", models())
    assert found
    drawing = str(svg.svg(field_scatter.scatter(found, found.shifts[1]), "alt"))
    ends = [float(part) for part in re.search(r'data-frame="([^"]+)"', drawing)[1].split()]  # type: ignore[index]
    left, right, bottom, top, x_low, x_high, y_low, y_high = ends

    def place(share: float, low: float, high: float, start: float, end: float) -> float:
        logits = [np.log(value / (1 - value)) for value in (share, low / 100, high / 100)]
        return float(start + (logits[0] - logits[1]) / (logits[2] - logits[1]) * (end - start))

    marks = Counter(re.findall(r"M([\d.]+) ([\d.]+)(?:h0|m)", drawing))
    assert marks.total() == 60
    for clean, shifted in zip(found.shifts[1].pairs.clean, found.shifts[1].pairs.shifted, strict=True):
        x, y = place(clean, x_low, x_high, left, right), place(shifted, y_low, y_high, bottom, top)
        assert any(abs(float(a) - x) < 0.11 and abs(float(b) - y) < 0.11 for a, b in marks)


def test_a_thousand_real_models_take_little_room() -> None:
    found = field_models.Models.of("timm", releases.rows("timm"))
    assert found
    assert (len(found.table), found.weights) == (1556, 1266)
    assert [shift.name for shift in found.shifts] == ["imagenet_v2", "imagenet_sketch", "imagenet_a", "imagenet_r"]
    for shift in found.shifts:
        assert len(svg.svg(field_scatter.scatter(found, shift), "")) < 250_000


def test_two_sources_differ_by_what_was_planted() -> None:
    testbed, other = TABLES["imagenet_testbed"](), TABLES["robustbench"]()
    found = {one.name: one for one in field_corruptions.twice(testbed, other)}
    assert len(found) == len(field_corruptions.SAME)
    same, apart = found["alexnet"], found["resnet50"]  # the second has 0.1 less in the second source
    assert (same.apart, same.mce, same.mce_shared) == (0, (1.0, 1.0), 1.0)
    assert apart.apart == apart.cells == 75
    assert apart.mean[1] - apart.mean[0] == pytest.approx(-0.1)
    errors = {
        who: 1
        - testbed.filter(pl.col("shift") != "identity", model=who)
        .sort("shift", "severity")["value"]
        .to_numpy()
        .reshape(15, 5)
        for who in ("alexnet", "resnet50")
    }
    assert apart.mce[0] == pytest.approx((errors["resnet50"].sum(1) / errors["alexnet"].sum(1)).mean())
    one = field_corruptions.corrupted("imagenet_testbed", testbed)[0]
    assert one.count == len(field_corruptions.SAME)
    fog = testbed.filter(shift="fog", severity=3.0)["value"].mean()
    assert {row[0]: row[3] for row in one.rows}["fog"][2] == pytest.approx(fog)


def test_printed_mce_of_robustbench_comes_out_of_its_cells() -> None:
    rows_of = releases.rows("robustbench")
    printed = dict(rows_of.filter(metric="mce", shift="common_corruptions").select("model", "value").iter_rows())
    (one,) = (one for one in field_corruptions.corrupted("robustbench", rows_of) if one.dataset == "imagenet")
    found = {model.name: model.mce for model in one.models}
    assert len(found) == len(printed) == 12
    scale = 100 if max(printed.values()) > 2 else 1
    for name, value in printed.items():
        mce = found[name]
        assert mce
        assert mce * scale == pytest.approx(value, abs=0.0051 * scale / 100 + 1e-9)


def test_models_under_attacks_and_corruptions_are_paired_by_name() -> None:
    found = field_corruptions.attacked(attacks())
    assert [(one.names[0].split("/")[2], one.adversarial[0], one.corrupted) for one in found] == [
        ("Good", 0.6, 0.8), ("Bad", 0.5, 0.6), ("Standard", 0.0, 0.7),
    ]  # fmt: skip
    field = Field.of({"robustbench": attacks()}, {"robustbench": ABOUT})
    said = {subject: text for _, subject, text in field.findings}
    assert "Of these, 1 are more accurate" in said["Attacks and corruptions"]


def test_the_planted_cell_of_the_board_is_named_and_a_clean_board_has_none() -> None:
    found = field_detection.of("boards", board())
    assert found
    (odd,) = found.odd
    assert (odd.method, odd.benchmark.title, odd.near_above_far) == ("CE + D<4>", "ImageNet-1K, near", (30, 1))
    assert odd.cell.row == 6
    clean = field_detection.of("boards", board(planted=False))
    assert clean
    assert clean.odd == ()
    assert odd.expected == pytest.approx(clean.benchmarks[2].cells["CE + D<4>", "ResNet18"].value, abs=0.03)
    assert found.near_far
    assert found.near_far[0][0] > 0.5
    near = found.benchmarks[0]
    assert near.title == "CIFAR-10, near"
    assert len(near.noise.order) == 29  # one has no spread
    cell = near.cells["CE + D<7>", "ResNet18"]
    low, high = scipy.stats.t.interval(0.95, 2, cell.value, 0.002 / np.sqrt(3))
    assert cell.ends == pytest.approx((low, high))
    assert cell.rank[1] <= cell.rank[0] <= cell.rank[2]
    assert near.cells["CE + D<0>", "ResNet18"].ends is None


# ---------------------------------------------------------------------------------- the page itself


def test_the_page_is_well_formed_and_its_policy_names_its_scripts(html: str, folder: Path) -> None:
    page = Page(html)
    assert page.faults == []
    assert page.open == []
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert page.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    for table in page.tables:
        assert table.count("caption") == 1
        assert "no scope" not in table
    outside = {link for link in page.links if not link.startswith(("#", "data:"))}
    released = {link for link in outside if link.startswith("https://github.com/a/b/")}
    tables = {f"../../released/{name}.parquet" for name in TABLES}
    assert outside - released == {"../index.html", "models.csv", "https://arxiv.org/abs/1708.07747", *tables}
    assert all((folder / table).is_file() for table in tables)
    assert (folder / "models.csv").is_file()
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 2
    assert all(f"'sha256-{digest}'" in page.policy for digest in digests)
    assert "default-src 'none'" in page.policy


def test_names_are_escaped(html: str) -> None:
    assert "<b>title" not in html
    assert "A &lt;b&gt;title&lt;/b&gt;" in html
    assert "tag<i>" not in html
    assert "D<4>" not in html


def test_the_same_tables_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = made({name: make() for name, make in TABLES.items()}, tmp_path)
    for name in ("index.html", "models.csv"):
        assert (other / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", list(TABLES))
def test_each_part_is_there_only_with_its_data(name: str, tmp_path: Path) -> None:
    folder = made({name: TABLES[name]()}, tmp_path)
    page = Page((folder / "index.html").read_text())
    parts = {
        "zoo": {"models"},
        "imagenet_testbed": {"corruptions"},
        "robustbench": {"corruptions", "attacks"},
        "boards": {"detection"},
    }
    assert {"models", "corruptions", "attacks", "detection", "twice"} & set(page.ids) == parts[name]
    assert {"findings", "sources", "reading"} <= set(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert (folder / "models.csv").is_file() == (name == "zoo")


def test_a_release_without_any_part_still_has_its_source(tmp_path: Path) -> None:
    one = rows([{"model": "m", "dataset": "imagenet", "value": 0.5, "n": 100}], "one")
    text = (made({"one": one}, tmp_path) / "index.html").read_text()
    assert "1 numbers" in text
    assert 'id="findings"' not in text
    assert "No part of this page shows these numbers." in text


def test_every_file_of_the_template_decides_the_recipe() -> None:
    templates = Path(report.__file__).parents[2] / "report/templates"
    own = {f"../../report/templates/field/{file.name}" for file in (templates / "field").iterdir()}
    assert own <= set(field_page.ASSETS)


# ---------------------------------------------------------------------------------- the plan


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the params of the checkout."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("params")
def test_the_page_is_planned_with_its_releases() -> None:
    plan, _ = plans.load("field")
    page, index = (plan.artifacts[Ref("report", name)] for name in ("field/index", "index"))
    assert list(page.inputs) == [Ref("released", name) for name in plan.params.released]
    assert page.recipe["order"] == list(plan.params.released)
    about = page.recipe["releases"]["timm"]
    assert about["commit"] == releases.card("timm").commit
    assert about["licence"] == "Apache-2.0"
    assert index.recipe["field"] is True
    assert "results/report/field/index.html" in plan.targets()
    text = report.page(index, [], [])
    assert '<a href="field/index.html">Field</a>' in text
    assert "Nothing could be run" not in text


@pytest.mark.usefixtures("params")
def test_a_run_without_releases_has_no_such_page() -> None:
    plan, _ = plans.load("smoke")
    assert Ref("report", "field/index") not in plan.artifacts
    assert "field" not in plan.artifacts[Ref("report", "index")].recipe
