"""Recipe files, and how the outputs stand that they are of."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from makers import planned_benchmark
from shiftbench.base.errors import DataError
from shiftbench.base.files import write_json
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.workflow.plan import prune
from shiftbench.workflow.plan.plan import Plan


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a plugin of each family."""
    planned_benchmark.make(tmp_path)
    return tmp_path


def stale(plan: Plan, root: Path) -> set[str]:
    """Return the jobs that have a stale output."""
    return {name for name, states in plan.status(root).items() if not {"fresh", "missing"}.issuperset(states.values())}


def test_what_is_stale_is_told_with_the_reason(home: Path) -> None:
    planned_benchmark.settle(planned_benchmark.plan(home), home, ("shards", "checkpoints", "records"))
    assert stale(planned_benchmark.plan(home), home) == set()
    plan = planned_benchmark.plan(home, trainers__mixup__epochs=2)
    assert stale(plan, home) == {
        *(f"train/shapes/perceptron-mixup-s{seed}" for seed in (0, 1)),
        *(f"evaluate/shapes/perceptron-mixup-s{seed}/plain" for seed in (0, 1)),
    }
    ref = Ref("checkpoints", "shapes/perceptron-mixup-s0")
    state = plan.status(home)["train/shapes/perceptron-mixup-s0"][ref]
    assert state == "recipe changed: trainer.options.epochs: 1 -> 2"


def test_other_bytes_upstream_make_stale_what_consumed_them(home: Path) -> None:
    plan = planned_benchmark.plan(home)
    planned_benchmark.settle(plan, home, ("shards", "checkpoints", "records"))
    retrained = Ref("checkpoints", "shapes/perceptron-mixup-s0")
    receipt = recipe.receipt(home, retrained)
    assert receipt
    (home / retrained.path).write_text("other bytes")
    made = {Path(retrained.path).name: recipe.sha256(home / retrained.path)}
    write_json(recipe.receipt_path(home, retrained), {**receipt, "made": made})
    assert stale(plan, home) == {"evaluate/shapes/perceptron-mixup-s0/plain"}


def test_recipe_files_change_only_with_their_content(home: Path) -> None:
    planned_benchmark.plan(home).write(home)
    file = home / "recipes/aggregate/small.json"
    before = file.stat().st_ino
    planned_benchmark.plan(home).write(home)
    assert file.stat().st_ino == before
    planned_benchmark.plan(home, benchmarks__small__shifts=[]).write(home)
    assert file.stat().st_ino != before
    assert not (home / "recipes/shift/shapes/test/bright.json").exists()


def test_a_recipe_file_tells_nothing_of_the_machine(home: Path) -> None:
    plan = planned_benchmark.plan(home)
    plan.write(home)
    for file in (home / "recipes").rglob("*.json"):
        text = file.read_text()
        assert str(home) not in text
        assert os.uname().nodename not in text
        job = recipe.Job.read(file)
        assert job.text() == text
        assert all(recipe.fingerprint(artifact.recipe) == artifact.fingerprint for artifact in job.artifacts)
    settings = json.loads((home / "recipes/shift/shapes/test/bright.json").read_text())["settings"]
    assert settings == {"plugins": ["mine"]}


def test_where_shards_are_streamed_from_decides_no_byte(home: Path) -> None:
    before = planned_benchmark.plan(home)
    after = planned_benchmark.plan(home, shards__stream="mirror")
    assert planned_benchmark.fingerprints(after) == planned_benchmark.fingerprints(before)
    streaming = {job.verb for job in after.jobs.values() if job.settings.get("stream") == "mirror"}
    assert streaming == {"shift", "train", "evaluate", "score", "report"}
    assert not [job for job in before.jobs.values() if "stream" in job.settings]


@pytest.mark.parametrize("what", ["unlink", "rename", "mkdir"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_root_that_cannot_be_written_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, what: str, number: int
) -> None:
    """Whatever is refused first: what is no longer planned, a new recipe, a folder."""
    plan = planned_benchmark.plan(home)
    plan.write(home)
    (home / "recipes/train/gone.json").write_text("{}")
    if what in ("rename", "mkdir"):
        shutil.rmtree(home / "recipes")
    place = (Path, {"rename": "replace"}.get(what, what))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*place, refuse)
    with pytest.raises(DataError, match=f"cannot write .*{os.strerror(number)}"):
        plan.write(home)


def test_what_cannot_be_moved_to_the_trash_is_said(home: Path) -> None:
    plan = planned_benchmark.plan(home)
    (home / "checkpoints").mkdir()
    (home / "checkpoints/gone.safetensors").touch()
    (home / ".trash").write_text("a file")
    with pytest.raises(DataError, match="cannot write .*trash/checkpoints/gone"):
        prune.prune(plan, home, ["checkpoints"])
