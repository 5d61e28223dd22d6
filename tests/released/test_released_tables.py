"""Printed tables come out of the numbers that their authors released, by our statistics, digit by digit.

A printed value may differ by half a unit of its last digit and by what the rounding of its terms adds at worst.
Errors of a release are tested as what they are.
"""

import csv
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from isolation import ROOT
from shiftbench.data import formats, releases
from shiftbench.statistics import seed_means
from shiftbench.statistics.claims import expressions, metric_rows
from shiftbench.statistics.rows import Row
from shiftbench.systems.rfc_bonsai.metrics import seed_deviation

HERE = Path(__file__).parent
SOURCES: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "sources.yaml").read_text())
SYSTEMS = ROOT / "src/shiftbench/systems"
Lines = list[dict[str, str]]
SHIFTS = ("ImageNetV2", "ImageNetSketch", "ImageNetR", "ObjectNet", "ImageNetA")
GROUPS = ("near", "far")
SCHEMA = {
    **dict.fromkeys((*formats.METRICS.key, "seed"), pl.String),
    "severity": pl.Float64,
    "step": pl.Int32,
    "seed": pl.Int32,
}


def table(name: str) -> Lines:
    (file,) = (*HERE.glob(f"{name}.csv"), *SYSTEMS.glob(f"*/sources/*/{name}.csv"))
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def rows(places: Iterable[tuple[Mapping[str, Any], float]]) -> metric_rows.MetricRows:
    """Return metric rows without replicates."""
    found = list(places)
    frame = pl.DataFrame([place for place, _ in found], schema=SCHEMA)
    return metric_rows.MetricRows(frame, np.array([[value] for _, value in found]))


def value(of: metric_rows.MetricRows, expression: Mapping[str, Any]) -> float:
    return float(metric_rows.single_value(expressions.evaluate(of, expression))[0])


def mean(values: Iterable[float]) -> float:
    """Return the mean over datasets, as a claim takes it."""
    of = rows(({"metric": "m", "dataset": str(at)}, one) for at, one in enumerate(values))
    return value(of, {"mean": {"metric": "m"}, "over": "dataset"})


def change(name: str, new: float, old: float) -> float:
    """Return the difference or ratio of two values, as a claim takes it."""
    of = rows(({"metric": "m", "dataset": at}, one) for at, one in (("new", new), ("old", old)))
    return value(of, {name: [{"metric": "m", "dataset": at} for at in ("new", "old")]})


def half_unit(printed: str) -> float:
    """Return half a unit of the last digit.

    Example:
        >>> half_unit("52.10"), half_unit("74")
        (0.005, 0.5)
    """
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def agrees(found: float, printed: str, terms: float = 0.0) -> bool:
    """Return whether a value rounds to a printed one, for terms that are off by at most `terms`."""
    return abs(found - float(printed)) <= half_unit(printed) + terms + 1e-9


def mean_agrees(terms: Iterable[str], printed: str) -> bool:
    """Return whether a printed mean is that of printed terms; theirs may all be off in one direction."""
    given = list(terms)
    return agrees(mean(map(float, given)), printed, mean(map(half_unit, given)))


# ------------------------------------------------------------------ the files


def test_every_table_says_where_its_numbers_come_from() -> None:
    assert {file.stem for file in HERE.glob("*.csv")} == set(SOURCES)
    for name, source in SOURCES.items():
        assert set(source) == {"repository", "commit", "path", "licence", "columns"}, name
        assert re.fullmatch(r"[0-9a-f]{40}", source["commit"]), name
        described = [column for names in source["columns"] for column in names.split(", ")]
        assert sorted(described) == sorted(table(name)[0]), name


def test_the_folder_stays_small() -> None:
    sizes = [file.stat().st_size for file in HERE.iterdir() if file.is_file()]
    assert sum(sizes) < 200_000


def test_a_digit_that_is_wrong_is_found() -> None:
    """The check is no formality: each single digit of PALM's averages, changed by five units, is refused."""
    for terms, printed in palm("auroc"):
        for place in range(len(printed)):
            if printed[place] != ".":
                digit = str((int(printed[place]) + 5) % 10)
                assert not mean_agrees(terms, printed[:place] + digit + printed[place + 1 :])


# ------------------------------------------------------------------ means of sets


