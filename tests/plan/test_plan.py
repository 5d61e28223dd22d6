"""The plan: names, edges, fingerprints and stamps; nothing is run."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from makers import planned_benchmark
from shiftbench.base.errors import ParamsError, PluginError
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan import loading
from shiftbench.workflow.plan.plan import Plan

BRIGHT = "data/shards/shapes/test/bright/1/manifest.json"
W0 = "checkpoints/shapes/perceptron-mixup-s0.safetensors"
R0 = "results/records/shapes/perceptron-mixup-s0/plain/shapes/test/bright/1.parquet"
SAMPLES = "results/samples/small.json", "results/report/samples/small/index.html"
CLEAN_R0 = "results/records/shapes/perceptron-mixup-s0/plain/shapes/test/identity/0.parquet"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a plugin of each family."""
    planned_benchmark.make(tmp_path)
    return tmp_path


def test_every_name_is_a_path(home: Path) -> None:
    """The whole plan, written out by hand."""
    shards = [f"data/shards/shapes/{part}/manifest.json" for part in (
        "test/bright/1", "test/bright/2.5", "test/identity/0", "train/identity/0", "val/identity/0")]  # fmt: skip
    previews = [f"results/previews/shapes/test/{part}.json" for part in ("bright/1", "bright/2.5", "identity/0")]
    weights = [f"checkpoints/shapes/perceptron-mixup-s{seed}.safetensors" for seed in (0, 1)]
    records = [
        f"results/records/shapes/perceptron-mixup-s{seed}/plain/shapes/test/{part}.parquet"
        for seed in (0, 1)
        for part in ("bright/1", "bright/2.5", "identity/0")
    ]
    scores = [
        f"results/scores/shapes/perceptron-mixup-s{seed}/plain/margin/shapes/test/identity/0.parquet" for seed in (0, 1)
    ]
    end = ["results/tables/small/metrics.parquet", "results/report/index.html", *SAMPLES]
    expected = [*shards, *previews, *weights, *records, *scores, *end]
    assert sorted(planned_benchmark.fingerprints(planned_benchmark.plan(home))) == sorted(expected)


def test_a_job_covers_all_severities(home: Path) -> None:
    jobs = planned_benchmark.plan(home).jobs
    assert list(jobs) == [
        "shift/shapes/test/bright",
        "shift/shapes/test/identity",
        "shift/shapes/train/identity",
        "shift/shapes/val/identity",
        "train/shapes/perceptron-mixup-s0",
        "train/shapes/perceptron-mixup-s1",
        "evaluate/shapes/perceptron-mixup-s0/plain",
        "evaluate/shapes/perceptron-mixup-s1/plain",
        "score/shapes/perceptron-mixup-s0/plain",
        "score/shapes/perceptron-mixup-s1/plain",
        "aggregate/small",
        "report/index",
        "report/samples/small",
        "report/samples/small/index",
    ]
    job = jobs["evaluate/shapes/perceptron-mixup-s0/plain"]
    assert job.rule == "evaluate_shapes_perceptron_mixup_s0_plain"
    assert len(job.outputs) == 3
    assert Ref("checkpoints", "shapes/perceptron-mixup-s0") in job.inputs


CHANGES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the seed": ({"seed": 1}, BRIGHT, "data/shards/shapes/test/identity/0/manifest.json"),
    "a dataset's option": ({"datasets__shapes__size": 32}, W0, "none"),
    "a subset of test": ({"datasets__shapes__subset": {"test": 5}}, CLEAN_R0, W0),
    "the batch size": ({"evaluate": {"batch_size": 8}}, R0, W0),
    "threads of a training": ({"train": {"threads": 2}}, R0, BRIGHT),
    "a trainer's option": ({"trainers__mixup__epochs": 2}, R0, BRIGHT),
    "a shift's option": ({"shifts__bright__spread": 0.1}, R0, CLEAN_R0),
    "fresh words": ({"shifts__bright__fresh": True}, R0, CLEAN_R0),
    "the number of draws": ({"bootstrap": {"resamples": 7}}, "results/tables/small/metrics.parquet", R0),
    "a metric's entry": ({"metrics__more": {"use": "balanced"}}, "results/tables/small/metrics.parquet", R0),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_moves_fingerprints_from_there_on(home: Path, case: str) -> None:
    over, moved, kept = CHANGES[case]
    found = planned_benchmark.changed(planned_benchmark.plan(home), planned_benchmark.plan(home, **over))
    assert moved in found
    assert kept not in found
    assert "results/report/index.html" in found


