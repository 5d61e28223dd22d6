"""Places in released tables that contradict each other are found, planted ones too, and clean tables give no alarm."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolation import ROOT
from makers.command_line import run
from shiftbench.base.errors import DataError
from shiftbench.data import releases
from shiftbench.statistics import printed_table_checks, printed_tables
from shiftbench.statistics.printed_table_checks import Finding
from shiftbench.statistics.printed_tables import Table

RELEASED = {file.stem: file for file in sorted((ROOT / "src/shiftbench/systems").glob("*/sources/*/*.csv"))}
FAULTY = {"regmean_plus_plus", "spatial_vlm_cvbench", "spatial_vlm_ood"}
Columns = dict[str, list[str]]


def columns(file: Path) -> Columns:
    return parsed(file.read_text(encoding="utf-8"))


def parsed(text: str) -> Columns:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return {name: [row[at] for row in rows] for at, name in enumerate(header)}


def clean() -> list[Columns]:
    """The tables of releases in which nothing is known to be wrong."""
    own = [columns(file) for stem, file in RELEASED.items() if stem not in FAULTY]
    return own + [parsed(content.decode()) for content in releases.kept("ascood").values()]


def found(given: Columns, *, n: int | None = None) -> list[Finding]:
    return printed_table_checks.findings(Table.of(given, n=n))


# ------------------------------------------------------------------ places that a reader found by hand


def test_totals_that_are_no_mean_are_found() -> None:
    seen = found(columns(RELEASED["spatial_vlm_cvbench"]))
    assert {(finding.check, finding.column) for finding in seen} == {("means", "accuracy")}
    assert [finding.rows for finding in seen] == [(5,), (10,), (25,), (30,), (35,)]
    assert "the rule holds in 2 of 7" in seen[0].what


def test_a_sign_that_changes_within_a_column_is_found() -> None:
    (seen,) = found(columns(RELEASED["spatial_vlm_ood"]))
    assert (seen.check, seen.rows, seen.column) == ("differences", (1,), "distance_gap")


def test_a_copy_of_another_models_file_is_found() -> None:
    (seen,) = found(columns(RELEASED["regmean_plus_plus"]))
    assert seen.check == "blocks"
    assert "'base-patch32' and 'base-patch16'" in seen.what
    lines = columns(RELEASED["regmean_plus_plus"])
    keys = list(zip(lines["model"], lines["tasks"], strict=True))
    files = {}
    for key in dict.fromkeys(keys):
        rows = [at for at, one in enumerate(keys) if one == key]
        files["/".join(key)] = Table.of({name: [cells[at] for at in rows] for name, cells in lines.items()})
    assert list(printed_table_checks.copies(files)) == [("base-patch32/TA8", "base-patch16/TA8")]


def test_a_row_with_the_name_of_another_is_found() -> None:
    table = printed_tables.read(RELEASED["rfc_camelyon17"], key=["initialisation", "method"])
    (seen,) = printed_table_checks.findings(table)
    assert (seen.check, seen.rows) == ("repeats", (18, 19))


def test_several_runs_of_a_cell_are_found() -> None:
    """The rates that XTRUST's logs print for GPT-4 on OOD: Arabic at 3 shots, Russian at 0, Chinese and French once."""
    runs = {
        "ar 3": ["0.255", "0.228"],
        "ru 0": ["0.005", "0.015", "0.190"],
        "zh 0": ["0.935"],
        "fr 0": ["0.98"],
        "de 0": ["0.34"],
    }
    cells = [(*cell.split(), rate) for cell, rates in runs.items() for rate in rates]
    language, shots, rate = (list(column) for column in zip(*cells, strict=True))
    seen = printed_table_checks.findings(
        Table.of({"language": language, "shots": shots, "rate": rate}, ["language", "shots"])
    )
    assert [(finding.check, finding.rows) for finding in seen] == [("repeats", (1, 2)), ("repeats", (3, 4, 5))]


def test_an_outcome_that_never_varies_is_found() -> None:
    answers = {"question": [f"question {at}" for at in range(200)], "correctness": ["0"] * 200}
    (seen,) = found(answers)
    assert (seen.check, seen.column) == ("constants", "correctness")
    answers["correctness"][7] = "1"
    assert not found(answers)


# ------------------------------------------------------------------ faults that are planted in clean tables


