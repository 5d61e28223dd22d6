"""Streams: support before positions, several sets at one time, passes that begin anew; from the plan to the tables."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from makers import planned_benchmark
from makers.made_benchmark import Made, checkout
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.data import splits
from shiftbench.plugins.streams._steps import Step, Support, check, describe_steps
from shiftbench.statistics.claims import expressions, metric_rows
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.tools import run_local

DRIFT = """
from shiftbench.plugins.streams._steps import Step, Support
PARAMS = {"support": "tiny/train"}
def steps(params):
    dataset, split = params["support"].split("/")
    found = []
    for number in range(2):
        shown = (Support(dataset, split, "contrast", 3.0, number, 2),)
        found += [
            Step("tiny", "test", "contrast", 3.0, shown, at=2 * number, reset=True),
            Step("secret", "test", "contrast", 3.0, at=2 * number),
            Step("tiny", "test", "contrast", 5.0, at=2 * number + 1),
            Step("secret", "test", "contrast", 5.0, at=2 * number + 1),
        ]
    return found
"""
LEARNS = """
import numpy as np
from pathlib import Path
SEES = "stream"
PARAMS = {}
class Learns:
    def __init__(self, predictor):
        self.predictor = predictor
        self.reset()
    def reset(self):
        self.bias = np.zeros(3, np.float32)
    def adapt(self, samples):
        with Path("steps.txt").open("a") as log:
            log.write(" ".join(f"{s.key}={s.fields['label']}" for s in samples) + "\\n")
        self.bias[samples[0].fields["label"]] += 1e6 + len(samples)
    def __call__(self, samples):
        outputs = self.predictor(samples)
        return {**outputs, "logits": outputs["logits"] + self.bias}
def wrap(predictor, params, inputs):
    return Learns(predictor)