@pytest.mark.parametrize("over", [{"root": "elsewhere"}, {"fetch": {"offline": True}}, {"plugins": ["./mine"]}])
def test_where_things_lie_moves_nothing(home: Path, over: dict[str, Any]) -> None:
    assert planned_benchmark.changed(planned_benchmark.plan(home), planned_benchmark.plan(home, **over)) == set()


def test_one_severity_more_leaves_the_others(home: Path) -> None:
    found = planned_benchmark.changed(
        planned_benchmark.plan(home), planned_benchmark.plan(home, shifts__bright__severities=[1, 2.5, 4])
    )
    end = {"results/tables/small/metrics.parquet", "results/report/index.html", *SAMPLES}
    assert found == end


def test_arithmetic_of_a_plugin_counts_and_a_comment_does_not(home: Path) -> None:
    before = planned_benchmark.plan(home)
    file = home / "mine/shifts/bright.py"
    file.write_text(file.read_text() + "\n# a comment\n")
    assert planned_benchmark.changed(before, planned_benchmark.plan(home)) == set()
    file.write_text(file.read_text().replace("1: 25", "1: 26"))
    found = planned_benchmark.changed(before, planned_benchmark.plan(home))
    assert {BRIGHT, R0} <= found
    assert not {CLEAN_R0, W0} & found


def test_one_file_under_two_names(home: Path) -> None:
    plan = planned_benchmark.plan(
        home,
        models={"wide": {"use": "perceptron", "hidden": 99}},
        benchmarks__small__models=[{"architectures": ["perceptron", "wide"], "trainers": ["mixup"]}],
    )
    specs = {
        artifact.ref.name: artifact.recipe["model"]
        for artifact in plan.artifacts.values()
        if artifact.ref.kind == "checkpoints"
    }
    assert specs["shapes/wide-mixup-s0"] == {"name": "wide", "use": "perceptron", "options": {"size": 28, "hidden": 99}}
    assert specs["shapes/perceptron-mixup-s0"]["options"]["hidden"] == 64


ASKS_A_MODEL = """
from shiftbench.base import refs
FIELD, LEVELS, RANGE, PARAMS = "image", {}, (0.0, 5.0), {"judge": "perceptron"}
def needs(params):
    return [refs.checkpoint("shapes", params["judge"], "mixup", 7)]
"""


def test_needs_are_expanded_recursively(home: Path) -> None:
    """A shift that asks a model: its weights are planned, and the shards that they are trained on."""
    planned_benchmark.add(home, "shifts", "adversary", ASKS_A_MODEL)
    plan = planned_benchmark.plan(home, benchmarks__small__shifts=["adversary"], benchmarks__small__split="val")
    judge = Ref("checkpoints", "shapes/perceptron-mixup-s7")
    shifted = plan.artifacts[Ref("shards", "shapes/val/adversary/1")]
    assert judge in shifted.inputs
    assert Ref("shards", "shapes/train/identity/0") in plan.artifacts[judge].inputs
    assert shifted.recipe["upstream"][judge.path] == plan.artifacts[judge].fingerprint
    assert list(plan.artifacts).index(judge) < list(plan.artifacts).index(shifted.ref)


SOMETIMES = """
def needs(params):
    return [refs.sources("mnist")] if params["textured"] else []
"""


@pytest.mark.parametrize(
    ("more", "options", "expected"),
    [("", {}, {"fashion_mnist", "mnist"}), (SOMETIMES, {}, {"mnist"}), (SOMETIMES, {"textured": False}, set())],
)
def test_originals_that_a_shift_reads_are_inputs_of_its_shards(home, more, options, expected):
    planned_benchmark.add(home, "shifts", "textured", planned_benchmark.READS_SOURCES + more)
    plan = planned_benchmark.plan(home, shifts={"textured": options}, benchmarks__small__shifts=["textured"])
    inputs = plan.artifacts[Ref("shards", "shapes/test/textured/1")].inputs
    assert {ref.name for ref in inputs if ref.kind == "sources"} == expected
    assert inputs[0] == Ref("shards", "shapes/test/identity/0")


