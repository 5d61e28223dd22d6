"""What Snakemake is told: the same in the process that plans and in those that it starts elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from makers import planned_campaign
from shiftbench.errors import DataError, ParamsError
from shiftbench.plan import snakemake_rules


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign in the working folder."""
    planned_campaign.make(tmp_path)
    planned_campaign.load(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_another_process_is_told_what_the_main_one_planned(home: Path) -> None:
    """Though params were edited meanwhile and outputs came or went."""
    planned = snakemake_rules.load(None, main=True)
    assert [rule.rule for rule in planned.of_verb("train")] == [
        "train_shapes_perceptron_mixup_s0",
        "train_shapes_perceptron_mixup_s1",
    ]
    ends = ["results/report/index.html", "results/report/samples/small/index.html"]
    assert planned.targets("report") == [*ends, "results/tables/small/metrics.parquet"]
    assert planned.pages == (ends[0],)  # a run names it, it leads to the others
    (home / "params.yaml").write_text("campaigns: {}\n")
    for output in planned.of_verb("shift")[0].outputs:
        (home / output).parent.mkdir(parents=True, exist_ok=True)
        (home / output).touch()
    assert snakemake_rules.load(None, main=False) == planned


def test_what_more_waits_for_goes_first(home: Path) -> None:
    rules = snakemake_rules.load(None, main=True).rules
    makes = {output: rule for rule in rules for output in rule.outputs}
    chained = [(makes[need], rule) for rule in rules for need in rule.inputs]
    assert chained
    assert all(
        before.priority >= round(before.seconds) + after.priority - 1 for before, after in chained
    )


def test_shifts_are_grouped_and_the_clean_shards_that_they_need_are_not(home: Path) -> None:
    groups = {rule.rule: rule.group for rule in snakemake_rules.load(None, main=True).rules}
    assert groups["shift_shapes_test_bright"] == "shift"
    assert groups["shift_shapes_test_identity"] is groups["report_index"] is None


def test_a_process_in_another_folder_says_what_it_misses(home: Path) -> None:
    with pytest.raises(DataError, match=r"shiftbench-default.json does not exist: .* nodes share"):
        snakemake_rules.load(None, main=False)


def test_resources_are_those_of_the_stage_and_what_the_config_says() -> None:
    assert snakemake_rules.resources("train", {}) == {"mem_mb": 8000, "runtime": 720}
    config = {"gpu": 2, "resources": {"train": {"runtime": 60}}}
    assert snakemake_rules.resources("train", config) == {"mem_mb": 8000, "runtime": 60, "gpu": 2}
    assert snakemake_rules.resources("score", config) == {"mem_mb": 8000, "runtime": 240}
    asked = [snakemake_rules.options(verb, {"gpu": 1}) for verb in ("train", "evaluate", "score")]
    assert asked == ["--device cuda", "--device cuda", ""]
    own = [snakemake_rules.options(verb, {}) for verb in ("train", "evaluate", "score")]
    assert own == ["--device cpu", "--device auto", ""]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("train=8", "no mapping such as"),
        ({"trian": {}}, "no stage is called 'trian'; did you mean train?"),
        ({"train": {"runtime": "1h"}}, "config resources.train: .* no mapping of whole numbers"),
    ],
)
def test_wrong_resources_are_named(own: object, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        snakemake_rules.resources("train", {"resources": own})
