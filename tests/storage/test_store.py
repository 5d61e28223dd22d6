"""The store: what a user's words ask for, which bytes are wrong, what a repair drops. DVC itself: tests/workflow."""

from pathlib import Path
from unittest.mock import ANY

import pytest

from makers import planned_benchmark
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.plan.prune import prune
from shiftbench.workflow.storage import pull

BRIGHT = "data/shards/shapes/test/bright/1/manifest.json"
W0 = "checkpoints/shapes/perceptron-mixup-s0.safetensors"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a plugin of each family."""
    planned_benchmark.make(tmp_path)
    return tmp_path


@pytest.fixture
def plan(home: Path) -> Plan:
    """A plan of which shards, weights and records are there."""
    made = planned_benchmark.plan(home)
    planned_benchmark.settle(made, home, ("shards", "checkpoints", "records"))
    return made


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("records", [f"results/{name}" for name in "records overlaps searches scores analyses".split()]),
        ("shards", ["data/shards", "results/previews"]),
        ("shapes/test/bright", ["data/shards/shapes/test/bright", "results/previews/shapes/test/bright"]),
        ("shapes/test/bright/2.5", ["data/shards/shapes/test/bright/2.5", "results/previews/shapes/test/bright/2.5"]),
        ("checkpoints/shapes", ["checkpoints/shapes"]),
        ("shapes/perceptron-mixup-s0", [
            "checkpoints/shapes/perceptron-mixup-s0",
            "results/records/shapes/perceptron-mixup-s0",
            "results/scores/shapes/perceptron-mixup-s0",
        ]),
        ("small", ["results/samples/small", "results/tables/small"]),
    ],
)  # fmt: skip
def test_words_ask_for_planned_paths(plan: Plan, asked: str, expected: list[str]) -> None:
    assert pull.paths_of(plan, asked) == expected


def test_a_word_that_names_nothing_is_told(plan: Plan) -> None:
    with pytest.raises(ParamsError, match="nothing planned is called 'shape'; did you mean shapes"):
        pull.paths_of(plan, "shape")


def test_bytes_are_compared_with_the_receipt(plan: Plan, home: Path) -> None:
    artifacts = {artifact.ref.path: artifact for artifact in plan.artifacts.values()}
    assert pull.verify(home, artifacts[W0]) == []
    (home / W0).write_text("other")
    assert pull.verify(home, artifacts[W0])[0].startswith(f"{home / W0}: sha256 is d9298a10")
    (home / W0).unlink()
    assert pull.verify(home, artifacts[W0]) == [f"{W0}: the output or its receipt is missing"]


def test_repair_drops_what_is_damaged_and_nothing_else(plan: Plan, home: Path) -> None:
    (home / W0).write_text("other")
    assert pull.repair(plan, home, "checkpoints") == {W0: ANY}
    assert not (home / W0).exists()
    assert not recipe.receipt_path(home, plan.artifacts[next(r for r in plan.artifacts if r.path == W0)].ref).exists()
    assert (home / W0.replace("s0", "s1")).exists()
    assert pull.repair(plan, home, "results/records") == {}


def test_repair_knows_a_tar_by_its_folder(plan: Plan, home: Path) -> None:
    (home / BRIGHT).write_text("other")
    assert pull.repair(plan, home, str(home / BRIGHT.replace("manifest.json", ""))) == {BRIGHT: ANY}
    with pytest.raises(ParamsError, match="no planned output is at 'nowhere'; `shiftbench plan --list all` lists them"):
        pull.repair(plan, home, "nowhere")


def test_pull_without_dvc_says_so(plan: Plan, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(DataError, match=r"is not in a DVC repository, so it has no remote; `dvc init`"):
        pull.pull(plan, home, ["checkpoints"])


def test_prune_moves_what_the_plan_no_longer_names(home: Path, plan: Plan) -> None:
    after = planned_benchmark.plan(home, shifts__bright__severities=[1])
    stray = home / "results/records/shapes/stray.parquet"
    stray.write_text("no one's")
    moved = prune(after, home, ["shards", "records"])
    assert set(moved) >= {"data/shards/shapes/test/bright/2.5/manifest.json", "results/records/shapes/stray.parquet"}
    assert (home / ".trash/results/records/shapes/stray.parquet").read_text() == "no one's"
    assert not (home / "data/shards/shapes/test/bright/2.5").exists()
    assert (home / BRIGHT).is_file()
    assert recipe.receipt_path(home, next(ref for ref in after.artifacts if ref.path == BRIGHT)).is_file()
    below = home / "results/report/metrics/small/perceptron.json"  # in a folder of an output's own
    below.parent.mkdir(parents=True)
    below.touch()
    assert prune(after, home, ["shards", "checkpoints", "records", "tables"]) == []
    assert below.is_file()


def test_shards_that_are_not_stored_any_more_are_pruned_and_not_asked_for(home: Path, plan: Plan) -> None:
    after = planned_benchmark.plan(home, shifts__bright__materialise=False)
    assert BRIGHT in prune(after, home, ["shards"])
    assert not (home / "data/shards/shapes/test/bright").exists()
    assert pull.paths_of(after, "shapes/test/bright") == ["results/previews/shapes/test/bright"]
    assert not {artifact.ref.path for artifact in after.artifacts.values()} & {BRIGHT}


def test_what_a_pull_did_not_bring_is_told_by_kind_with_what_to_do() -> None:
    records = [Ref("records", f"w/m/plain/d/test/fog/{n}") for n in range(1, 6)]
    others = [Ref("sources", "digits"), Ref("shards", "d/test/identity/0", local=True)]
    said, *lines = pull.missing_lines([*others, *reversed(records)])
    assert said == "planned, and not here:"
    assert [line.split(": ", 1)[0] for line in lines] == [
        "  5 records (w/m/plain/d/test/fog/1, w/m/plain/d/test/fog/2, w/m/plain/d/test/fog/3 and 2 more)",
        "  1 shards (d/test/identity/0)",
        "  1 sources (digits)",
    ]
    assert "`shiftbench pull`" in lines[0]
    assert "may not be redistributed" in lines[1]
    assert pull.missing_lines([]) == []
