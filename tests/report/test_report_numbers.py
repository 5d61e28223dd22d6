"""The numbers of the report: columns, means, intervals, marks, curves, and the files for programs."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from makers import synthetic_outputs, synthetic_tables
from makers.report_chapters import clothes, column, tables
from shiftbench.data import formats
from shiftbench.provenance import recipe
from shiftbench.report import figures
from shiftbench.report.chapters import Chapter
from shiftbench.report.corruptions import corruptions
from shiftbench.report.leaderboard import IMAGENET_C, Column, Places, columns
from shiftbench.report.measures import DASH, Measure
from shiftbench.report.panels import _ece, _pooled, panels
from shiftbench.statistics import intervals, reliability
from shiftbench.workflow.stages import report

STYLE = figures.Style("a", "A", "#000000", "solid", "circle")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose report is made."""
    root = tmp_path_factory.mktemp("report")
    recipe.execute(synthetic_outputs.root(root), report.run)
    return root


# ------------------------------------------------------------------------------------- numbers


def test_a_mean_over_corruptions_and_its_interval_come_from_the_paired_replicates() -> None:
    chapter = clothes()
    who = ("fashion_mnist/vit-erm", "plain")
    entry = column(chapter, "corruptions-accuracy").entries[who]
    seeds = []
    for seed in range(3):
        one = {"model": f"{who[0]}-s{seed}", "metric": "accuracy"}
        shown, drawn = (
            frame.filter(**one).filter(pl.col("severity") > 0)
            for frame in (chapter.tables.metrics, chapter.tables.replicates)
        )
        values, draws = shown["value"].to_numpy(), np.array(drawn["draws"].to_list())
        assert draws.shape == (9, synthetic_tables.DRAWS)
        seeds.append([values.mean(), *draws.mean(axis=0)])
    ends = intervals.of_seed_mean(np.array(seeds), "share", intervals.Units(2000))
    assert (entry.low, entry.high) == pytest.approx(ends)
    of_seeds = (entry.seeds, entry.seed_low, entry.seed_high)
    assert of_seeds == pytest.approx((3, seeds[0][0], seeds[2][0]))
    expected = np.mean([0.864 - 0.09 * s * (0.6 + 0.3 * i) for i in range(3) for s in (1, 3, 5)])
    assert entry.value == pytest.approx(expected)
    assert entry.n == 2000


def test_a_single_cell_keeps_its_own_interval_and_difference() -> None:
    chapter = clothes()
    a, b = ("fashion_mnist/convnet-augmix", "plain"), ("fashion_mnist/convnet-erm", "plain")
    own = chapter.tables.metrics.filter(model=a[0], metric="nll", shift="identity").row(0, named=True)
    found = column(chapter, "clean-nll")
    assert found.entries[a].low == own["ci_low"]
    row = chapter.tables.differences.filter(model_a=a[0], model_b=b[0], metric="nll", shift="identity").row(
        0, named=True
    )
    difference = next(one for one in found.differences if (one.a, one.b) == (a, b))
    assert (difference.value, difference.p_value) == (row["difference"], row["p_value"])


def test_the_best_and_what_is_not_significantly_worse_are_marked() -> None:
    chapter = clothes()
    accuracy = column(chapter, "clean-accuracy")
    assert accuracy.best == {("fashion_mnist/convnet-erm", "plain")}
    assert not accuracy.tied  # 0.5 points, while the noise that is left in a difference is 0.2
    worst = column(chapter, "clean-ece")  # lower is better; differences of 0.001 under the same noise
    assert worst.best == accuracy.best
    assert ("fashion_mnist/convnet-augmix", "plain") in worst.tied
    equal = column(chapter, "corruptions-mce")
    assert {who[0] for who in equal.best} == {"fashion_mnist/convnet-augmix", "fashion_mnist/vit-augmix"}


def test_a_metric_whose_direction_is_not_known_has_no_best() -> None:
    data = tables(synthetic_tables.clothes())
    places = Places.of(data, "fashion_mnist", "test")
    found = columns(data, places, {**synthetic_outputs.ABOUT, "nll": {"unit": "nat"}})
    assert not next(column for column in found if column.key == "clean-nll").best


