"""The report's OOD detection: its tables, marks, figures, searches and proof."""

import re
from dataclasses import replace

import polars as pl
import pytest

from makers import synthetic_outputs, synthetic_tables
from makers.report_chapters import clothes, frame, tables, unknown
from shiftbench.data import formats
from shiftbench.report import figures, html
from shiftbench.report.chapters import Chapter
from shiftbench.report.detector_panels import detector_panels
from shiftbench.report.ood import View
from shiftbench.report.searches import proof


def view(chapter: Chapter, key: str) -> View:
    return next(view for view in chapter.detection.views if view.key == key)


def test_detectors_stand_against_each_group_and_its_sets() -> None:
    chapter = unknown()
    found = view(chapter, "auroc")
    assert [(c.group, c.heading) for c in found.columns] == [
        ("near", "Unknown"),  # a group of one set has no mean of its own
        ("far", "mean"),
        ("far", "MNIST"),
        ("far", "<b>noise</b>"),
    ]
    who = ("known/convnet-erm", "plain", "vim")
    row = chapter.tables.metrics.filter(model=who[0], detector="vim", dataset="far", metric="auroc").row(0, named=True)
    entry = found.columns[1].entries[who]
    assert (entry.value, entry.low, entry.n) == (row["value"], row["ci_low"], row["n"])
    assert [who[2] for who in found.rows] == ["vim", "knn", "msp", "odin"]
    assert found.beside[who[:2]].value == pytest.approx(0.86)


def tables_of(chapter: Chapter) -> str:
    """HTML of the tables of OOD detection."""
    return str(html.environment("report").get_template("ood.html").module.tables(chapter))  # type: ignore[attr-defined]


def headings(table: str) -> list[str]:
    """The row of headings, in words."""
    row = re.findall(r"<tr>(.*?)</tr>", table.partition("</thead>")[0], re.DOTALL)[-1]
    cells = re.findall(r"<th .*?</th>", row, re.DOTALL)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", cell)).strip() for cell in cells]


def test_few_detectors_are_columns_with_both_metrics_in_a_cell() -> None:
    chapter = unknown("convnet-erm", "vit-erm")
    assert chapter.detection.models_are_rows
    first, *others = tables_of(chapter).split("<table")[1:]
    sets = ["Unknown", "mean", "MNIST", "&lt;b&gt;noise&lt;/b&gt;"]
    columns = [f"{name}: {detector}" for name in sets for detector in ("MSP", "ODIN", "KNN", "ViM")]
    assert headings(first) == ["model", "ID accuracy, %", *columns]
    body = first.partition("</thead>")[2]
    assert body.count("<tbody>") == 2
    assert body.count('<span class="metric">FPR95</span>') == body.count('class="interval"') / 2 > 0
    shown = view(chapter, "auroc")
    who, below = ("known/convnet-erm", "plain", "vim"), shown.below(shown.columns[2])
    assert below is not None
    for column, measure in ((shown.columns[2], shown.measure), (below, view(chapter, "fpr95").measure)):
        assert measure.text(column.entries[who].value) in body
    assert all("FPR95</span>" not in table for table in others)  # its own table is for sorting
    assert [one.name for one in chapter.detection.views][:2] == ["AUROC and FPR95", "FPR95 ↓"]


def test_many_detectors_are_rows_of_one_model_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"d{number}": 0.01 * number for number in range(1, 6)}
    monkeypatch.setattr(synthetic_tables, "DETECTORS", {"odin": 0.0, **many})
    models = ("convnet-erm", "vit-erm")
    maker = synthetic_tables.unknown(*models)
    chapter = Chapter("unknown", synthetic_outputs.unknown(), tables(maker), synthetic_outputs.ABOUT)
    assert not chapter.detection.models_are_rows
    page = tables_of(chapter)
    options = re.findall(r'<option value="([^"]*)">', page)
    keys = re.findall(r'data-column="([^"]*)"', page)
    assert keys == [f"{one.key}|{model}" for one in chapter.detection.views for model in models]
    assert options == [*(one.key for one in chapter.detection.views), *models]
    table = page.split("<table")[1]
    assert headings(table)[0] == "detector"
    assert table.count("<tbody>") == 6
    assert re.findall(r'data-name="(\w+)"', table) == ["d5", "d4", "d3", "d2", "d1", "odin"]


def test_the_best_detector_of_each_weights_is_marked_by_what_was_compared() -> None:
    chapter = unknown("convnet-erm", "vit-erm")
    far = view(chapter, "auroc").columns[1]
    assert far.best == {(f"known/{name}-erm", "plain", "vim") for name in ("convnet", "vit")}
    compared = chapter.tables.comparisons
    assert compared is not None
    worse = compared.with_columns(p_holm=pl.when(pl.col("detector") == "msp").then(0.049).otherwise(pl.col("p_holm")))
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
    assert [column.title for column in found.columns] == ["Known"]
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
    assert [(c.group, c.title) for c in view(chapter, "auroc").columns] == [("", "MNIST"), ("", "Animal shape")]
    assert not detector_panels(chapter)
    assert (chapter.ood, chapter.searches, chapter.proof) == ("MNIST, Animal shape", [], "")
    assert "OOD-sets-auroc-msp" in {column.key for column in chapter.columns}