def test_a_trainer_learns_from_shifted_shards(home: Path) -> None:
    trained = planned_benchmark.plan(home, trainers__mixup__train_on="bright/2.5")
    artifact = trained.artifacts[Ref("checkpoints", "shapes/perceptron-mixup-s0")]
    shifted = [f"shapes/{split}/bright/2.5" for split in ("train", "val")]
    assert [ref.name for ref in artifact.inputs] == shifted
    assert artifact.recipe["train_on"] == "bright/2.5"
    assert {Ref("shards", name) for name in shifted} <= trained.artifacts.keys()
    plain = planned_benchmark.plan(home)
    assert "train_on" not in plain.artifacts[artifact.ref].recipe
    assert "checkpoints/shapes/perceptron-mixup-s0.safetensors" in planned_benchmark.changed(plain, trained)


def test_weights_may_have_methods_of_their_own(home: Path) -> None:
    weights = planned_benchmark.PARAMS["benchmarks"]["small"]["models"][0] | {"seeds": [0]}
    plan = planned_benchmark.plan(
        home, benchmarks__small__models=[weights, {**weights, "seeds": [1], "methods": ["mirror"]}]
    )
    found = {(row["model"][-2:], row["method"]) for row in plan.rows(plan.benchmarks["small"])}
    assert found == {("s0", "plain"), ("s1", "mirror")}


AT_A_POSITION = """
from shiftbench.base import refs
SEES, PARAMS = "sample", {"of": "perceptron-mixup"}
def needs(params):
    model, _, trainer = params["of"].partition("-")
    of = refs.checkpoint(params["dataset"], model, trainer, params["seed"])
    return [refs.records(of, "plain", params["stream"], params["step"])]
def wrap(predictor, params, inputs):
    return predictor
"""


def test_a_method_needs_what_others_made_at_the_same_position(home: Path) -> None:
    planned_benchmark.add(home, "methods", "beside", AT_A_POSITION)
    plan = planned_benchmark.plan(home, benchmarks__small__methods=["plain", "beside"])
    for step in ("identity/0", "bright/1", "bright/2.5"):
        name = f"shapes/perceptron-mixup-s1/{{}}/shapes/test/{step}"
        artifact = plan.artifacts[Ref("records", name.format("beside"))]
        assert [r.name for r in artifact.inputs if r.kind == "records"] == [name.format("plain")]


def test_a_slice_moves_the_split_that_it_is_of(home: Path) -> None:
    moved = planned_benchmark.changed(
        planned_benchmark.plan(home), planned_benchmark.plan(home, datasets__shapes__slice={"train": [0, 0.5]})
    )
    assert "data/shards/shapes/train/identity/0/manifest.json" in moved
    assert "data/shards/shapes/test/identity/0/manifest.json" not in moved


def test_a_circle_of_needs_is_refused(home: Path) -> None:
    text = (home / "mine/datasets/shapes.py").read_text()
    for name, other in (("hen", "egg"), ("egg", "hen")):
        need = f"\n\ndef needs(params):\n    return [refs.shards({other!r}, 'train')]\n"
        planned_benchmark.add(home, "datasets", name, f"{text}\nfrom shiftbench.base import refs\n{need}")
    with pytest.raises(
        PluginError,
        match=r"outputs need each other in a circle: .*shards:hen/train/identity/0 -> shards:egg/train/identity/0 "
        "-> shards:hen/train/identity/0",
    ):
        planned_benchmark.plan(home, benchmarks__small__dataset="hen")


def test_imagenet_c_is_planned_without_a_copy_of_imagenet(root: Path) -> None:
    """29 corruptions x 5 levels, of which no shards are stored."""
    whole = Plan.of(loading.load(root / "params.yaml", root / "params/imagenet_c.yaml"))
    kinds = Counter(ref.kind for ref in whole.artifacts)
    assert (kinds["records"], kinds["previews"], kinds["shards"]) == (1 + 29 * 5, 29 * 5, 1)


def test_positions_of_a_stream_are_numbered_and_see_what_came_before(home: Path) -> None:
    planned_benchmark.add(home, "streams", "day", planned_benchmark.STREAM)
    plan = planned_benchmark.plan(home, benchmarks__small__streams=["day"], benchmarks__small__shifts=[])
    positions = [p for p in plan.conditions(plan.params.benchmarks["small"]) if p.stream == "day"]
    assert [p.step for p in positions] == ["000", "001", "002"]
    assert [p.severity for p in positions] == [1, 5, 1]
    assert [len(p.earlier_inputs) for p in positions] == [0, 1, 2]
    assert {p.reference for p in positions} == {"shapes/test/identity/0"}
    last = plan.artifacts[Ref("records", "shapes/perceptron-mixup-s0/plain/day/002")]
    assert {ref.name for ref in last.inputs if ref.kind == "shards"} == {"shapes/test/bright/1", "shapes/test/bright/5"}
    rows = [row for row in plan.rows(plan.params.benchmarks["small"]) if row["records"].endswith("day/002")]
    assert {row["step"] for row in rows} == {2}