def test_a_mean_is_missing_where_a_position_was_not_evaluated() -> None:
    gap = (pl.col("model") == "fashion_mnist/vit-erm") & (pl.col("shift") == "fog") & (pl.col("severity") == 3)
    entries = column(clothes(~gap), "corruptions-accuracy").entries
    assert entries["fashion_mnist/vit-erm", "plain"].value is None
    assert entries["fashion_mnist/vit-augmix", "plain"].value is not None


def test_seeds_stand_below_their_mean_and_lead_no_column() -> None:
    chapter = clothes()
    row = next(row for row in chapter.rows if row.label == "convnet-erm")
    assert [label for _, label in row.seeds] == ["convnet-erm-s0", "convnet-erm-s1", "convnet-erm-s2"]
    assert all("-s" not in weights for column in chapter.columns for weights, _ in column.best | column.tied)


def test_files_for_programs_hold_the_tables_numbers(made: Path) -> None:
    folder = made / "results/report"
    metrics = pl.read_parquet(made / "results/tables/clothes/metrics.parquet")
    own = metrics.filter(model="fashion_mnist/convnet-erm", metric="accuracy", shift="identity")
    summary = json.loads((folder / "metrics.json").read_text())
    assert summary["clothes"]["convnet-erm"]["clean-accuracy"] == own["value"][0]
    curves = list(csv.DictReader((folder / "curves.csv").read_text().splitlines()))
    curve = [row for row in curves if row["model"] == "fashion_mnist/convnet-erm" and row["shift"] == "fog"]
    assert [float(row["severity"]) for row in curve] == [0, 1, 3, 5]
    assert float(curve[0]["accuracy"]) == own["value"][0]
    board = list(csv.DictReader((folder / "leaderboard.csv").read_text().splitlines()))
    undefined = next(row for row in board if row["benchmark"] == "reviews" and row["column"] == "clean-nll")
    assert (undefined["value"], undefined["n"]) == ("", "0")


def test_the_mean_over_imagenet_c_is_a_column_where_a_benchmark_has_other_corruptions_too() -> None:
    rows = clothes().tables
    names = sorted(IMAGENET_C)

    def with_shifts(shifts: list[str]) -> list[Column]:
        one, keys = pl.col("shift") == "fog", list(formats.METRICS.key)
        fog = rows.metrics.filter(one), rows.replicates.filter(one)
        others = [rows.metrics.filter(~one), rows.replicates.filter(~one)]
        metrics, replicates = (
            pl.concat([other, *(own.with_columns(shift=pl.lit(name)) for name in shifts)]).unique(keys)
            for other, own in zip(others, fog, strict=True)
        )
        data = replace(rows, metrics=metrics, replicates=replicates)
        return columns(data, Places.of(data, "fashion_mnist", "test"), synthetic_outputs.ABOUT)

    found = {c.key: c for c in with_shifts([*names, "occlusion"])}
    assert found["ImageNet-C-accuracy"].positions == 45
    assert found["corruptions-accuracy"].positions == 48
    assert "ImageNet-C-accuracy" not in {c.key for c in with_shifts(names[1:])}


def test_each_corruption_has_the_error_of_each_model_at_each_severity() -> None:
    chapter = clothes()
    table = corruptions(chapter)
    assert table is not None
    assert (table.measure.name, table.severities) == ("error", (0, 1, 3, 5))
    assert [line.shift for line in table.lines[::4]] == ["gaussian_noise", "fog", "contrast"]
    for line in table.lines:
        own = chapter.tables.metrics.filter(model=line.who[0], metric="accuracy", shift=line.shift).sort("severity")
        assert [line.entries[s].value for s in (1, 3, 5)] == pytest.approx(list(1 - own["value"]))
        assert line.mean == pytest.approx(1 - own["value"].mean())  # type: ignore[operator]
        low = line.entries[3].low
        assert low == pytest.approx(1 - own["ci_high"][1])