def test_model_soups() -> None:
    """The card's averages are those of the file; the soups' order on the shifts is the paper's claim."""
    models: dict[str, dict[str, float]] = defaultdict(dict)
    for row in releases.rows("model_soups").iter_rows(named=True):
        models[row["model"]][row["column"]] = row["value"]
    single = {name: line for name, line in models.items() if name.startswith("model_")}
    assert len(single) == 72
    best = max(single, key=lambda name: single[name]["ImageNet2p"])
    assert best == "model_43"
    shown = {
        name: (round(100 * models[name]["ImageNet"], 2), round(100 * mean(models[name][s] for s in SHIFTS), 2))
        for name in (best, "uniform_soup", "greedy_soup")
    }
    assert shown == {best: (80.39, 47.97), "uniform_soup": (79.97, 51.58), "greedy_soup": (81.03, 50.86)}
    order = ("ImageNet", "ImageNetV2", "ImageNetR", "ImageNetSketch", "ObjectNet", "ImageNetA")
    fine_tuned = [line for name, line in single.items() if name != "model_0"]
    for values, start in (
        ([single["model_0"][s] for s in order], "a = 0: model_0"),
        ([mean(line[s] for line in fine_tuned) for s in order], "a = 1: mean of model_1 to model_71"),
    ):
        (printed,) = [str(r["value"]) for r in reported("successful_interpolation") if r["what"].startswith(start)]
        assert all(agrees(100 * v, p) for v, p in zip(values, printed.split(" / "), strict=True))
    ranks = rows(({"metric": name, "model": model}, line[name]) for model, line in single.items() for name in order[:2])
    tau = {"spearman": [{"metric": name, "model": list(single)} for name in order[:2]]}
    assert round(value(ranks, tau), 2) == 0.94  # accuracy on the line


def reported(system: str) -> list[dict[str, Any]]:
    card = yaml.safe_load((SYSTEMS / system / "card.yaml").read_text())
    found: list[dict[str, Any]] = card["reported"]
    return found


@pytest.mark.parametrize("metric", ["fpr95", "auroc", "aupr_in", "aupr_out"])
def test_near_and_far_of_ascood_are_means_of_their_sets(metric: str) -> None:
    """OpenOOD's evaluator averages before it rounds, and prints 36 means a metric."""
    checked = 0
    for rows_of_file in releases.rows("ascood").filter(metric=metric).partition_by("file"):
        sets: list[str] = []
        for row in rows_of_file.sort("row").iter_rows(named=True):
            if row["dataset"] in GROUPS:
                assert mean_agrees(sets, digits(row)), (row["file"], row["dataset"])
                checked, sets = checked + 1, []
            else:
                sets.append(digits(row))
        assert not sets
    assert checked == 36


def digits(row: Mapping[str, Any]) -> str:
    """Return the number of a printed cell without its spread."""
    return str(row["printed"]).partition(" ")[0]


def test_rows_of_the_leaderboard_are_those_of_ascood() -> None:
    """All but one spread: the accuracy of i-ODIN on CIFAR-100 has 0.09 in one release and 0.10 in the other."""
    place = ["reference", "dataset", "shift", "method", "detector", "model", "metric"]
    own, board = (releases.rows(name) for name in ("ascood", "openood"))
    both = board.join(own, on=place, suffix="_own", nulls_equal=True)
    numbers = [row[name].split(" ± ") for row in both.iter_rows(named=True) for name in ("printed", "printed_own")]
    assert sum(map(len, numbers[::2])) == 66  # near, far and accuracy of 12 methods, 10 with spreads
    differ = both.filter(pl.col("printed") != pl.col("printed_own")).select(
        "dataset", "metric", "printed", "printed_own"
    )
    assert differ.rows() == [("cifar100", "accuracy", "77.25 ± 0.10", "77.25 ± 0.09")]


def test_means_of_the_logs_are_those_of_their_sets() -> None:
    logs = releases.rows("openood_vlm").sort("file", "row").partition_by("file", "note")
    assert (len(logs), sum(len(log) for log in logs)) == (28, 4 * 104)
    for log in logs:
        for metric in ("fpr95", "auroc", "aupr_in", "aupr_out"):
            rows_of_log = log.filter(metric=metric)
            assert rows_of_log["shift"].to_list()[-1] is None
            *sets, printed = rows_of_log["printed"]
            assert mean_agrees(sets, printed), (log["file"][0], log["note"][0], metric)