def drawn(seed: int) -> Columns:
    """A table of methods on sets with means, spreads and a gain over the first method; all of it right."""
    draw = np.random.default_rng(seed)
    sets = [f"set_{at}" for at in range(draw.integers(3, 7))]
    methods = [f"method_{at}" for at in range(draw.integers(8, 21))]
    values = {m: [round(draw.uniform(40, 95), 2) for _ in sets] for m in methods}
    made: Columns = {"method": methods}
    for at, name in enumerate(sets):
        spreads = [
            f"{draw.uniform(0.1, 3):.2f} / {draw.uniform(40, 95):.2f} ± {draw.uniform(0.1, 3):.2f}" for _ in methods
        ]
        made[name] = [f"{values[m][at]:.2f}" for m in methods]
        made[f"{name} in full"] = [
            f"{values[m][at]:.2f} ± {spread}" for m, spread in zip(methods, spreads, strict=True)
        ]
    made["clean"] = [f"{draw.uniform(90, 99):.2f}" for _ in methods]
    made["gap"] = [f"{float(c) - float(s):.2f}" for c, s in zip(made["clean"], made["set_0"], strict=True)]
    return made


def by_sets(made: Columns) -> Columns:
    """The plain columns alone, with their mean."""
    sets = [name for name in made if name.startswith("set_") and "full" not in name]
    means = [sum(map(float, cells)) / len(sets) for cells in zip(*(made[name] for name in sets), strict=True)]
    return {"method": made["method"], **{name: made[name] for name in sets}, "average": [f"{m:.2f}" for m in means]}


@pytest.mark.parametrize("seed", range(40))
def test_a_planted_fault_is_found_where_it_is(seed: int) -> None:
    draw = np.random.default_rng([seed, 1])
    made = drawn(seed)
    averages = by_sets(made)
    assert not found(made)
    assert not found(averages)
    row = int(draw.integers(len(made["method"])))
    other = (row + 1) % len(made["method"])

    averages["average"][row] = f"{float(averages['average'][row]) + draw.choice([-1, 1]) * draw.uniform(0.03, 9):.2f}"
    assert [(x.check, x.rows, x.column) for x in found(averages)] == [("means", (row + 1,), "average")]

    doubled = {name: list(cells) for name, cells in made.items()}
    doubled["set_1 in full"][row] = doubled["set_1 in full"][other]
    assert [(x.check, x.column) for x in found(doubled)] == [("doubled", "set_1 in full")]

    turned = {name: list(cells) for name, cells in made.items() if "full" not in name}
    larger = [at for at, gap in enumerate(turned["gap"]) if float(gap) > 0.05]  # turned, a smaller one may be rounding
    row = larger[int(draw.integers(len(larger)))]
    turned["gap"][row] = f"{-float(turned['gap'][row]):.2f}"
    assert [(x.check, x.rows) for x in found(turned)] == [("differences", (row + 1,))]


@pytest.mark.parametrize("n", [50, 200, 7500])
def test_a_share_that_no_number_of_samples_gives_is_found(n: int) -> None:
    draw = np.random.default_rng(n)
    counts = [int(draw.integers(1, n)) for _ in range(60)]
    shares = [f"{100 * count / n:.3f}" for count in counts]
    table = {
        "model": [f"m{at}" for at in range(60)],
        "top1": shares,
        "top1_err": [f"{100 - float(x):.3f}" for x in shares],
    }
    assert not found(table, n=n)
    table["top1"][3] = f"{float(shares[3]) + 0.4 * 100 / n:.3f}"
    assert {(x.check, x.rows) for x in found(table, n=n)} == {("shares", (4,)), ("complements", (4,))}
    table["top1"][3] = "104.2"
    assert ("shares", (4,)) in {(x.check, x.rows) for x in found(table)}


def methods_on_sets(seed: int) -> tuple[Columns, list[str]]:
    """AUROC of methods on sets, the sum of an effect of each on logits and noise."""
    draw = np.random.default_rng([seed, 7])
    rows, sets = int(draw.integers(20, 40)), [f"auroc {at}" for at in range(draw.integers(5, 8))]
    skill, ease = draw.normal(1.5, 0.5, rows), draw.normal(0, 0.5, len(sets))
    logits = skill[:, None] + ease[None, :] + draw.normal(0, 0.1, (rows, len(sets)))
    values = 100 / (1 + np.exp(-logits))
    made: Columns = {"method": [f"method {at}" for at in range(rows)]}
    return made | {name: [f"{value:.2f}" for value in values[:, at]] for at, name in enumerate(sets)}, sets