def test_who_gives_classes_without_probabilities_has_no_calibration_error() -> None:
    """Each of its predictions is certain, so that the error of calibration would be the error alone."""
    chapter = clothes()
    bins = chapter.tables.reliability
    assert bins is not None
    certain = pl.col("model").str.starts_with("fashion_mnist/vit-erm-")
    sure = pl.when(certain).then(pl.col("n") * formats.E9).otherwise(pl.col("confidence_e9"))
    data = replace(chapter.tables, reliability=bins.with_columns(confidence_e9=sure))
    found = Chapter("clothes", chapter.params, data, chapter.about)
    who, other = ("fashion_mnist/vit-erm", "plain"), ("fashion_mnist/vit-augmix", "plain")
    for key in ("clean-ece", "corruptions-ece"):
        assert column(found, key).entries[who].value is None
        assert column(found, key).entries[other].value is not None
    assert column(found, "clean-accuracy").entries[who].value is not None
    assert found.uncertain == ["ViT"]
    assert chapter.uncertain == []


def test_methods_that_weights_name_for_themselves_are_told_apart() -> None:
    """The benchmark has `plain` alone; what else goes around some weights is in their label, and so in its anchor."""
    chapter = clothes()
    assert chapter.params["methods"] == ["plain"]
    assert chapter._label("fashion_mnist/vit-erm", "plain") == "vit-erm"
    assert chapter._label("fashion_mnist/vit-erm", "tent") == "vit-erm + tent"


# ------------------------------------------------------------------------------------- figures


def test_each_entry_has_a_small_file_for_dvc_metrics(made: Path) -> None:
    folder = made / "results/report"
    whole = json.loads((folder / "metrics.json").read_text())
    files = {file.relative_to(folder / "metrics").as_posix() for file in folder.glob("metrics/*/*")}
    wanted = {f"{c}/{who.replace(' + ', '-+-')}.json" for c, rows in whole.items() for who in rows}
    assert files == wanted
    clothes = json.loads((folder / "metrics/clothes/convnet-erm.json").read_text())
    assert clothes.items() <= whole["clothes"]["convnet-erm"].items()
    assert list(clothes)[:2] == ["clean-accuracy", "corruptions-accuracy"]
    assert 2 < len(clothes) <= 6


def test_what_another_report_left_beside_the_page_goes(made: Path, tmp_path: Path) -> None:
    old = [tmp_path / f"results/report/{name}" for name in ("metrics/clothes/old.json", "audit.svg")]
    for file in old:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    recipe.execute(synthetic_outputs.root(tmp_path), report.run)
    assert not any(file.exists() for file in old)
    assert (tmp_path / "results/report/metrics/clothes/convnet-erm.json").is_file()


def test_curves_start_at_the_clean_set_and_follow_the_order_of_params() -> None:
    curves = next(panel for panel in panels(clothes()) if panel.kind == "curves")
    assert [plot.alt.rpartition(": ")[2] for plot in curves.plots] == ["Gaussian noise", "Fog", "Contrast"]
    figure = curves.figures[curves.plots[0].id]["accuracy"]
    line = next(one for one in figure["series"] if one["key"] == "convnet-erm")
    assert line["x"] == figure["x"]["ticks"] == [0, 1, 3, 5]
    assert line["y"][0] == pytest.approx(90.4)
    assert [len(ends) for ends in line["y_ends"]] == [4, 4]


def test_reliability_pools_seeds_and_shifts() -> None:
    panel = next(panel for panel in panels(clothes()) if panel.kind == "reliability")
    assert [value for value, _ in panel.asks[0].choices] == [
        "clean",
        *(f"all shifts at severity {s}" for s in (1, 3, 5)),
    ]
    figure = panel.figures[panel.plots[0].id]["all shifts at severity 3"]
    assert figure["series"][2]["n"][0] == 540  # 60 in bin 3, three seeds, three shifts
    assert figure["below"]["series"][0]["y"][3] == 540