def test_the_card_of_lapt_has_what_the_logs_print() -> None:
    means = releases.rows("openood_vlm").filter(pl.col("shift").is_null(), pl.col("metric").is_in(["fpr95", "auroc"]))
    logs = {
        (log["file"][0].removeprefix("scripts/ood/"), log["note"][0]): " / ".join(log["printed"])
        for log in means.partition_by("file", "note", maintain_order=True)
    }
    card = {str(line["value"]).partition(" (")[0] for line in reported("lapt")}
    assert logs["lapt/test.sh", "log 2 of the script"] in card  # the released checkpoint
    neglabel = {log for (script, _), log in logs.items() if script == "neglabel/official.sh"}
    assert neglabel & card >= {"24.97 / 94.56", "68.34 / 76.95"}


def palm(metric: str) -> list[tuple[list[str], str]]:
    """Return the terms and the printed average of each method."""
    methods: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in table("palm"):
        methods[line["training"], line["method"]].append(line[metric])
    return [(terms, printed) for *terms, printed in methods.values()]


@pytest.mark.parametrize("metric", ["fpr95", "auroc"])
def test_averages_of_palm(metric: str) -> None:
    assert len(palm(metric)) == 16
    assert all(mean_agrees(terms, printed) for terms, printed in palm(metric))


def test_one_average_of_palm_is_not_that_of_its_printed_cells() -> None:
    """43.364 is printed as 43.37: within the rounding of the five cells, not of the average alone."""
    off = [(terms, p) for m in ("fpr95", "auroc") for terms, p in palm(m) if not agrees(mean(map(float, terms)), p)]
    assert [(round(mean(map(float, terms)), 3), printed) for terms, printed in off] == [(43.364, "43.37")]


def test_averages_of_regmean_plus_plus() -> None:
    """Averages are means of tasks, and the documentation rounds them; eight tasks of ViT-B/16 are there alone."""
    runs: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for line in table("regmean_plus_plus"):
        runs[line["model"], line["tasks"]][line["task"]] = float(line["accuracy"])
    for (model, tasks), accuracies in runs.items():
        average = accuracies.pop("average")
        assert len(accuracies) == {"TA8": 8, "TALL20": 20}[tasks]
        assert mean(accuracies.values()) == pytest.approx(average, abs=1e-9), model
        runs[model, tasks]["average"] = average
    docs = {(x["model"], x["method"], x["task"]): x["accuracy"] for x in table("regmean_docs")}
    aliases = {"cars": "stanford-cars"}
    for (model, method, task), printed in docs.items():
        if method == "RegMean++" and model != "base-patch16":
            assert agrees(100 * runs[model, "TA8"][aliases.get(task, task)], printed), (model, task)
    for model in ("base-patch32", "base-patch16", "large-patch14"):
        for method in ("RegMean", "RegMean++"):
            *terms, printed = [docs[key] for key in docs if key[:2] == (model, method)]
            assert mean_agrees(terms, printed)
    (card,) = [r["value"] for r in reported("regmean_plus_plus") if r["what"].startswith("RegMean++, 20 tasks")]
    for (model, tasks), printed in zip([key for key in runs if key[1] == "TALL20"], card.split(" / "), strict=True):
        assert agrees(100 * runs[model, tasks]["average"], printed)


def test_one_file_of_regmean_plus_plus_is_another_models() -> None:
    """The eight tasks of ViT-B/16 are a copy of the file of ViT-B/32, parameters included; 87.2 is not in it."""
    eight = {model: [x for x in table("regmean_plus_plus") if (x["model"], x["tasks"]) == (model, "TA8")]
             for model in ("base-patch32", "base-patch16")}  # fmt: skip
    small, large = (json.dumps([{**line, "model": ""} for line in lines]) for lines in eight.values())
    assert hashlib.sha256(small.encode()).digest() == hashlib.sha256(large.encode()).digest()
    (average,) = [float(x["accuracy"]) for x in eight["base-patch16"] if x["task"] == "average"]
    docs = {(x["model"], x["method"], x["task"]): x["accuracy"] for x in table("regmean_docs")}
    assert not agrees(100 * average, docs["base-patch16", "RegMean++", "average"])
    twenty = {
        x["parameters"] for x in table("regmean_plus_plus") if (x["model"], x["tasks"]) == ("base-patch16", "TALL20")
    }
    assert twenty != {x["parameters"] for x in eight["base-patch16"]}


