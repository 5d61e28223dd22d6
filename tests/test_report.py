"""The report: numbers against the tables, marks, escaping, bytes, and what is wrong with an input."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import synthetic
import synthetic_root
from shiftbench import bootstrap, formats, recipe, report
from shiftbench.errors import DataError
from shiftbench.metrics import _reliability as reliability
from shiftbench.page import gallery
from shiftbench.page.chapters import Chapter
from shiftbench.page.detection import View
from shiftbench.page.detector_panels import detector_panels
from shiftbench.page.leaderboard import Places, Tables, columns
from shiftbench.page.measures import DASH, Measure
from shiftbench.page.panels import panels
from shiftbench.page.searches import proof
from shiftbench.recipe import Cell
from shiftbench.refs import Ref

FILES = ("index.html", "metrics.json", "leaderboard.csv", "curves.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose report is made."""
    root = tmp_path_factory.mktemp("report")
    recipe.execute(synthetic_root.root(root), report.run)
    return root


@pytest.fixture(scope="module")
def html(made: Path) -> str:
    return (made / "results/report/index.html").read_text()


def tables(maker: synthetic.Maker, keep: Any = None) -> Tables:
    """Return a campaign's tables as frames; `keep` filters the metric rows."""
    rows = maker.finished()
    metrics = _frame(formats.METRICS, rows)
    return Tables(
        metrics if keep is None else metrics.filter(keep),
        _frame(formats.REPLICATES, rows),
        _frame(formats.DIFFERENCES, synthetic.differences(rows)),
        _frame(reliability.RELIABILITY, maker.bins()),
    )


def _frame(form: formats.Format, lines: Any) -> pl.DataFrame:
    table = pa.Table.from_pylist(
        [{name: line[name] for name in form.names} for line in lines], schema=form.arrow
    )
    return pl.DataFrame(pl.from_arrow(table))


def unknown(*models: str) -> Chapter:
    """A campaign with groups of OOD sets and everything that is told of its detectors."""
    maker = synthetic.unknown(*models)
    others = {name: _frame(synthetic.OTHERS[name], lines) for name, lines in maker.others.items()}
    data = replace(tables(maker), **others, overlaps=_frame(formats.OVERLAPS, synthetic.overlaps()))
    return Chapter("unknown", synthetic_root.unknown(), data, synthetic_root.ABOUT)


def clothes(keep: Any = None) -> Chapter:
    params = synthetic_root.params("fashion_mnist", shifts=["gaussian_noise", "fog", "contrast"])
    return Chapter("clothes", params, tables(synthetic.clothes(), keep), synthetic_root.ABOUT)


def column(chapter: Chapter, key: str) -> Any:
    return next(column for column in chapter.columns if column.key == key)


# ------------------------------------------------------------------------------------- numbers


def test_a_mean_over_corruptions_and_its_interval_come_from_the_paired_replicates() -> None:
    chapter = clothes()
    who = ("fashion_mnist/vit-erm", "plain")
    rows = chapter.tables.replicates.filter(weights=who[0], metric="accuracy").filter(
        pl.col("severity") > 0
    )
    draws = np.array(rows["draws"].to_list())
    entry = column(chapter, "corruptions-accuracy").entries[who]
    assert draws.shape == (9, synthetic.DRAWS)
    assert (entry.low, entry.high) == pytest.approx(
        [float(end) for end in bootstrap.interval(draws.mean(axis=0))]
    )
    expected = np.mean([0.862 - 0.09 * s * (0.6 + 0.3 * i) for i in range(3) for s in (1, 3, 5)])
    assert entry.value == pytest.approx(expected)
    assert entry.n == 2000


def test_a_single_cell_keeps_its_own_interval_and_difference() -> None:
    chapter = clothes()
    a, b = ("fashion_mnist/convnet-augmix", "plain"), ("fashion_mnist/convnet-erm", "plain")
    own = chapter.tables.metrics.filter(weights=a[0], metric="nll", shift="identity").row(
        0, named=True
    )
    found = column(chapter, "clean-nll")
    assert found.entries[a].low == own["ci_low"]
    row = chapter.tables.differences.filter(
        weights_a=a[0], weights_b=b[0], metric="nll", shift="identity"
    ).row(0, named=True)
    difference = next(one for one in found.differences if (one.a, one.b) == (a, b))
    assert (difference.value, difference.p_value) == (row["difference"], row["p_value"])


