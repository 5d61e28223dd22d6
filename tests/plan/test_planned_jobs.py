"""What Snakemake asks of the plan: the same in the process that plans and in those that it starts elsewhere."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from makers import planned_benchmark
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan import planned_jobs
from shiftbench.workflow.plan.planned_job import PlannedJobs, Request


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark in the working folder."""
    planned_benchmark.make(tmp_path)
    planned_benchmark.load(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*targets: str, again: tuple[str, ...] = ()) -> PlannedJobs:
    """Plan as a run does that is asked for something."""
    return planned_jobs.load({}, main=True, request=Request(targets, again))


def running(jobs: PlannedJobs) -> set[str]:
    """Return the jobs that have something to do, which are those without a marker."""
    names = {f"{job.verb}/{job.name}" for job in jobs.jobs if job.runs}
    assert names == {f"{j.verb}/{j.name}" for j in jobs.jobs if not Path(j.marker).exists()}
    return names


def settle(home: Path) -> None:
    """Make everything, of nothing."""
    planned_benchmark.settle(
        planned_benchmark.plan(home),
        home,
        (
            *("sources", "shards", "previews", "checkpoints", "records", "features"),
            *("scores", "overlaps", "tables", "samples", "report"),
        ),
    )


def test_another_process_is_told_what_the_main_one_planned(home: Path) -> None:
    """Though params were edited meanwhile and outputs came or went."""
    jobs = planned()
    assert [job.name for job in jobs.of_verb("train")] == ["shapes/perceptron-mixup-s0", "shapes/perceptron-mixup-s1"]
    assert jobs.targets["all"] == (
        "logs/jobs/report/index.done",
        "logs/jobs/report/samples/small/index.done",
        "logs/jobs/aggregate/small.done",
    )
    assert jobs.pages == {"results/report/index.html": None}  # it leads to the others
    (home / "params.yaml").write_text("benchmarks: {}\n")
    for output in jobs.of_verb("shift")[0].outputs:
        (home / output).parent.mkdir(parents=True, exist_ok=True)
        (home / output).touch()
    assert planned_jobs.load({}, main=False) == jobs


def test_a_marker_is_where_a_job_has_nothing_to_do(home: Path) -> None:
    """Whatever there was: markers of stale jobs, of jobs that are gone, none at all."""
    settle(home)
    assert running(planned()) == set()
    receipt = home / "results/tables/small/metrics.parquet.receipt.json"
    receipt.unlink()
    gone = home / "logs/jobs/train/gone.done"
    gone.touch()
    assert running(planned()) == {"aggregate/small", "report/index"}
    assert not gone.exists()
    assert running(planned("checkpoints")) == set(), "nobody asks for tables"


def test_a_folder_in_place_of_a_marker_is_named(home: Path) -> None:
    marker = home / "logs/jobs/train/shapes/perceptron-mixup-s0.done"
    marker.mkdir(parents=True)
    with pytest.raises(DataError, match="cannot write logs/jobs/train/.*Is a directory"):
        planned()


def test_what_is_made_again_and_what_follows_have_no_marker(home: Path) -> None:
    settle(home)
    train, evaluate, score = (
        {f"{verb}/shapes/perceptron-mixup-s{seed}{end}" for seed in (0, 1)}
        for verb, end in (("train", ""), ("evaluate", "/plain"), ("score", "/plain"))
    )
    ends = {"aggregate/small", "report/index"}
    samples = {"report/samples/small", "report/samples/small/index"}
    again = planned(again=("evaluate",))
    assert running(again) == evaluate | score | ends | samples
    assert all(job.again == job.runs for job in again.jobs)
    assert running(planned("checkpoints", again=("train",))) == train, "records are not asked for"
    marker = "logs/jobs/train/shapes/perceptron-mixup-s0.done"
    one = planned("records", again=(marker,))
    assert running(one) == {name for name in train | evaluate | score if "s0" in name}


def test_what_is_made_again_has_its_inputs_though_nothing_else_needs_them(home: Path) -> None:
    settle(home)
    for file in (home / "data").rglob("manifest.json*"):
        file.unlink()
    assert running(planned()) == set()
    assert {f"shift/shapes/{split}/identity" for split in ("train", "val")} <= running(planned(again=("train",)))


def test_what_a_rule_asks_follows_from_its_wildcards(home: Path) -> None:
    stages = {stage.verb: stage for stage in planned(again=("train",)).stages()}
    assert tuple(stages) == plans.VERBS
    job = SimpleNamespace(root="", job="shapes/perceptron-mixup-s0")
    assert stages["train"].needs(job) == [f"logs/jobs/shift/shapes/{split}/identity.done" for split in ("train", "val")]
    assert stages["train"].again(job) == "--again"
    assert stages["train"].priority(job) > 0
    with pytest.raises(ParamsError, match="no job of train is called 'shapes/s0'"):
        stages["train"].needs(SimpleNamespace(root="", job="shapes/s0"))


def test_what_more_waits_for_goes_first(home: Path) -> None:
    jobs = planned().jobs
    makes = {job.marker: job for job in jobs}
    chained = [(makes[need], job) for job in jobs for need in job.needs]
    assert chained
    assert all(before.priority >= round(before.seconds) + after.priority - 1 for before, after in chained)


def test_shifts_are_grouped_and_the_clean_shards_that_they_need_are_not(home: Path) -> None:
    groups = {f"{job.verb}/{job.name}": job.group for job in planned().jobs}
    assert groups["shift/shapes/test/bright"] == "shift"
    assert groups["shift/shapes/test/identity"] is groups["report/index"] is None


def test_a_process_in_another_folder_says_what_it_misses(home: Path) -> None:
    with pytest.raises(DataError, match=r"shiftbench-default.json does not exist: .* nodes share"):
        planned_jobs.load({}, main=False)


def test_what_the_main_process_left_may_be_damaged(home: Path) -> None:
    planned()
    file = home / ".snakemake/shiftbench-default.json"
    for text in ("", "[]", "{}", '{"jobs": [{}], "targets": {}, "pages": []}'):
        file.write_text(text)
        with pytest.raises(DataError, match="shiftbench-default.json is damaged"):
            planned_jobs.load({}, main=False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"parms": "smoke"}, "--config parms: unknown; did you mean params?"),
        ({"scale": "smoke"}, "--config scale: unknown; it is called params now"),
        ({"params": "smoek"}, "no configuration 'smoek'"),
    ],
)
def test_a_wrong_word_in_the_config_is_named(home: Path, config: dict[str, str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        planned_jobs.load(config, main=True)


def test_an_output_is_asked_for_by_its_own_command(home: Path) -> None:
    page = "results/report/index.html"
    with pytest.raises(ParamsError, match=f"`shiftbench make {page}` makes it"):
        planned(page)


def test_a_target_of_a_users_own_rule_gets_all(home: Path) -> None:
    settle(home)
    (home / "results/tables/small/metrics.parquet.receipt.json").unlink()
    assert "aggregate/small" in running(planned("poster.pdf"))