def test_a_cell_that_does_not_fit_its_method_is_found() -> None:
    alarms = hits = 0
    for seed in range(40):
        made, sets = methods_on_sets(seed)
        alarms += bool(list(printed_table_checks.outliers(Table.of(made), sets)))
        row, name = seed % 12, sets[seed % len(sets)]
        odds = float(made[name][row]) / (100 - float(made[name][row])) / 20
        made[name][row] = f"{100 * odds / (1 + odds):.2f}"
        seen = list(printed_table_checks.outliers(Table.of(made), sets))
        hits += ("outliers", (row + 1,), name) in [(one.check, one.rows, one.column) for one in seen]
    assert hits >= 36  # of 21 rows and 5 columns the limit is far away
    assert alarms <= 3  # a clean table in a hundred has one: more than 3 of 40 come once in 2,500 times


def test_columns_that_are_not_alike_are_told(tmp_path: Path) -> None:
    made, _ = methods_on_sets(0)
    (tmp_path / "a.csv").write_text("\n".join(map(",".join, [tuple(made), *zip(*made.values(), strict=True)])))
    said = run("check-results", str(tmp_path / "a.csv"), "--same", "auroc 0,auroc 9")
    assert "no column of numbers is called 'auroc 9'; did you mean auroc" in str(said.exception)
    alone = run("check-results", str(tmp_path / "a.csv"), "--same", "auroc 0")
    assert "fewer than 5 cells in rows of two or more" in str(alone.exception)


# ------------------------------------------------------------------ clean tables, and hostile ones


def part(given: Columns, draw: np.random.Generator) -> Columns:
    """Part of a table that keeps its relations: some values of one label without means, and some columns of numbers."""
    table = Table.of(given)
    labels = [name for name, cells in table.labels.items() if not any(map(printed_table_checks._MEAN.fullmatch, cells))]
    kept = set(range(table.rows))
    if labels:
        label = labels[draw.integers(len(labels))]
        values = sorted(set(given[label]))
        some = set(draw.permutation(values)[: draw.integers(1, len(values) + 1)].tolist())
        kept = {row for row in kept if given[label][row] in some}
    numbers = [name for name in given if name not in table.labels]
    columns = {*table.labels, *draw.permutation(numbers)[: draw.integers(1, len(numbers) + 1)].tolist()}
    return {
        name: [cell for row, cell in enumerate(cells) if row in kept]
        for name, cells in given.items()
        if name in columns
    }


def test_a_hundred_clean_tables_give_at_most_one_alarm() -> None:
    tables = clean()
    assert len(tables) > 30
    draw = np.random.default_rng(5)
    alarms = [seen for _ in range(1000) if (seen := found(part(tables[draw.integers(len(tables))], draw)))]
    assert len(alarms) <= 10, alarms[:3]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.text(max_size=8) | st.floats().map(str) | st.integers().map(str), min_size=3, max_size=3)))
def test_no_cells_end_a_check(rows: list[list[str]]) -> None:
    cells = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    for finding in found(dict(zip(("average", "acc", "gap"), cells, strict=True)), n=100):
        assert all(1 <= row <= len(rows) for row in finding.rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1\n", "row 1 has 1 cells, but the header has 2"),
        ("a.csv", "x,x\n1,2\n", "'x' names two columns"),
        ("a.csv", "x,y\n", "has no rows"),
        ("a.csv", "", "has no rows"),
        ("a.jsonl", "{", "no readable table"),
        ("a.parquet", "no", "no readable table"),
        ("a.txt", "x", "expected .csv, .tsv, .jsonl or .parquet"),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        printed_tables.read(tmp_path / name)
    with pytest.raises(DataError, match="does not exist"):
        printed_tables.read(tmp_path / "gone.csv")


def test_the_command_names_place_and_exit_code(tmp_path: Path) -> None:
    said = run("check-results", str(RELEASED["spatial_vlm_cvbench"]))
    assert said.exit_code == 10
    assert "row 5 (cvbench base total) accuracy is 52.16, but" in said.output
    clean = run("check-results", str(RELEASED["palm"]))
    assert (clean.exit_code, "nothing found" in clean.output) == (0, True)
    (tmp_path / "copy.csv").write_bytes((RELEASED["palm"]).read_bytes())
    assert run("check-results", str(RELEASED["palm"]), str(tmp_path / "copy.csv")).exit_code == 10
