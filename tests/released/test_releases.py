"""Files that others released: each number is the cell it names, and what is printed elsewhere comes out of them."""

import csv
import functools
import io
import json
import re
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from isolation import ROOT
from shiftbench.base.errors import DataError
from shiftbench.data import release_cards, releases, source_files
from shiftbench.plugins.importers import tables

RELEASES = sorted(file.stem for file in (ROOT / "src/shiftbench/plugins/released").glob("*.yaml"))
"""Whole files; single numbers are with the systems, see test_rebuilt.py."""
HEADERS = {"robustbench": 2}
QUOTED = ("openood", "openood_vlm")


def half_unit(printed: str) -> float:
    """Return half a unit of the last digit, as the number is printed."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def agrees(found: float, printed: str, terms: float = 0.0) -> bool:
    """Return whether a value rounds to a printed one, for terms that are off by at most `terms`."""
    return abs(found - float(printed)) <= half_unit(printed) + terms + 1e-9


@functools.cache
def in_percent(release: str, file: str) -> bool:
    return releases.card(release).is_.unit == "percent" and (release, file[-4:]) != ("robustbench", ".csv")


def digits(printed: str) -> list[str]:
    """Return the number and its spread, if it has one, without the comma of thousands."""
    return printed.replace(",", "").split(" ± ")


# ------------------------------------------------------------------ every release


def cell(release: str, file: str, row: int, column: str) -> str:
    """Return a cell as it was released, read without the importers."""
    lines = releases.kept(release)[file].decode().splitlines()
    if file.endswith(".jsonl"):
        lines = [lines[row - 1]]
    if "json" in file.rpartition(".")[2]:
        (found,) = re.findall(rf'"{column}": "?([^",}}]*)', " ".join(lines))
        return str(found)
    headers = [line.split(",") for line in lines[: HEADERS.get(release, 1)]]
    names = [".".join(name for name in parts if name) for parts in zip(*headers, strict=True)]
    return lines[row - 1].split(",")[names.index(column)]


@pytest.mark.parametrize("name", RELEASES)
def test_each_number_is_the_cell_that_it_names(name: str) -> None:
    """Drawn rows, read again from the file as it was released, without the importer."""
    rows = releases.rows(name)
    draw = np.random.default_rng(3)
    quoted = set(releases.kept(name).get(f"{name}.csv", b"").decode().splitlines())
    for place in draw.choice(len(rows), 300, replace=False):
        row = rows.row(int(place), named=True)
        if name in QUOTED:
            assert ",".join(str(row[part]) for part in ("file", "row", "column", "printed")) in quoted
        else:
            assert cell(name, row["file"], row["row"], row["column"]) == row["printed"]
        numbers = [float(number) / (100 if in_percent(name, row["file"]) else 1) for number in digits(row["printed"])]
        assert row["value"] == pytest.approx(numbers[0])
        sample = 1.5**0.5 if name in ("ascood", "openood") and row["seeds"] == 3 else 1.0  # these print numpy.std
        assert row["spread"] == (pytest.approx(sample * numbers[1]) if numbers[1:] else None)
        assert row["evidence"] == "released"


@pytest.mark.parametrize("name", RELEASES)
def test_each_share_is_one_of_its_number_of_samples(name: str) -> None:
    """So the numbers of samples on the card, which no file states, are right."""
    rows = releases.rows(name).filter(pl.col("n").is_not_null())
    decimals = np.array([len(printed.partition(".")[2]) for printed in rows["printed"]])
    percent = np.array([100 if in_percent(name, file) else 1 for file in rows["file"]])
    counts, n = rows["value"].to_numpy() * rows["n"].to_numpy(), rows["n"].to_numpy()
    wrong = np.abs(counts - np.round(counts)) > np.maximum(0.55 * 10.0**-decimals / percent * n, 0.02)
    assert rows.filter(wrong).is_empty()


@pytest.mark.parametrize("name", RELEASES)
def test_several_seeds_have_a_spread(name: str) -> None:
    several = releases.rows(name).filter(pl.col("seeds") > 1)
    assert (several["spread"] > 0).all()


def test_licences_are_listed() -> None:
    notice = (ROOT / "NOTICE").read_text()
    for name in RELEASES:
        card, source = releases.card(name), source_files.load_source(name)
        assert f"{card.repository} ({source.licence})" in " ".join(notice.split())
        assert card.commit in source.homepage
        assert card.address("results/a.csv", 2).endswith("/results/a.csv?plain=1#L2")


# ------------------------------------------------------------------ what is printed elsewhere


def corrupted(three_d: bool) -> pl.DataFrame:
    """Return the cells of RobustBench by corruption and severity, each with the printed mean of its model."""
    suffix = "_3d" if three_d else ""
    rows = releases.rows("robustbench")
    cells = rows.filter(pl.col("file").str.ends_with(f"unaggregated_results{suffix}.csv"))
    means = rows.filter(column=f"corruptions_acc{suffix}").select("dataset", "model", mean="printed")
    return cells.join(means, on=["dataset", "model"])


@pytest.mark.parametrize(("three_d", "models", "cells"), [(False, 48, 75), (True, 12, 60)])
def test_means_of_robustbench_are_those_of_its_cells(three_d: bool, models: int, cells: int) -> None:
    """Four means of one paper are cut off after two digits, where the others are rounded."""
    found = corrupted(three_d).partition_by("dataset", "model")
    assert (len(found), {len(model) for model in found}) == (models, {cells})
    off = [model for model in found if not agrees(100 * mean(model["value"]), model["mean"][0])]
    assert len(off) == (0 if three_d else 4)
    for model in off:
        assert "Diffenderfer2021Winning" in model["model"][0]
        assert np.floor(1e4 * mean(model["value"])) == pytest.approx(100 * float(model["mean"][0]))


@pytest.mark.parametrize("three_d", [False, True])
def test_mce_of_robustbench_is_that_of_its_cells(three_d: bool) -> None:
    """Errors of each corruption over the severities, by those of AlexNet, as Hendrycks and Dietterich define it."""
    suffix = "_3d" if three_d else ""
    errors = corrupted(three_d).filter(dataset="imagenet").with_columns(error=1 - pl.col("value"))
    summed = errors.group_by("model", "shift").agg(pl.col("error").sum())
    alexnet = summed.filter(model="imagenet/corruptions/AlexNet").select("shift", base="error")
    ratios = summed.join(alexnet, on="shift").group_by("model").agg((pl.col("error") / pl.col("base")).mean())
    printed = releases.rows("robustbench").filter(column=f"corruptions_mce{suffix}")
    both = ratios.join(printed, on="model")
    assert both.height == 12
    assert all(agrees(100 * row["error"], row["printed"]) for row in both.iter_rows(named=True))
    assert dict(printed.select("model", "printed").iter_rows())["imagenet/corruptions/Standard_R50"] == (
        "73.16" if three_d else "76.38"
    )


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def test_five_files_of_robustbench_name_another_data_set_than_their_folder() -> None:
    """So the card takes the data set from the folder."""
    files = {path: content for path, content in releases.kept("robustbench").items() if path.endswith(".json")}
    assert len(files) == 236
    other = {path for path, content in files.items() if json.loads(content)["dataset"] != path.split("/")[1]}
    assert len(other) == 5
    assert all(path.startswith("model_info/cifar100/") for path in other)
    rows = releases.rows("robustbench")
    assert (rows["dataset"] == rows["file"].str.split("/").list.get(1)).all()


def test_radii_of_attacks_are_those_of_the_files() -> None:
    rows = releases.rows("robustbench").filter(pl.col("column").is_in(["autoattack_acc", "external"]))
    radii = rows.group_by("shift").agg(pl.col("severity").unique().sort())
    assert dict(radii.iter_rows()) == {
        "autoattack_linf": [4.0, 7.905, 8.0],
        "autoattack_l2": [0.5],
        "external_attack_linf": [4.0, 7.905, 8.0],
        "external_attack_l2": [0.5],
    }
    for row in rows.iter_rows(named=True):
        eps = json.loads(releases.kept("robustbench")[row["file"]])["eps"]
        radius = float(eps.removesuffix("/255")) * (255 if eps == "0.031" else 1)
        assert row["severity"] == pytest.approx(radius)


def test_averages_of_open_clip_are_those_of_its_columns() -> None:
    lines = list(csv.DictReader(io.StringIO(releases.kept("open_clip")["docs/openclip_results.csv"].decode())))
    assert len(lines) == 121
    for line in lines:
        (printed, *_), cells = list(line.values())[4:5], list(line.values())[5:]
        given = [number for number in cells if number]
        assert len(given) in (35, 38)
        assert agrees(mean(map(float, given)), printed, mean(map(half_unit, given)))
    rows = releases.rows("open_clip").filter(dataset="imagenet")
    assert rows["value"].to_list() == [float(line["ImageNet 1k"]) for line in lines]


def test_boards_of_openood_have_every_row() -> None:
    """All 414, without a gap; at least 60 pairs of training and detector."""
    rows = releases.rows("openood")
    sizes = {}
    for file in rows.partition_by("file"):
        lines = sorted(set(file["row"]))
        assert all(after == before + 1 for before, after in pairwise(lines))
        assert lines[0] == 2
        sizes[file["file"][0].removeprefix("results/")] = len(lines)
    assert sizes == {
        "cifar10.csv": 61, "cifar100.csv": 57, "imagenet200_ood.csv": 56, "imagenet200_fsood.csv": 60,
        "imagenet1k_ood.csv": 97, "imagenet1k_fsood.csv": 83,
    }  # fmt: skip
    near, far = (rows.filter(dataset=group) for group in ("near", "far"))
    assert near.height == far.height == 414
    assert rows.select("method", "detector").unique().height == 96


# ------------------------------------------------------------------ how a card reads files


def test_a_file_is_read_in_several_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings of one file, cells of its path, several seeds only with a spread."""
    files = {"runs/a-x.csv": b"set,auroc\nm,81.0 \xc2\xb1 0.5\nmean,82.0\n"}
    monkeypatch.setattr(releases, "card", lambda _: release_cards.Card.model_validate(CARD))
    rows = releases.numbers("mine", files)
    assert rows.select("model", "dataset", "shift", "value", "seeds", "severity").rows() == [
        ("a", "m", "identity", pytest.approx(0.81), 3, 2.0),
        ("a", "all", None, pytest.approx(0.82), None, None),
    ]
    assert rows["spread"].to_list() == [pytest.approx(0.005 * (3 / 2) ** 0.5), None]  # of a sample