DOMAIN = """
DOMAIN = {"dataset": "sketches", "clean": "shapes", "split": "test"}
PARAMS = {}
"""


def test_a_domain_shift_is_other_data_relative_to_its_clean_partner(home: Path) -> None:
    planned_benchmark.add(home, "datasets", "sketches", (home / "mine/datasets/shapes.py").read_text())
    planned_benchmark.add(home, "shifts", "to_sketches", DOMAIN)
    plan = planned_benchmark.plan(home, benchmarks__small__shifts=["to_sketches"])
    artifact = plan.artifacts[Ref("records", "shapes/perceptron-mixup-s0/plain/shapes/test/to_sketches/1")]
    assert artifact.recipe["data"] == "sketches/test/identity/0"
    over = {"benchmarks__small__shifts": ["to_sketches"], "shards__materialise": False}
    assert planned_benchmark.changed(plan, planned_benchmark.plan(home, **over)) == set(), "there is nothing to apply"
    row = next(row for row in plan.rows(plan.params.benchmarks["small"]) if row["records"] == artifact.ref.name)
    assert row["reference"] == "shapes/test/identity/0"
    planned_benchmark.add(home, "datasets", "others", (home / "mine/datasets/shapes.py").read_text())
    with pytest.raises(
        ParamsError, match="'to_sketches' is relative to 'shapes', but the benchmark's dataset is 'others'"
    ):
        planned_benchmark.plan(home, benchmarks__small__shifts=["to_sketches"], benchmarks__small__dataset="others")


def test_what_may_not_be_passed_on_lies_in_a_place_of_its_own(home: Path) -> None:
    plan = planned_benchmark.plan(home, datasets__shapes__redistribute=False)
    paths = [artifact.ref.path for artifact in plan.artifacts.values() if artifact.ref.kind == "shards"]
    assert paths
    assert all(path.startswith("data/local/shapes/") for path in paths)


def test_ood_sets_and_detectors(home: Path) -> None:
    planned_benchmark.add(home, "datasets", "others", (home / "mine/datasets/shapes.py").read_text())
    plan = planned_benchmark.plan(home, benchmarks__small__ood=["others"])
    rows = plan.rows(plan.params.benchmarks["small"])
    scored = {(row["dataset"], row["shift"], row["ood"]) for row in rows if row["detector"]}
    assert scored == {("shapes", "identity", False), ("others", "identity", True)}


def test_a_domain_shift_may_have_severities_and_any_clean_partner(home: Path) -> None:
    for name in ("sketches", "between"):
        planned_benchmark.add(home, "datasets", name, (home / "mine/datasets/shapes.py").read_text())
    over = {
        "benchmarks__small__shifts": ["towards", "anywhere"],
        "shifts__towards": {"use": "domain", "clean": "shapes", "levels": {2: "sketches", 1: "between"}},
        "shifts__anywhere": {"use": "domain", "clean": "*", "dataset": "sketches"},
    }
    plan = planned_benchmark.plan(home, **over)
    places = {p.step: p for p in plan.conditions(plan.params.benchmarks["small"]) if p.shift == "towards"}
    assert [(p.data.parts[0], p.severity) for p in places.values()] == [("between", 1), ("sketches", 2)]
    record = "shapes/perceptron-mixup-s0/plain/shapes/test/{}/{}"
    data = {
        name: plan.artifacts[Ref("records", record.format(*name))].recipe["data"]
        for name in (("towards", 2), ("anywhere", 1))
    }
    assert set(data.values()) == {"sketches/test/identity/0"}
    other = planned_benchmark.plan(
        home, benchmarks__small__dataset="between", **(over | {"benchmarks__small__shifts": ["anywhere"]})
    )
    assert any("between/test/anywhere/1" in ref.name for ref in other.artifacts)
    with pytest.raises(ParamsError, match="shifts.towards.levels: .*expected severity: dataset"):
        planned_benchmark.plan(
            home, **{**over, "shifts__towards": {"use": "domain", "clean": "shapes", "levels": {"far": "sketches"}}}
        )