def test_the_best_and_what_is_not_significantly_worse_are_marked() -> None:
    chapter = clothes()
    accuracy = column(chapter, "clean-accuracy")
    assert accuracy.best == {("fashion_mnist/convnet-erm", "plain")}
    assert not accuracy.tied  # 0.5 points, while the noise that is left in a difference is 0.2
    worst = column(
        chapter, "clean-ece"
    )  # lower is better; differences of 0.001 under the same noise
    assert worst.best == accuracy.best
    assert ("fashion_mnist/convnet-augmix", "plain") in worst.tied
    equal = column(chapter, "corruptions-mce")
    assert {who[0] for who in equal.best} == {
        "fashion_mnist/convnet-augmix",
        "fashion_mnist/vit-augmix",
    }


def test_a_metric_whose_direction_is_not_known_has_no_best() -> None:
    data = tables(synthetic.clothes())
    places = Places.of(data, "fashion_mnist", "test")
    found = columns(data, places, {**synthetic_root.ABOUT, "nll": {"unit": "nat"}})
    assert not next(column for column in found if column.key == "clean-nll").best


def test_a_mean_is_missing_where_a_position_was_not_evaluated() -> None:
    gap = (
        (pl.col("weights") == "fashion_mnist/vit-erm")
        & (pl.col("shift") == "fog")
        & (pl.col("severity") == 3)
    )
    entries = column(clothes(~gap), "corruptions-accuracy").entries
    assert entries["fashion_mnist/vit-erm", "plain"].value is None
    assert entries["fashion_mnist/vit-augmix", "plain"].value is not None


def test_seeds_stand_below_their_mean_and_lead_no_column() -> None:
    chapter = clothes()
    row = next(row for row in chapter.rows if row.label == "convnet-erm")
    assert [label for _, label in row.seeds] == ["convnet-erm-s0", "convnet-erm-s1"]
    assert all(
        "-s" not in weights
        for column in chapter.columns
        for weights, _ in column.best | column.tied
    )


def test_files_for_programs_hold_the_tables_numbers(made: Path) -> None:
    folder = made / "results/report"
    metrics = pl.read_parquet(made / "results/tables/clothes/metrics.parquet")
    own = metrics.filter(weights="fashion_mnist/convnet-erm", metric="accuracy", shift="identity")
    summary = json.loads((folder / "metrics.json").read_text())
    assert summary["clothes"]["convnet-erm"]["clean-accuracy"] == own["value"][0]
    curves = list(csv.DictReader((folder / "curves.csv").read_text().splitlines()))
    curve = [
        row
        for row in curves
        if row["weights"] == "fashion_mnist/convnet-erm" and row["shift"] == "fog"
    ]
    assert [float(row["severity"]) for row in curve] == [0, 1, 3, 5]
    assert float(curve[0]["accuracy"]) == own["value"][0]
    board = list(csv.DictReader((folder / "leaderboard.csv").read_text().splitlines()))
    undefined = next(
        row for row in board if row["campaign"] == "reviews" and row["column"] == "clean-nll"
    )
    assert (undefined["value"], undefined["n"]) == ("", "0")


# ------------------------------------------------------------------------------------- figures


def test_curves_start_at_the_clean_set_and_follow_the_order_of_params() -> None:
    curves = next(panel for panel in panels(clothes()) if panel.kind == "curves")
    assert [plot.alt.rpartition(": ")[2] for plot in curves.plots] == [
        "gaussian noise",
        "fog",
        "contrast",
    ]
    figure = curves.figures[curves.plots[0].id]["accuracy"]
    line = next(
        trace
        for trace in figure["data"]
        if trace["name"] == "convnet-erm" and "markers" in trace["mode"]
    )
    assert line["x"] == [0, 1, 3, 5]
    assert line["y"][0] == pytest.approx(90.2)


def test_reliability_pools_seeds_and_shifts() -> None:
    panel = next(panel for panel in panels(clothes()) if panel.kind == "reliability")
    assert [value for value, _ in panel.asks[0].choices] == [
        "clean",
        *(f"all shifts at severity {s}" for s in (1, 3, 5)),
    ]
    bars = panel.figures[panel.plots[0].id]["all shifts at severity 3"]["data"][1]
    assert bars["text"][0].startswith("360 samples")  # 60 in bin 3, two seeds, three shifts


