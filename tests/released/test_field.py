"""Kept tables of others: each number is the cell it names, and a model's standing among them is what SciPy says."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.stats

from isolation import ROOT
from makers.command_line import run
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.data import formats, releases, schema, source_files
from shiftbench.statistics import effective_robustness, printed_table_checks, printed_tables, standing
from shiftbench.statistics.effective_robustness import Pairs

SHIFTED = ("imagenet_v2", "imagenet_sketch", "imagenet_a", "imagenet_r")


@pytest.fixture(scope="module")
def timm() -> pl.DataFrame:
    return releases.rows("timm")


# ------------------------------------------------------------------ the rows


def test_a_thousand_models_are_there(timm: pl.DataFrame) -> None:
    assert timm["model"].str.split("@").list.first().n_unique() >= 1266
    assert timm.filter(dataset="imagenet", metric="accuracy").height == 1556
    corrupted = releases.rows("imagenet_testbed").filter(pl.col("shift") != "identity")
    assert corrupted.filter(shift="fog", severity=3).height == 200
    assert corrupted["shift"].n_unique() == 19


def test_released_tables_raise_no_alarm(tmp_path: Path) -> None:
    for file, content in releases.kept("timm").items():
        path = tmp_path / Path(file).name
        path.write_bytes(content)
        assert printed_table_checks.findings(printed_tables.read(path)) == []


def test_the_kind_of_pretraining_is_read_from_every_tag(timm: pl.DataFrame) -> None:
    kinds = dict(timm.select("model", "pretraining").unique().iter_rows())
    assert set(kinds.values()) == set(releases.card("timm").pretraining)
    others = re.compile(r"in2[12]k|in12k|laion|openai|clip|webli|ig1b|jft|swag|yfcc|seer|mae|mim|ssld")
    assert not [model for model, kind in kinds.items() if kind == "ImageNet-1k" and others.search(model.split(".")[1])]
    assert kinds["vit_base_patch16_clip_224.laion2b_ft_in12k_in1k@224"] == "image-text pairs"
    assert kinds["resnet50.fb_swsl_ig1b_ft_in1k@224"] == "weak or pseudo labels"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model,img_size,param_count,top1\na.x,1,2,50\n", "no column that fits 'top5'"),
        ("model,img_size,param_count,top1,top5\na.x,1,2,50,60\na.x,1,2,40,50\n", "row 3, .* row 2, .* same number"),
        ("model,img_size,param_count,top1,top5\na.x,1,2,500,60\n", "row 2, column top1 is '500'; expected a percent"),
        ("name,img_size,param_count,top1,top5\na.x,1,2,50,60\n", "no column 'model'; known: .*name"),
        ("model,img_size,param_count,top1,top5\na.x,1,2,50\n", "row 2 has 4 cells, the header 5"),
    ],
)
def test_a_file_that_does_not_fit_its_card_is_refused(content: str, message: str) -> None:
    files = {path: content.encode() for path in releases.card("timm").files}
    with pytest.raises(DataError, match=message):
        releases.numbers("timm", files)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="timm has no file 'results/results-imagenet.csv'"):
        releases.numbers("timm", {})


def test_other_bytes_than_the_cards_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_files.load_source("timm")
    other = {path: file.model_copy(update={"sha256": "0" * 64}) for path, file in source.files.items()}
    monkeypatch.setattr(source_files, "load_source", lambda _: source.model_copy(update={"files": other}))
    with pytest.raises(DataError, match="expected 0000.*restore it and its card from git"):
        releases.kept.__wrapped__("timm")


def test_an_unknown_release_is_named() -> None:
    with pytest.raises(ParamsError, match="'tim'; did you mean timm"):
        releases.rows("tim")


# ------------------------------------------------------------------ lines and ranks


@pytest.mark.parametrize("dataset", SHIFTED)
def test_line_and_tau_are_those_of_scipy(timm: pl.DataFrame, dataset: str) -> None:
    pairs = Pairs.of(timm, "imagenet", dataset, resamples=20)
    line = pairs.line()
    for column in range(3):  # the data, and two resamples in which a model occurs as often as its weight says
        chosen = np.repeat(np.arange(len(pairs.models)), pairs.weights[:, column].astype(int))
        x, y = (side[chosen] for side in pairs.logits())
        expected = scipy.stats.linregress(x, y)
        assert line.slope[column] == pytest.approx(expected.slope)
        assert line.intercept[column] == pytest.approx(expected.intercept)
        tau = scipy.stats.kendalltau(pairs.clean[chosen], pairs.shifted[chosen]).statistic
        assert pairs.kendall()[column] == pytest.approx(tau)


def test_the_interval_of_a_residual_holds_the_truth_in_95_of_100_drawn_fields() -> None:
    """Over drawn fields of models on a known line, with a model that is 3 points above it; noise of its images."""
    held = []
    for seed in range(200):
        draw = np.random.default_rng(seed)
        clean = draw.uniform(0.6, 0.9, 60)
        truth = 1 / (1 + np.exp(-(1.2 * np.log(clean / (1 - clean)) - 0.7 + draw.normal(0, 0.08, 60))))
        rows = field({f"a{at}": (c, t) for at, (c, t) in enumerate(zip(clean, truth, strict=True))})
        at = 0.8
        above = 1 / (1 + np.exp(-(1.2 * np.log(at / (1 - at)) - 0.7))) + 0.03
        mine = {"clean": draw.binomial(10_000, at) / 10_000, "shifted": draw.binomial(2_000, above) / 2_000}
        found = standing.of(rows, mine, "clean", "shifted", seed)
        held.append(found.above[1] <= 0.03 <= found.above[2])
    assert 0.91 <= np.mean(held) <= 0.99


def field(models: dict[str, tuple[float, float]]) -> pl.DataFrame:
    """The rows of a drawn release: the accuracies of each model on clean and shifted data."""
    place = {"metric": "accuracy", "split": "test", "shift": "identity", "severity": 0.0}
    rows = [
        {"model": model, "dataset": name, "value": value, "n": n, **place}
        for model, values in models.items()
        for name, value, n in zip(("clean", "shifted"), values, (10_000, 2_000), strict=True)
    ]
    return pl.DataFrame(rows)


def test_few_architectures_have_no_line() -> None:
    with pytest.raises(DataError, match="9 architectures .* expected 10"):
        Pairs.of(field({f"a{at}": (0.8, 0.5) for at in range(9)}), "clean", "shifted")


def test_resamples_are_of_architectures() -> None:
    models = {f"a{at}.tag{tag}@{size}": (0.5 + 0.01 * at, 0.4) for at in range(12) for tag in "xy" for size in (1, 2)}
    pairs = Pairs.of(field(models), "clean", "shifted", resamples=50)
    by_architecture = {}
    for model, weights in zip(pairs.models, pairs.weights, strict=True):
        assert (by_architecture.setdefault(effective_robustness.architecture(model), weights) == weights).all()


def test_docs_have_the_numbers_of_the_tables(timm: pl.DataFrame) -> None:
    text = " ".join((ROOT / "docs/released.md").read_text().replace("\u2212", "-").split())
    kind_of = dict(timm.select("model", "pretraining").iter_rows())

    def printed(dataset: str, kind: str) -> str:
        pairs = Pairs.of(timm, "imagenet", dataset)
        kinds = np.array([kind_of[model] for model in pairs.models])
        line = pairs.line(kinds == "ImageNet-1k")
        return format_of(effective_robustness.group_mean(pairs, line, kinds == kind), 100, 1)

    for dataset in ("imagenet_v2", "imagenet_sketch", "imagenet_r"):
        tau = effective_robustness.ends(Pairs.of(timm, "imagenet", dataset).kendall())
        assert format_of(tau, 1, 3) in text
        assert printed(dataset, "image-text pairs").replace(" [", " points [", dataset == "imagenet_r") in text
    assert printed("imagenet_r", "ImageNet-21k").replace(" [", " points [") in text
    assert printed("imagenet_sketch", "ImageNet-21k") in text


def format_of(interval: tuple[float, float, float], factor: int, digits: int) -> str:
    value, low, high = (f"{factor * number:.{digits}f}" for number in interval)
    return f"{value} [{low}, {high}]"


# ------------------------------------------------------------------ the command


def test_a_model_of_the_release_stands_where_its_row_is(timm: pl.DataFrame) -> None:
    model = "resnet50.a1_in1k@224"
    said = json.loads(run("compare", model, "--json").stdout)
    for one in said["standings"]:
        values = timm.filter(dataset=one["dataset"], metric="accuracy")
        own = values.filter(model=model)["value"].item()
        assert one["rank"][0] == 1 + values.filter(pl.col("value") > own + 1e-9).height
        assert one["rank"][1] <= one["rank"][0] <= one["rank"][2]
    for near in said["nearest"]:
        file, line = near["source"].partition(f"/blob/{said['commit']}/")[2].split("?plain=1#L")
        lines = releases.kept("timm")[file].decode().splitlines()
        assert lines[int(line) - 1].startswith(near["model"].split("@")[0])
    assert model not in {near["model"] for near in said["nearest"]}


def test_numbers_and_a_file_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("dataset,accuracy\nimagenet,0.804\nimagenet_r,0.405\n")
    by_file = run("compare", str(tmp_path / "mine.csv"), "--json")
    assert by_file.stdout == run("compare", "imagenet=80.4", "imagenet_r=40.5", "--json").stdout
    near = json.loads(run("compare", "imagenet=80.4", "imagenet_r=40.5", "--parameters", "25", "--json").stdout)
    sizes = dict(releases.rows("timm").select("model", "parameters").iter_rows())
    assert all(12.5 <= sizes[one["model"]] <= 50 for one in near["nearest"])


def test_a_run_is_compared_by_its_table(tmp_path: Path) -> None:
    drawn = np.random.default_rng(2).uniform(0.3, 0.9, 4)
    names = [
        ("imagenet", "val", None),
        ("imagenet", "test", None),
        ("imagenet_r", "test", None),
        ("imagenet", "val", 0),
    ]
    rows = [
        {"benchmark": "b", "task": "classification", "model": "mine", "method": "plain", "dataset": dataset}
        | {"split": split, "shift": "identity", "severity": 0.0, "metric": "accuracy", "value": value, "n": 100}
        | {"unit": "key", "units": 100, "seed": seed, "group": "dogs" if seed == 0 else None}
        for (dataset, split, seed), value in zip(names, drawn, strict=True)
    ]
    file = tmp_path / "metrics.parquet"
    schema.write(
        schema.table(({**dict.fromkeys(formats.METRICS.names), **row} for row in rows), formats.METRICS), file, "-"
    )
    said = json.loads(run("compare", str(file), "--json").stdout)
    by_hand = run("compare", f"imagenet={drawn[1]}", f"imagenet_r={drawn[2]}", "--json")
    assert said == json.loads(by_hand.stdout)
    others = run("compare", str(file), "--model", "nine")
    assert "has no accuracy of 'nine'; " in str(others.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["imagenet=80"], "one on another data set"),
        (["imagenet_v2=80", "imagenet_r=3"], "expected an accuracy on imagenet"),
        (["imagenet=80", "imgenet_r=3"], "did you mean imagenet_r"),
        (["imagenet=80", "imagenet_r=x"], "is 'x'; expected a number"),
        (["imagenet=80", "imagenet_r=130"], "is 130; expected 0 to 100"),
        (["imagenet=80", "imagenet=81"], "named twice"),
        (["imagenet=80", "imagenet_r"], "no DATASET=ACCURACY"),
        (["resnet50"], "no model is called 'resnet50'"),
        (["gone.csv"], "no readable CSV"),
        (["alexnet", "--with", "imagenet_testbed", "--parameters", "5"], "sizes of models"),
        (["imagenet=80", "imagenet_r=40", "--with", "tim"], "did you mean timm"),
    ],
)
def test_what_cannot_be_compared_is_told(words: list[str], message: str) -> None:
    said = run("compare", *words)
    assert isinstance(said.exception, DataError | ParamsError)
    assert message in str(said.exception)
