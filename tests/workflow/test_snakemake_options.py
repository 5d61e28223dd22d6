"""Options of Snakemake's manual do by stage what the manual says; jobs are stubs."""

import json
import re
from pathlib import Path

import pytest

from makers import stubbed_runs
from shiftbench.workflow.plan.plan import VERBS

pytestmark = pytest.mark.workflow


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A benchmark of stubs."""
    stubbed_runs.make(tmp_path)
    return tmp_path


def stages(home: Path) -> dict[str, set[str]]:
    """Return the jobs of each stage."""
    content = json.loads((home / ".snakemake/shiftbench-default.json").read_text())
    found: dict[str, set[str]] = {verb: set() for verb in VERBS}
    for job in content["jobs"]:
        found[job["verb"]].add(f"{job['verb']}/{job['name']}")
    return found


def test_what_is_asked_for_by_stage_is_made_and_nothing_else(home: Path) -> None:
    """Of a benchmark in which all is made; after each command there is nothing to do."""
    lines = {
        "": set(),
        "--forcerun train --until train": {"train"},
        "-R train --omit-from evaluate": {"train", "shift"},  # by a trained net, some shards are shifted
        "--forcerun evaluate": {"evaluate", "score", "aggregate", "report", "shift"},
        "--until aggregate -R aggregate": {"aggregate"},
        "--forceall": set(VERBS),
        "checkpoints -R train": {"train"},
        "-f logs/jobs/report/index.done": {"report"},
        "--touch --forceall": set(),
        "--unlock": set(),
        "--rerun-incomplete": set(),
    }
    pairs = [line for asked in lines for line in (asked, "-n")]
    ended = stubbed_runs.after_a_run(home, *pairs)
    for (line, expected), did, then in zip(lines.items(), ended[::2], ended[1::2], strict=True):
        assert did.status == 0, f"{line}: {did.said}"
        assert did.of() <= expected, line
        assert did.of() >= expected - {"shift"}, line
        assert "Nothing to be done" in then.said, line
    by_line = dict(zip(lines, ended[::2], strict=True))
    assert set(by_line["--forceall"].started) == set().union(*stages(home).values())
    trained = {f"train/shapes/perceptron-mixup-s{seed}" for seed in (0, 1, 7)}
    assert set(by_line["checkpoints -R train"].started) == trained
    assert trained <= set(by_line["--forcerun train --until train"].started)


def test_resources_and_threads_are_set_by_stage(home: Path) -> None:
    (plain, gpu) = stubbed_runs.after_a_run(
        home,
        "-n -p --forceall",
        "-n -p --forceall --set-resources evaluate:gpu=1 evaluate:mem_mb=9000 --set-threads train=2",
    )
    assert "cuda" not in plain.said
    assert not re.search(r"gpu=|threads:", plain.said)
    for block in re.split(r"\n(?:local)?rule ", gpu.said)[1:]:
        rule = block.partition(":")[0]
        assert ("--device cuda" in block) == (rule == "evaluate"), block
        assert ("gpu=1" in block) == ("mem_mb=9000" in block) == (rule == "evaluate"), block
        assert ("threads: 2" in block) == (rule == "train"), block


def test_the_workflow_is_shown(home: Path) -> None:
    rules, graph, dag, summary, report, lint = stubbed_runs.after_a_run(
        home, "--list-rules", "--rulegraph", "--dag", "--summary", "--report it.html", "--lint"
    )
    assert set(re.findall(r"^\w+$", rules.said, re.MULTILINE)) == {*VERBS, "all"}
    assert set(re.findall(r'label = "(\w+)"', graph.said)) == {*VERBS, "all"}
    jobs = sum(map(len, stages(home).values()))
    assert dag.said.count("label = ") == jobs + 1
    for stage in VERBS:
        assert re.search(rf"^logs/jobs/{stage}/\S+\.done\s", summary.said, re.MULTILINE)
    assert report.status == 0
    assert "evaluate" in (home / "it.html").read_text()
    assert "Lints for rule" in lint.said
    lints = re.findall(r"^    \* (.*)", lint.said, re.MULTILINE)
    assert [line for line in lints if "conda environment or container" not in line] == []


def test_what_does_not_need_a_job_that_fails_goes_on(home: Path) -> None:
    (home / "broken").write_text("s1/mirror")
    failed, went_on = stubbed_runs.after_a_run(home, "-F", "-F --keep-going")
    for did in (failed, went_on):
        assert did.status == 1
        assert "failed: evaluate shapes/perceptron-mixup-s1/mirror" in did.said
    left = stages(home)
    assert left["score"] - set(went_on.started) == {name for name in left["score"] if "s1/mirror" in name}
    assert "aggregate/large" not in went_on.started
    assert "aggregate/small" in went_on.started


def test_a_misspelt_config_is_one_error(home: Path) -> None:
    (did,) = stubbed_runs.after_a_run(home, "--config parms=smoke")
    assert did.status == 2
    assert did.said.strip().splitlines()[-1] == "error: --config parms: unknown; did you mean params?"


def test_an_output_by_its_path_is_told_what_makes_it(home: Path) -> None:
    (did,) = stubbed_runs.after_a_run(home, "results/report/index.html")
    assert did.status == 2
    assert "`shiftbench make results/report/index.html` makes it" in did.said


def test_a_run_that_cannot_end_after_a_stage_says_so(home: Path) -> None:
    """Snakemake starts no job behind one that `--until` names: it would end with "BUG: Out of jobs"."""
    (did,) = stubbed_runs.after_a_run(home, "--until shift --forcerun shift")
    assert did.status == 2
    last = did.said.strip().splitlines()[-1]
    assert re.match(r"error: --until shift: shapes/\S+ waits for shapes/\S+ of the same stage", last)
    assert "use the target instead: `snakemake shards`" in last