"""


def step(dataset: str = "a", **more: Any) -> Step:
    return Step(dataset, "test", "fog", 1.0, **more)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step(at=1), step("b", at=0)], r"position 1 \(test b/test/fog/1\) at time 0 comes after time 1"),
        ([step(at=1), step(at=1)], "is a second time at that time"),
        ([step(support=(Support("a", "test"),))], "a/test is support at position 0 and tested, too"),
        ([step(support=(Support("a", "val", part=2, of=2),))], "is part 2 of 2; the first is part 0"),
    ],
)
def test_what_makes_no_stream_is_refused(steps: list[Step], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        check("day", steps)


def test_a_schedule_is_told() -> None:
    shown = (Support("c", "val", "fog", 1.0, 0, 3),)
    assert describe_steps([step(support=shown, at=2), step("b", at=2), step(at=3, reset=True)]) == [
        "   2  reset, support c/val/fog/1 0/3, test a/test/fog/1",
        "   2  test b/test/fog/1",
        "   3  reset, test a/test/fog/1",
    ]


def test_parts_are_disjoint_and_have_all_classes() -> None:
    labels = {f"{number:03d}": number % 3 for number in range(36)}
    parts = [splits.part(labels, number, 4) for number in range(4)]
    assert sorted(key for keys in parts for key in keys) == sorted(labels)
    for keys in parts:
        assert sorted(labels[key] for key in keys) == [0] * 3 + [1] * 3 + [2] * 3


# ---------------------------------------------------------------------- a benchmark that adapts


def asked(root: Path, **options: Any) -> plans.Plan:
    """Plan the tiny benchmark with a stream, and with a method that learns."""
    planned_benchmark.add(root, "streams", "drift", DRIFT)
    planned_benchmark.add(root, "methods", "learns", LEARNS)
    plans._code.cache_clear()
    return Made(root).plan(
        streams={"drift": options},
        benchmarks__tiny__streams=["drift"],
        benchmarks__tiny__methods=["plain", "learns"],
        benchmarks__tiny__shifts=["contrast"],
        benchmarks__tiny__models=[{"architectures": ["convnet"], "trainers": ["erm"], "seeds": [0]}],
        benchmarks__tiny__detectors=["msp"],
        benchmarks__tiny__val_ood=[],
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("ran") / "checkout"
    made = checkout(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(registry.Folders, "extra", registry.Folders.extra)
        run_local.make(asked(root), root)
    return made


@pytest.fixture
def here(ran: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(ran.root)
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    return ran


def test_what_was_shown_and_in_which_order_is_in_the_recipe(here: Made) -> None:
    artifacts = here.plan().artifacts
    places = [Ref("records", f"tiny/convnet-erm-s0/learns/drift/00{at}") for at in (1, 4, 6)]
    streams = [artifacts[place].recipe["stream"] for place in places]
    shown, tested = "support tiny/train/contrast/3", "test tiny/test/contrast/3"
    assert streams[0] == {"before": [f"{shown} 0/2", tested], "support": []}
    assert streams[1] == {"before": [], "support": [["tiny/train/contrast/3", 1, 2]]}
    assert streams[2]["before"] == [f"{shown} 1/2", tested, "test secret/test/contrast/3"]
    assert Ref("shards", "tiny/train/contrast/3") in artifacts[places[2]].inputs


def test_support_is_shown_where_a_pass_begins(here: Made) -> None:
    lines = (here.root / "steps.txt").read_text().splitlines()[:2]
    keys = [{word.partition("=")[0] for word in line.split()} for line in lines]
    assert min(map(len, keys)) > 20
    assert keys[0].isdisjoint(keys[1])
    rows = pl.read_parquet(here.root / "results/tables/tiny/metrics.parquet")
    place = (pl.col("metric") == "accuracy") & pl.col("group").is_null() & (pl.col("seed") == 0)
    adapted = rows.filter(place & (pl.col("method") == "learns") & pl.col("step").is_not_null())
    assert adapted["step"].sort().to_list() == [0, 1, 2, 3]
    assert adapted["value"].max() < 0.5  # one class is always said
    plain = rows.filter(place & (pl.col("method") == "plain") & pl.col("step").is_not_null())
    assert plain.sort("step")["value"].to_list()[:2] == plain.sort("step")["value"].to_list()[2:]


def test_detectors_compare_sets_of_one_time_and_claims_name_steps(here: Made) -> None:
    folder = here.root / "results/tables/tiny"
    metrics, replicates = (pl.read_parquet(folder / f"{name}.parquet") for name in ("metrics", "replicates"))
    rows = metrics.filter((pl.col("metric") == "auroc") & (pl.col("method") == "plain") & (pl.col("seed") == 0)).sort(
        "step", nulls_last=True
    )
    assert rows["step"].to_list() == [0, 1, 2, 3, None]
    assert rows["dataset"].unique().to_list() == ["secret"]
    assert rows["reference"].to_list() == [
        *[f"tiny/test/contrast/{level}" for level in (3, 5, 3, 5)],
        "tiny/test/identity/0",
    ]
    chosen = {"metric": "auroc", "model": "convnet-erm", "method": "plain", "step": [0, 3]}
    value = expressions.evaluate(metric_rows.MetricRows.of(metrics, replicates), {"mean": chosen}).values[0]
    assert value[0] == pytest.approx(rows["value"].gather([0, 3]).mean())


def test_the_audit_agrees(here: Made) -> None:
    checks = ("selection", "coverage", "aggregates", "rows", "chain", "reevaluation", "caching")
    done = here.audit(*checks, level=3)
    wrong = {one.name: one.findings for one in done.results if one.findings}
    assert wrong == {}


def test_a_copy_under_another_name_is_refused(here: Made) -> None:
    plan = here.plan(
        streams={"drift": {"support": "copy/test"}},
        datasets__copy={"use": "tiny", "subset": {"test": 1.0}},
        benchmarks__tiny__detectors=[],
        benchmarks__tiny__ood=[],
    )
    with pytest.raises(DataError, match=r"is tested and has the content of 'copy/all/\d+' of copy"):
        run_local.make(plan, here.root)
    found = [one.why for one in here.findings("selection", plan=plan)]
    assert any("support and tested of stream drift share" in why for why in found)


def test_two_streams_whose_rows_would_be_equal_are_refused(here: Made) -> None:
    plan = here.plan(streams={"drift": {}, "again": {"use": "drift"}})
    asked_for = plan.params.benchmarks["tiny"].model_copy(update={"streams": ("drift", "again")})
    with pytest.raises(ParamsError, match="streams 'drift' and 'again' test tiny/test/contrast/3"):
        plan.conditions(asked_for)