def test_the_full_spectrum_is_a_table_of_its_own() -> None:
    maker = synthetic_tables.unknown()
    full = "known/test/full_spectrum"
    clean = [row for row in maker.rows if row["metric"] in ("auroc", "accuracy")]
    for row in clean:
        whole = {"shift": "full_spectrum", "severity": None, "reference": "known/test/identity/0"}
        place = {"reference": full} if row["detector"] else whole
        gone = {"value": row["value"] - 0.1, "draws": row["draws"] - 0.1, "n": row["n"] + 5000}
        maker.rows.append(row | place | gone)
    chapter = Chapter("unknown", synthetic_outputs.unknown(), tables(maker), synthetic_outputs.ABOUT)
    who = ("known/convnet-erm", "plain", "msp")
    spectrum, own = view(chapter, "auroc-full-spectrum"), view(chapter, "auroc")
    gap = own.columns[0].entries[who].value - spectrum.columns[0].entries[who].value  # type: ignore[operator]
    assert gap == pytest.approx(0.1)
    assert spectrum.beside[who[:2]].value == pytest.approx(0.76)
    assert spectrum.sides(8000) == "n = 7,000 + 1,000"
    assert "domain shifts" not in {column.group for column in chapter.columns}


def test_many_detectors_take_no_columns_of_the_leaderboard(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"d{number}": 0.01 * number for number in range(5)}
    monkeypatch.setattr(synthetic_tables, "DETECTORS", {"odin": 0.0, **many})
    chapter = Chapter(
        "unknown", synthetic_outputs.unknown(), tables(synthetic_tables.unknown()), synthetic_outputs.ABOUT
    )
    assert {column.group for column in chapter.columns} == {"clean"}
    assert len(view(chapter, "auroc").rows) == 6


def test_scores_are_drawn_from_their_table_by_detector_and_set() -> None:
    chapter = unknown()
    found = next(panel for panel in detector_panels(chapter) if panel.kind == "scores")
    assert [(ask.label, len(ask.choices)) for ask in found.asks] == [("detector", 4), ("OOD set", 3)]
    curves, bars = (found.figures[plot.id] for plot in found.plots)
    assert curves.keys() == bars.keys() == {f"{d}|{s}" for d in range(4) for s in range(3)}
    assert [name for _, name in found.asks[0].choices] == ["ViM", "KNN", "MSP", "ODIN"]  # the best first
    line = curves["0|1"]["series"][1]
    assert (line["x"][0], line["y"][0], line["x"][-1], line["y"][-1]) == (0, 0, 100, 100)
    assert curves["0|1"]["title"] == "ViM, MNIST"
    assert line["colour"] == figures.INK  # neither that of the ID side nor that of the OOD side
    assert [sum(side["y"]) for side in bars["0|1"]["series"]] == pytest.approx([100, 100], abs=1)


def test_scores_without_a_metric_of_detection_are_drawn_too() -> None:
    """Params may name detectors, and no metric that judges them."""
    chapter = unknown()
    metrics = chapter.tables.metrics.filter(pl.col("detector").is_null())
    bare = Chapter("unknown", chapter.params, replace(chapter.tables, metrics=metrics), chapter.about)
    found = next(panel for panel in detector_panels(bare) if panel.kind == "scores")
    assert sorted(name for _, name in found.asks[0].choices) == ["KNN", "MSP", "ODIN", "ViM"]


def test_a_curve_states_its_seed_and_its_operating_point() -> None:
    chapter = unknown()
    found = next(panel for panel in detector_panels(chapter) if panel.kind == "scores")
    place = {"detector": "vim", "dataset": "mnist", "method": "plain"}

    def shown(metric: str, model: str) -> str:
        rows = chapter.tables.metrics.filter(metric=metric, model=model, **place)
        return f"{100 * rows.row(0, named=True)['value']:.1f}%"

    curve = found.figures[found.plots[0].id]["0|1"]
    assert curve["text"]["lines"] == [
        f"● {shown('fpr95', 'known/convnet-erm-s0')} FPR at 95% TPR",
        f"AUROC, seed 0: {shown('auroc', 'known/convnet-erm-s0')}",
        f"mean of 3 seeds: {shown('auroc', 'known/convnet-erm')}",
    ]
    point = curve["series"][2]
    assert (f"{point['x'][0]}%", point["y"]) == (shown("fpr95", "known/convnet-erm-s0"), [95])
    assert "Scores of training seed 0;" in found.note


def test_near_is_drawn_against_far_and_risk_as_a_mean_over_seeds() -> None:
    found = {panel.kind: panel for panel in detector_panels(unknown())}
    near = found["groups"].figures[found["groups"].plots[0].id]["convnet-erm"]
    assert {one["name"] for one in near["series"]} == {"MSP", "ODIN", "KNN", "ViM"}
    assert near["x"]["title"] == "near AUROC, %"
    risk = found["risks"].figures[found["risks"].plots[0].id]["convnet-erm"]["series"]
    assert (risk[0]["name"], risk[0]["y"][-1]) == ("MSP", 14.33)  # 14, 15 and 14 in three seeds


def test_searches_of_seeds_are_one_line_and_say_what_had_an_effect() -> None:
    knn, odin = unknown().searches
    assert (knn.tried, knn.chosen) == ("k: 10, 50, 5000", "k = 50 (s0 s2), 10 (s1)")
    assert (knn.points, knn.effect, knn.unfit) == ((3, 1), ("k",), "k = 5000: <i>more</i> than 4,000 samples")
    assert (odin.chosen, odin.effect) == ("T = 1", ())


def test_the_proof_counts_what_must_be_disjoint() -> None:
    table = frame(formats.OVERLAPS, synthetic_tables.overlaps())
    assert "3 sets were compared" in proof(table)
    assert "of the 2 pairs" in proof(table)
    assert "none shares a sample" in proof(table)
    assert "2 share a sample" in proof(table.with_columns(shared_keys=pl.lit(1)))
    assert proof(None) == ""