CARD = {
    "repository": "a/b",
    "commit": "0" * 40,
    "is": {"metric": "auroc", "split": "test", "unit": "percent", "seeds": 3, "ddof": 0},
    "names": {"severity": {"x": "2"}},
    "files": {
        "runs/*.csv": [
            {
                "path": r"runs/(?P<model>\w)-(?P<level>\w)\.csv",
                "lines": {"set": "(?!mean).*"},
                "each": {"model": "{model}", "dataset": "{set}", "severity": "{level}"},
                "columns": {"auroc": {}},
            },
            {
                "path": r"runs/(?P<model>\w)-.*",
                "is": {"dataset": "all", "shift": None, "severity": None},
                "lines": {"set": "mean"},
                "each": {"model": "{model}"},
                "columns": {"auroc": {}},
            },
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("runs/a-y.csv", b"set,auroc\nm,81\n", "row 2, column severity is 'y'; expected a number"),
        ("runs/ab.csv", b"set,auroc\nm,81\n", "runs/ab.csv does not fit the path"),
        ("runs/a-x.csv", b"set,auroc\nm,n/a\n", "row 2, column auroc is 'n/a'; expected a percent"),
        ("runs/a-x.csv", b"set,auroc\nm,81\nm,82\n", "row 3, .* row 2, .* same number"),
        ("runs/a-x.csv", b"set,aurc\nm,81\n", "runs/.*.csv has no column that fits 'auroc'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    path: str, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "card", lambda _: release_cards.Card.model_validate(CARD))
    with pytest.raises(DataError, match=message):
        releases.numbers("mine", {path: content})


def test_json_lines_reads_lines_and_a_whole_object() -> None:
    lines = tables.json_lines(b'{"a": "1.50", "b": 2.0}\n\n{"a": null}\n')
    assert [(line.row, dict(line.cells)) for line in lines] == [(1, {"a": "1.50", "b": "2.0"}), (3, {"a": "None"})]
    (whole,) = tables.json_lines(b'{\n "a": 1.50\n}')
    assert (whole.row, dict(whole.cells)) == (1, {"a": "1.50"})
    with pytest.raises(DataError, match="expected a JSON object, found list"):
        tables.json_lines(b"[1]")