# ------------------------------------------------------------------ means of seeds


def seed_rows(task: str, model: str, method: str) -> list[Row]:
    """Return the accuracy of each seed over the OOD sets of a task."""
    seeds: dict[int, list[str]] = defaultdict(list)
    for x in table("llm_tta_seeds"):
        if (x["task"], x["model"], x["method"]) == (task, model, method) and x["set"] != "ID":
            seeds[int(x["seed"])].append(x["accuracy"])
    return [seed_row(seed, mean(map(float, given))) for seed, given in seeds.items()]


def seed_row(seed: int, accuracy: float) -> Row:
    return Row(
        "c", "t", f"d/m-t-s{seed}", "plain", None, "d", "test", None, None, None, None, None, "accuracy",
        accuracy, np.empty(0), 1, seed, "key",
    )  # fmt: skip


def test_main_table_of_llm_tta() -> None:
    """Means over sets, then over four seeds, and the deviation over these seeds, of the two methods with LLMs."""
    checked = 0
    for line in table("llm_tta_table"):
        given = seed_rows(line["task"], line["model"], line["method"])
        if given:
            (average,), (deviation,) = (seed_means.means(given), seed_deviation.compute(given, "accuracy"))
            assert agrees(average.value, line["mean"], 0.005), line
            assert agrees(deviation.value, line["deviation"], 0.01), line
            checked += 1
    assert checked == 18


def test_comments_of_llm_tta_are_older_than_its_table() -> None:
    """A comment of cell 68 has 4.16 points at 56.51 %, the cells 4.33 at 56.53 %."""
    seeds = [x for x in table("llm_tta_selective") if (x["method"], x["task"]) == ("ICR", "sentiment")]
    plain = next(
        x["mean"]
        for x in table("llm_tta_table")
        if (x["task"], x["model"], x["method"]) == ("sentiment", "BERT", "None")
    )
    gain = change("difference", mean(float(x["accuracy"]) for x in seeds), float(plain))
    assert agrees(gain, "4.33", 0.005)
    assert not agrees(gain, "4.16", 0.005)
    assert agrees(mean(float(x["augmented"]) for x in seeds), "56.53")


# ------------------------------------------------------------------ differences, reductions, shares


def test_reductions_of_m_hood() -> None:
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for x in table("m_hood"):
        for ood in (x["ood"], "near+far"):
            counts[x["sets"], x["trained_on"], ood, x["model"], x["setting"]] += int(x["detections"])
    for x in table("m_hood_reductions"):
        place = "older", x["trained_on"], x["ood"], x["model"]
        left = change("ratio", counts[*place, "finetuned_filter"], counts[*place, "vanilla"])
        assert agrees(100 * (1 - left), x["reduction"]), place
    newer = "v3", "bdd", "near+far", "yolo"
    assert agrees(100 * (1 - change("ratio", counts[*newer, "finetuned_filter"], counts[*newer, "vanilla"])), "91")


def test_totals_of_spatial_vlm() -> None:
    """Total is the mean of four tasks for SFT and GRPO-v2; no such mean gives the other five that are printed."""
    models: dict[str, list[str]] = defaultdict(list)
    for x in table("spatial_vlm_cvbench"):
        models[x["model"]].append(x["accuracy"])
    other = {name: p for name, (*tasks, p) in models.items() if not mean_agrees(tasks, p)}
    assert other == {
        "base": "52.16",
        "grpo_v1": "54.77",
        "llama4_scout": "53.76",
        "scene_graph": "75.66",
        "four_shot": "77.69",
    }


def test_differences_of_spatial_vlm() -> None:
    """The gap of distance is OOD less ID for the base, and ID less OOD for the others."""
    for x in table("spatial_vlm_scene_graph"):
        assert agrees(change("difference", float(x["scene_graph"]), float(x["baseline"])), x["improvement"], 0.01)
    base, *others = table("spatial_vlm_ood")
    for x in others:
        ratio = change("ratio", float(x["depth_ood"]), float(base["depth_ood"]))
        assert agrees(100 * (ratio - 1), x["depth_ood_relative"], 0.02)
        assert agrees(change("difference", float(x["distance_id"]), float(x["distance_ood"])), x["distance_gap"], 0.01)
    assert agrees(
        change("difference", float(base["distance_ood"]), float(base["distance_id"])), base["distance_gap"], 0.01
    )