def test_bins_of_confidence_are_closed_on_the_right() -> None:
    e9 = 1_000_000_000
    records = pa.table(
        {"correct": [True, False, True, None], "confidence_e9": [e9, e9 // 15, e9 // 15 + 1, 0]}
    )
    cell = {
        "campaign": "c",
        "weights": "w",
        "method": "plain",
        "dataset": "d",
        "split": "test",
        "shift": "identity",
    }
    rows = (
        reliability.bins(records, **cell)
        .select(["bin", "n", "correct", "confidence_e9"])
        .to_pylist()
    )
    assert [tuple(row.values()) for row in rows] == [
        (0, 1, 0, e9 // 15),
        (1, 1, 1, e9 // 15 + 1),
        (14, 1, 1, e9),
    ]


def test_numbers_are_printed_with_their_unit() -> None:
    share, nat = Measure("accuracy", "share"), Measure("nll", "nat")
    assert share.interval(0.5, 0.6) == "[50.0, 60.0]"
    assert share.text(-0.0001) == "0.0"
    assert share.text(0.05, sign=True) == "+5.0"
    assert nat.text(float("nan")) == DASH
    area = Measure.of(
        "area",
        {
            "area": {"unit": "that of the metric", "options": {"of": "accuracy"}},
            **synthetic_root.ABOUT,
        },
    )
    assert area.percent


# ------------------------------------------------------------------------------- OOD detection


def view(chapter: Chapter, key: str) -> View:
    return next(view for view in chapter.detection.views if view.key == key)


def test_detectors_stand_against_each_group_and_its_sets() -> None:
    chapter = unknown()
    found = view(chapter, "auroc")
    assert [(c.group, c.title) for c in found.columns] == [
        ("near", "unknown"),  # a group of one set has no mean of its own
        ("far", "mean"),
        ("far", "mnist"),
        ("far", "<b>noise</b>"),
    ]
    who = ("known/convnet-erm", "plain", "vim")
    row = chapter.tables.metrics.filter(
        weights=who[0], detector="vim", dataset="far", metric="auroc"
    ).row(0, named=True)
    entry = found.columns[1].entries[who]
    assert (entry.value, entry.low, entry.n) == (row["value"], row["ci_low"], row["n"])
    assert [who[2] for who in found.rows] == ["vim", "knn", "msp", "odin"]
    assert found.beside[who[:2]].value == pytest.approx(0.86)


def test_the_best_detector_of_each_weights_is_marked_by_what_was_compared() -> None:
    chapter = unknown("convnet-erm", "vit-erm")
    far = view(chapter, "auroc").columns[1]
    assert far.best == {(f"known/{name}-erm", "plain", "vim") for name in ("convnet", "vit")}
    compared = chapter.tables.comparisons
    assert compared is not None
    worse = compared.with_columns(
        p_holm=pl.when(pl.col("detector") == "msp").then(0.049).otherwise(pl.col("p_holm"))
    )
    data = replace(chapter.tables, comparisons=worse)
    far = view(Chapter("unknown", chapter.params, data, chapter.about), "auroc").columns[1]
    assert {who[2] for who in far.tied} == {"knn"}
    few = worse.with_columns(p_value=pl.lit(2 / 41), p_holm=pl.lit(6 / 41))  # worse in all 40 draws
    data = replace(chapter.tables, comparisons=few)
    far = view(Chapter("unknown", chapter.params, data, chapter.about), "auroc").columns[1]
    assert not far.tied
    data = replace(chapter.tables, comparisons=None)
    far = view(Chapter("unknown", chapter.params, data, chapter.about), "auroc").columns[1]
    assert not far.best | far.tied


def test_a_cell_without_a_value_says_how_many_samples_either_side_has() -> None:
    found = view(unknown(), "auroc")
    who = ("known/convnet-erm", "plain", "odin")
    entry = found.columns[2].entries[who]
    assert (entry.value, found.sides(entry.n, who)) == (None, "n = 2,000 + 0")
    assert who not in found.columns[2].best | found.columns[2].tied
    assert found.rows[-1] == who


def test_failure_detection_is_a_table_of_the_clean_set() -> None:
    found = view(unknown(), "aurc-failure-detection")
    assert [column.title for column in found.columns] == ["known"]
    assert found.sides(2000) == "n = 2,000"
    assert [who[2] for who in found.rows] == ["vim", "knn", "msp", "odin"]  # lower is better


def test_sets_without_groups_and_tables_without_comparisons_still_make_a_table() -> None:
    chapter = clothes()
    chapter = Chapter(
        "clothes",
        {**chapter.params, "ood": ["mnist", "animal_shape"], "detectors": ["msp", "energy"]},
        chapter.tables,
        chapter.about,
    )
    assert [(c.group, c.title) for c in view(chapter, "auroc").columns] == [
        ("", "mnist"),
        ("", "animal_shape"),
    ]
    assert not detector_panels(chapter)
    assert (chapter.ood, chapter.searches, chapter.proof) == ("mnist, animal_shape", [], "")
    assert "OOD-sets-auroc-msp" in {column.key for column in chapter.columns}


def test_the_full_spectrum_is_a_table_of_its_own() -> None:
    maker = synthetic.unknown()
    full = "known/test/full_spectrum"
    clean = [row for row in maker.rows if row["metric"] in ("auroc", "accuracy")]
    for row in clean:
        whole = {"shift": "full_spectrum", "severity": None, "reference": "known/test/identity/0"}
        place = {"reference": full} if row["detector"] else whole
        gone = {"value": row["value"] - 0.1, "draws": row["draws"] - 0.1, "n": row["n"] + 5000}
        maker.rows.append(row | place | gone)
    chapter = Chapter("unknown", synthetic_root.unknown(), tables(maker), synthetic_root.ABOUT)
    who = ("known/convnet-erm", "plain", "msp")
    spectrum, own = view(chapter, "auroc-full-spectrum"), view(chapter, "auroc")
    gap = own.columns[0].entries[who].value - spectrum.columns[0].entries[who].value  # type: ignore[operator]
    assert gap == pytest.approx(0.1)
    assert spectrum.beside[who[:2]].value == pytest.approx(0.76)
    assert spectrum.sides(8000) == "n = 7,000 + 1,000"
    assert "domain shifts" not in {column.group for column in chapter.columns}


def test_many_detectors_take_no_columns_of_the_leaderboard(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"d{number}": 0.01 * number for number in range(5)}
    monkeypatch.setattr(synthetic, "DETECTORS", {"odin": 0.0, **many})
    chapter = Chapter(
        "unknown", synthetic_root.unknown(), tables(synthetic.unknown()), synthetic_root.ABOUT
    )
    assert {column.group for column in chapter.columns} == {"clean"}
    assert len(view(chapter, "auroc").rows) == 6


def test_scores_are_drawn_from_their_table_by_detector_and_set() -> None:
    chapter = unknown()
    found = next(panel for panel in detector_panels(chapter) if panel.kind == "scores")
    assert [(ask.label, len(ask.choices)) for ask in found.asks] == [
        ("detector", 4),
        ("OOD set", 3),
    ]
    curves, bars = (found.figures[plot.id] for plot in found.plots)
    assert curves.keys() == bars.keys() == {"", *(f"{d}|{s}" for d in range(4) for s in range(3))}
    line = curves["3|1"]["traces"][1]
    assert (line["x"][0], line["y"][0], line["x"][-1], line["y"][-1]) == (0, 0, 100, 100)
    assert curves["3|1"]["title"].startswith("ViM, mnist: AUROC 9")
    assert [sum(trace["y"]) for trace in bars["3|1"]["traces"]] == pytest.approx([100, 100], abs=1)


def test_near_is_drawn_against_far_and_risk_as_a_mean_over_seeds() -> None:
    found = {panel.kind: panel for panel in detector_panels(unknown())}
    near = found["groups"].figures[found["groups"].plots[0].id]["convnet-erm"]
    assert {trace["name"] for trace in near["data"]} == {"MSP", "ODIN", "KNN", "ViM"}
    assert near["layout"]["xaxis"]["title"]["text"] == "near AUROC, %"
    risk = found["risks"].figures[found["risks"].plots[0].id]["convnet-erm"]["data"]
    assert (risk[0]["name"], risk[0]["y"][-1]) == ("MSP", 14.5)  # 14 and 15 in the two seeds


def test_searches_of_seeds_are_one_line_and_say_what_had_an_effect() -> None:
    knn, odin = unknown().searches
    assert (knn.tried, knn.chosen) == ("k: 10, 50, 5000", "k = 50 (s0), 10 (s1)")
    assert (knn.points, knn.effect, knn.unfit) == (
        (3, 1),
        ("k",),
        "k = 5000: <i>more</i> than 4,000 samples",
    )
    assert (odin.chosen, odin.effect) == ("T = 1", ())


def test_the_proof_counts_what_must_be_disjoint() -> None:
    table = _frame(formats.OVERLAPS, synthetic.overlaps())
    assert "3 sets were compared" in proof(table)
    assert "of the 2 pairs" in proof(table)
    assert "none shares a sample" in proof(table)
    assert "2 share a sample" in proof(table.with_columns(shared_keys=pl.lit(1)))
    assert proof(None) == ""


# ---------------------------------------------------------------------------------- the page


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.policy = ""

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.links += [
            own[name] or "" for name in ("src", "href", "action", "data", "poster") if name in own
        ]
        if own.get("http-equiv") == "Content-Security-Policy":
            self.policy = own["content"] or ""


def test_nothing_on_the_page_points_outside_and_its_policy_names_its_scripts(
    html: str, made: Path
) -> None:
    page = _Links()
    page.feed(html)
    outside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert all((made / "results/report" / link).is_file() for link in outside)
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    assert len(digests) == 2
    assert all(f"'sha256-{digest}'" in page.policy for digest in digests)
    assert "default-src 'none'" in page.policy


def test_names_are_escaped(html: str) -> None:
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") >= 4  # title, citation, class, text
    assert "<b>noise" not in html
    assert "&lt;b&gt;noise&lt;/b&gt;" in html
    assert "<i>" not in html.partition('<script type="application/json"')[0]
    assert "&lt;i&gt;more&lt;/i&gt; than 4,000" in html
    assert synthetic_root.NASTY not in html


def test_the_page_says_what_was_run_and_what_was_left_out(html: str) -> None:
    for text in (
        "npm pack animal-shape",
        "Xiao et al. 2017",
        "gaussian noise, fog, contrast",
        "40 bootstrap draws",
    ):
        assert text in html
    assert f'<span class="value">{DASH}</span>' in html
    assert '<span class="n">n = 2,000 + 0</span>' in html
    assert (
        "40 bootstrap draws are too few for this correction among 4 detectors (120 would do)"
        in html
    )
    assert "none shares a sample by key or by content" in html
    assert '<span class="n">n = 0</span>' in html


def test_the_same_tables_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    recipe.execute(synthetic_root.root(tmp_path), report.run)
    for name in FILES:
        own = (tmp_path / "results/report" / name).read_bytes()
        assert own == (made / "results/report" / name).read_bytes()
        assert str(tmp_path).encode() not in own


def test_a_page_without_campaigns_says_so() -> None:
    cell = Cell.of(Ref("report", "index"), {"campaigns": {}, "datasets": {}, "left_out": []}, ())
    assert "Nothing could be run" in report.page(cell, [], [])


def test_every_file_of_the_template_decides_the_recipe() -> None:
    folder = Path(report.__file__).parent
    assert {
        str(file.relative_to(folder)) for file in (folder / "templates/report").iterdir()
    } == set(report.ASSETS)


# ------------------------------------------------------------------------------------ gallery


def test_the_gallery_puts_the_clean_partner_first(made: Path) -> None:
    refs = [
        Ref("previews", f"fashion_mnist/test/{name}") for name in ("identity/0", "fog/1", "fog/5")
    ]
    boards = gallery.boards({ref: made / ref.path for ref in refs})
    assert [board.shift for board in boards] == ["identity", "fog"]
    assert boards[1].severities == (0, 1, 5)
    assert (boards[1].strips[0].label, boards[1].strips[0].pictures[0].width) == ("T-shirt", 28)


def test_skipped_samples_are_shown_with_their_reason(tmp_path: Path) -> None:
    ref = Ref("previews", "photos/test/identity/0")
    content = {"classes": ["a"], "samples": [], "skipped": ["photos/a/7: <truncated>"]}
    (tmp_path / "0.json").write_text(json.dumps(content))
    boards = gallery.boards({ref: tmp_path / "0.json"})
    about = {"photos": {"licence": "mine", "citation": "me"}}
    recipe_ = {"campaigns": {}, "datasets": about}
    html = report.page(Cell.of(Ref("report", "index"), recipe_, ()), [], boards)
    assert "test: 1 sample skipped" in html
    assert "photos/a/7: &lt;truncated&gt;" in html


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"broken\.json is not a preview"),
        ('{"samples": [{"label": 1}]}', r"broken\.json is not a preview .*'key'"),
        ('{"samples": [{"key": "a", "png": "!!!!"}]}', r"the picture of 'a' is not base64 of a PNG"),
        (f'{{"samples": [{{"key": "a", "png": "{"R0lG" * 12}"}}]}}', r"the picture of 'a' is not a PNG"),
    ],
)  # fmt: skip
def test_a_broken_preview_names_its_file(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        gallery.boards({Ref("previews", "d/test/identity/0"): file})
