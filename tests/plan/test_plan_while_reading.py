"""The plan where shifts are not stored but applied while clean shards are read."""

from pathlib import Path
from typing import Any

import pytest

from makers import planned_benchmark
from shiftbench.base.refs import Ref

BRIGHT = "data/shards/shapes/test/bright/1/manifest.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a plugin of each family."""
    planned_benchmark.make(tmp_path)
    return tmp_path


WHILE_READING = {"shifts__bright__materialise": False}
R_BRIGHT = {
    f"results/records/shapes/perceptron-mixup-s{seed}/plain/shapes/test/bright/{severity}.parquet"
    for seed in (0, 1)
    for severity in ("1", "2.5")
}
P_BRIGHT = {f"results/previews/shapes/test/bright/{severity}.json" for severity in ("1", "2.5")}
END = {"results/tables/small/metrics.parquet", "results/report/index.html"}
END |= {"results/samples/small.json", "results/report/samples/small/index.html"}


@pytest.mark.parametrize(
    "over",
    [
        WHILE_READING,
        {"shards__materialise": False},
        {"shards__materialise": False, "shifts__bright__materialise": None},
    ],
)
def test_shards_that_are_not_stored_are_not_planned(home: Path, over: dict[str, Any]) -> None:
    stored, plan = planned_benchmark.plan(home), planned_benchmark.plan(home, **over)
    gone = planned_benchmark.fingerprints(stored).keys() - planned_benchmark.fingerprints(plan).keys()
    assert gone == {BRIGHT, BRIGHT.replace("/1/", "/2.5/")}
    assert planned_benchmark.fingerprints(plan).keys() <= planned_benchmark.fingerprints(stored).keys()
    assert planned_benchmark.changed(stored, plan) == R_BRIGHT | P_BRIGHT | END
    artifact = plan.artifacts[Ref("records", "shapes/perceptron-mixup-s0/plain/shapes/test/bright/2.5")]
    assert artifact.recipe["data"] == "shapes/test/identity/0"
    assert Ref("previews", "shapes/test/bright/2.5") in artifact.inputs
    assert Ref("previews", "shapes/test/bright/2.5") in plan.artifacts[Ref("report", "index")].inputs


def test_one_shift_may_be_stored_where_others_are_not(home: Path) -> None:
    over = {"shards__materialise": False, "shifts__bright__materialise": True}
    assert planned_benchmark.changed(planned_benchmark.plan(home), planned_benchmark.plan(home, **over)) == set()


@pytest.mark.parametrize(
    "over", [{"shifts__bright__spread": 0.1}, {"shifts__bright__fresh": True}, {"evaluate__shift_device": "auto"}]
)
def test_what_is_shifted_while_it_is_read_follows_the_shift(home: Path, over: dict[str, Any]) -> None:
    found = planned_benchmark.changed(
        planned_benchmark.plan(home, **WHILE_READING), planned_benchmark.plan(home, **WHILE_READING, **over)
    )
    golden = set() if "evaluate__shift_device" in over else P_BRIGHT
    assert found - END == R_BRIGHT | golden


def test_another_severity_of_what_is_not_stored_leaves_the_others(home: Path) -> None:
    more = planned_benchmark.plan(home, **WHILE_READING, shifts__bright__severities=[1, 2.5, 4])
    assert planned_benchmark.changed(planned_benchmark.plan(home, **WHILE_READING), more) == END


def test_code_of_a_shift_that_is_not_stored_counts_in_its_records_alone(home: Path) -> None:
    before = planned_benchmark.plan(home, **WHILE_READING)
    file = home / "mine/shifts/bright.py"
    file.write_text(file.read_text().replace("1: 25", "1: 26"))
    assert planned_benchmark.changed(before, planned_benchmark.plan(home, **WHILE_READING)) - END == R_BRIGHT | P_BRIGHT
    codes = {
        artifact.ref.name: artifact.recipe["code"]
        for artifact in before.artifacts.values()
        if artifact.ref.kind == "records"
    }
    late = {"shiftbench/evaluation/onthefly.py", "shiftbench/evaluation/apply_shift.py", "shiftbench/base/rng.py"}
    for name, code in codes.items():
        assert late & code.keys() == (late if "/bright/" in name else set())


def test_where_shifts_are_applied_moves_no_records_of_stored_shards(home: Path) -> None:
    assert (
        planned_benchmark.changed(
            planned_benchmark.plan(home), planned_benchmark.plan(home, evaluate__shift_device="auto")
        )
        == set()
    )


def test_originals_of_a_shift_that_is_not_stored_are_inputs_of_its_records(home: Path) -> None:
    planned_benchmark.add(home, "shifts", "textured", planned_benchmark.READS_SOURCES)
    over = {"shifts": {"textured": {"materialise": False}}, "benchmarks__small__shifts": ["textured"]}
    plan = planned_benchmark.plan(home, **over)
    name = "shapes/test/textured/1"
    for ref in (Ref("previews", name), Ref("records", f"shapes/perceptron-mixup-s0/plain/{name}")):
        inputs = plan.artifacts[ref].inputs
        assert {ref.name for ref in inputs if ref.kind == "sources"} == {"fashion_mnist", "mnist"}


def test_steps_of_a_stream_see_the_shifts_that_are_not_stored(home: Path) -> None:
    planned_benchmark.add(home, "streams", "day", planned_benchmark.STREAM)
    over = {"benchmarks__small__streams": ["day"], "benchmarks__small__shifts": []} | WHILE_READING
    plan = planned_benchmark.plan(home, **over)
    names = [f"shapes/perceptron-mixup-s0/plain/day/{step}" for step in ("000", "001", "002")]
    seen = [
        {ref.name for ref in plan.artifacts[Ref("records", name)].inputs if ref.kind == "previews"} for name in names
    ]
    mild, strong = "shapes/test/bright/1", "shapes/test/bright/5"
    assert seen == [{mild}, {mild, strong}, {mild, strong}]
    golden = [plan.artifacts[Ref("records", name)].recipe["golden"] for name in names]
    assert golden == [mild, strong, mild]


def test_golden_samples_of_what_may_not_be_passed_on_stay_here(home: Path) -> None:
    plan = planned_benchmark.plan(home, datasets__shapes__redistribute=False, **WHILE_READING)
    golden = Ref("previews", "shapes/test/bright/1", local=True)
    assert golden.path == "data/local/shapes/test/bright/1.json"
    assert golden in plan.artifacts
    assert not {ref for ref in plan.artifacts if ref.kind == "previews" and not ref.local}