def test_items_of_spatial_vlm() -> None:
    lines = table("spatial_vlm_items")
    assert all((x["truth"] == x["prediction"]) == (x["correct"] == "1") for x in lines)
    counts = [(int(x["correct"]), int(x["items"])) for x in lines]
    right, items = sum(c * n for c, n in counts), sum(n for _, n in counts)
    assert (right, items) == (185, 460)
    assert agrees(100 * change("ratio", right, items), "40.22")


def test_pose_examiner() -> None:
    """The card has the README's numbers."""
    card = {str(float(r["value"])) for r in reported("pose_examiner") if isinstance(r["value"], int | float)}
    assert {x[m] for x in table("pose_examiner") for m in ("mpjpe", "pa_mpjpe", "pve")} <= card


def test_rfc() -> None:
    """The card has both pictures, and RFC(cf) is over 15 points above random starts. The last row is CLOvE's."""
    card = {str(r["value"]) for r in reported("rfc_bonsai")}
    for x in table("rfc_colored_mnist"):
        for start in ("random", "erm", "rfc", "rfc_frozen", "inverse_rfc_frozen"):
            assert f"{x[start]} +- {x[f'{start}_spread']}" in card, (x["method"], start)
        if x["method"] != "erm":
            assert change("difference", float(x["rfc_frozen"]), float(x["random"])) > 15
    twice = [
        x["last_script"] for x in table("rfc_camelyon17") if (x["initialisation"], x["method"]) == ("rfc3", "vrex(cf)")
    ]
    assert ["vrex" in twice[0], "clove" in twice[1]] == [True, True]


def test_shape_bias_of_texture_vs_shape() -> None:
    """What the paper prints of four nets and of ten people, and the README of two nets of torchvision."""
    bias = {
        x["observer"]: 100 * change("ratio", int(x["shape"]), int(x["shape"]) + int(x["texture"]))
        for x in table("texture_vs_shape")
    }
    people = [x for x in table("texture_vs_shape") if x["observer"].startswith("subject")]
    shape, texture = (sum(int(x[cue]) for x in people) for cue in ("shape", "texture"))
    bias["people"] = 100 * change("ratio", shape, shape + texture)
    printed = {"alexnet": "42.9", "googlenet": "31.2", "vgg": "17.2", "resnet50_pytorch": "22.1", "people": "95.9",
               "alexnet_pytorch": "25.3", "vgg16_pytorch": "9.2"}  # fmt: skip
    assert all(agrees(bias[name], p) for name, p in printed.items())


# ------------------------------------------------------------------ the list of systems


def test_rates_of_xtrust() -> None:
    """Each printed rate is the length of its list over the items; several runs of a cell give several rates."""
    rows = releases.rows("xtrust_logs")
    counted = rows.filter(metric="abstention_rate").sort("row")
    printed = rows.filter(metric="printed_rate").sort("row")
    assert len(counted) == len(printed) == 113
    for one, other in zip(counted.iter_rows(named=True), printed.iter_rows(named=True), strict=True):
        assert float(other["printed"]) == pytest.approx(int(one["printed"]) / one["n"], abs=5e-4)
    arabic = counted.filter(model="GPT4", shift="language_ar", method="few_shot_refusals")
    assert sorted(arabic["value"].round(3)) == [0.228, 0.255]
    russian = counted.filter(model="GPT4", shift="language_ru", method="plain")
    assert sorted(russian["value"].round(3)) == [0.005, 0.015, 0.19]


def test_the_list_has_every_system_and_real_tests() -> None:
    lines = [x for x in (ROOT / "docs/released.md").read_text().splitlines() if x.startswith("| [")]
    found = [re.findall(r"systems/(\w+)/README", line) for line in lines]
    assert sorted(found) == sorted([card.parent.name] for card in SYSTEMS.glob("*/card.yaml"))
    named = {name for line in lines for name in re.findall(r"`(test_\w+)`", line.split("|")[6])}
    assert named <= {name for name in globals() if name.startswith("test_")}
    levels = {line.split("|")[3].strip() for line in lines}
    assert levels == {"sample", "model", "aggregate", "picture", "nothing found"}