@pytest.mark.parametrize("seed", range(20))
def test_a_reliability_diagram_draws_what_has_enough_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = np.flatnonzero(rng.random(15) < 0.7)
    n = rng.integers(1, 40, len(number))
    right = rng.binomial(n, 0.6)
    confidence = n * (number + rng.uniform(0.1, 0.9, len(number))) / 15
    evaluations = int(rng.integers(1, 5))
    columns = (tuple(values.tolist()) for values in (number, n, right, confidence))
    figure = figures.reliability(figures.Bins(*columns, evaluations, 0.0421), STYLE, 15)
    rule, line, points = figure["series"]
    enough = n >= figures.FEWEST
    assert points["n"] == n[enough].tolist()
    assert points["x"] == line["x"] == pytest.approx((100 * confidence / n)[enough].tolist(), abs=0.06)
    for low, high, count, correct in zip(*points["y_ends"], n[enough], right[enough], strict=True):
        exact = binomtest(round(correct), round(count)).proportion_ci(method="wilson")
        assert low <= 100 * exact.low + 0.06  # Agresti and Coull's interval contains Wilson's
        assert high >= 100 * exact.high - 0.06
    assert [one["kind"] for one in (rule, line, points)] == ["rule", "line", "points"]
    (strip,) = figure["below"]["series"]
    assert sum(strip["y"]) == n.sum()
    assert [at for at, count in enumerate(strip["y"]) if count] == number.tolist()
    left_out = n[~enough].sum()
    assert figure["text"]["lines"] == ["ECE 4.2%", *([f"{left_out} of {n.sum()} not drawn"] if left_out else [])]


def test_the_error_of_calibration_is_that_of_the_leaderboard() -> None:
    e9 = formats.E9
    rows = [("a-s0", 0, 10, 5, 3), ("a-s0", 1, 20, 10, 10), ("a-s1", 0, 40, 30, 20)]
    table = pl.DataFrame(
        [{"model": m, "bin": b, "n": n, "correct": r, "confidence_e9": c * e9} for m, b, n, r, c in rows]
    )
    assert _ece(table) == pytest.approx(((2 + 0) / 30 + 10 / 40) / 2)  # of each seed, then the mean


def test_bins_of_confidence_are_closed_on_the_right() -> None:
    e9 = 1_000_000_000
    records = pa.table({"correct": [True, False, True, None], "confidence_e9": [e9, e9 // 15, e9 // 15 + 1, 0]})
    artifact = {"benchmark": "c", "model": "w", "method": "plain", "dataset": "d", "split": "test", "shift": "identity"}
    rows = reliability.bins(records, **artifact).select(["bin", "n", "correct", "confidence_e9"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(0, 1, 0, e9 // 15), (1, 1, 1, e9 // 15 + 1), (14, 1, 1, e9)]


def test_numbers_are_printed_with_their_unit() -> None:
    share, nat = Measure("accuracy", "share"), Measure("nll", "nat")
    assert share.interval(0.5, 0.6) == "[50.0, 60.0]"
    assert share.text(-0.0001) == "0.0"
    assert share.text(0.05, sign=True) == "+5.0"
    assert nat.text(float("nan")) == DASH
    area = Measure.of(
        "area", {"area": {"unit": "that of the metric", "options": {"of": "accuracy"}}, **synthetic_outputs.ABOUT}
    )
    assert area.percent


def test_a_task_without_confidences_has_no_reliability() -> None:
    columns = ("model", "method", "split", "reference", "shift", "bin")
    table = pl.DataFrame(
        schema=dict.fromkeys(columns, pl.String)
        | dict.fromkeys(("severity", "step", "n", "correct", "confidence_e9"), pl.Int64)
    )
    chapter = SimpleNamespace(
        tables=SimpleNamespace(reliability=table),
        params={"split": "test"},
        families={"a-s0": "a"},
        places=SimpleNamespace(who=[("a", "plain")]),
    )
    assert _pooled(chapter) == {}


def test_a_mean_of_two_seeds_has_their_range_and_no_leader() -> None:
    maker = synthetic_tables.clothes()
    maker.rows = [row for row in maker.rows if row["seed"] < 2]
    data = tables(maker)
    board = columns(data, Places.of(data, "fashion_mnist", "test"), synthetic_outputs.ABOUT)
    found = next(one for one in board if one.key == "clean-accuracy")
    assert not found.best | found.tied
    entry = found.entries["fashion_mnist/convnet-erm", "plain"]
    assert (entry.low, entry.high) == (None, None)
    assert found.measure.spread(entry) == "90.0 to 90.4, two seeds"
    alone = found.entries["fashion_mnist/convnet-erm-s0", "plain"]
    assert found.measure.spread(alone).startswith("[")
