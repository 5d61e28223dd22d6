"""Recipes and receipts: one text per value, outputs whole or not at all, moved code refused."""

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isolation import ROOT
from makers import planned_benchmark
from shiftbench.base import registry
from shiftbench.base.errors import DataError, StaleError
from shiftbench.base.files import scratch, sha256, write_bytes, write_json
from shiftbench.base.refs import Ref
from shiftbench.data import row_digests
from shiftbench.provenance import code_digest, recipe
from shiftbench.provenance.recipe import Artifact, Job, Run

ONE, TWO = Ref("tables", "one"), Ref("tables", "two")


def job(home: Path, **over: object) -> tuple[Path, Job]:
    """Write the recipe file of a job with two artifacts; the second is made from the first."""
    first = Artifact.of(ONE, {"verb": "aggregate", "draws": 1, **over}, ())
    second = Artifact.of(TWO, {"verb": "aggregate", "upstream": {ONE.path: first.fingerprint}}, (ONE,))
    made = Job("aggregate", "both", (first, second), {"plugins": []})
    file = home / made.recipe_path
    write_bytes(file, made.text().encode())
    return file, made


def make(run: Run, todo: list[Artifact]) -> None:
    for artifact in todo:
        with scratch(run.path(artifact.ref)) as temporary:
            pq.write_table(pa.table({"name": [artifact.ref.name]}), temporary)
            run.note(device="cpu")
            run.commit(artifact, {"metrics.parquet": temporary})


def test_fingerprint_is_of_the_content_alone() -> None:
    assert recipe.canonical({"b": [1, 2.5], "a": "ä"}) == '{"a":"\\u00e4","b":[1,2.5]}'
    assert recipe.fingerprint({"a": 1, "b": 2}) == recipe.fingerprint({"b": 2, "a": 1})
    assert recipe.fingerprint({"a": 1}) != recipe.fingerprint({"a": 1.0})
    with pytest.raises(ValueError, match="Out of range float"):
        recipe.fingerprint({"a": float("nan")})


def test_made_once_then_at_rest(tmp_path: Path) -> None:
    file, planned = job(tmp_path)
    assert recipe.execute(file, make) == 2
    assert recipe.execute(file, make) == 0
    receipt = recipe.receipt(tmp_path, TWO)
    assert receipt == {
        "fingerprint": planned.artifacts[1].fingerprint,
        "recipe": planned.artifacts[1].recipe,
        "made": {"metrics.parquet": sha256(tmp_path / TWO.path)},
        "rows": {"metrics.parquet": row_digests.of(tmp_path / TWO.path)},
        "consumed": {ONE.path: sha256(tmp_path / ONE.path)},
    }
    run = json.loads((tmp_path / f"{TWO.path}.run.json").read_text())
    assert run["device"] == "cpu"
    assert run["environment"]["python"] == sys.version.split()[0]
    assert run.keys() >= {"commit", "dirty", "determinism", "finished", "seconds"}


def test_only_what_is_stale_is_made_again(tmp_path: Path) -> None:
    recipe.execute(job(tmp_path)[0], make)
    file, planned = job(tmp_path, draws=2)
    assert recipe.status(tmp_path, planned.artifacts[0]) == "recipe changed: draws: 1 -> 2"
    (tmp_path / TWO.path).unlink()
    assert recipe.status(tmp_path, planned.artifacts[1]) == "missing"
    assert recipe.execute(file, make) == 2


def test_other_bytes_of_an_input_make_stale(tmp_path: Path) -> None:
    _, planned = job(tmp_path)
    recipe.execute(tmp_path / planned.recipe_path, make)
    receipt = recipe.receipt(tmp_path, ONE)
    assert receipt
    write_json(recipe.receipt_path(tmp_path, ONE), {**receipt, "made": {"metrics.parquet": "0"}})
    assert recipe.status(tmp_path, planned.artifacts[1]) == f"input bytes changed: {ONE.path}"


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]"])
def test_an_output_with_a_damaged_receipt_is_stale(tmp_path: Path, damage: str) -> None:
    """It is there, so that Snakemake does not miss it."""
    _, planned = job(tmp_path)
    recipe.execute(tmp_path / planned.recipe_path, make)
    recipe.receipt_path(tmp_path, ONE).write_text(damage)
    assert recipe.status(tmp_path, planned.artifacts[0]) == "no whole receipt beside it"


def test_a_failed_job_leaves_nothing(tmp_path: Path) -> None:
    file, _ = job(tmp_path)

    def fail(run: Run, todo: list[Artifact]) -> None:
        with scratch(run.path(ONE)) as temporary:
            temporary.write_text("half")
            raise DataError("sample 'a' is damaged")

    with pytest.raises(DataError, match="sample 'a' is damaged"):
        recipe.execute(file, fail)
    assert list((tmp_path / "results").rglob("*.*")) == []


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a/b.txt"
    write_bytes(file, b"one")
    with scratch(file) as temporary:
        temporary.write_text("tw")  # and no rename
    assert [path.name for path in file.parent.iterdir()] == ["b.txt"]
    assert file.read_bytes() == b"one"


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot look at .*one.*: .*/results: Not a directory; outputs belong"):
        recipe.execute(job(tmp_path)[0], make)


def test_code_that_moved_under_the_recipe_is_refused(tmp_path: Path) -> None:
    planned_benchmark.make(tmp_path)
    planned_benchmark.load(tmp_path)
    source = tmp_path / "mine/shifts/bright.py"
    file, _ = job(tmp_path, **code_digest.of([source]).recipe())
    content = json.loads(file.read_text())
    content["settings"]["plugins"] = [str(tmp_path / "mine")]
    file.write_text(json.dumps(content))

    def edit_then_make(run: Run, todo: list[Artifact]) -> None:
        source.write_text(source.read_text().replace("1: 25", "1: 26"))
        make(run, todo)

    with pytest.raises(
        StaleError, match=r"mine/shifts/bright.py: LEVELS changed after the recipe of .*one.* was written"
    ):
        recipe.execute(file, edit_then_make)
    assert not (tmp_path / ONE.path).exists()
    with pytest.raises(StaleError, match="Run again: the new code gets its own recipe"):
        recipe.execute(file, make)
    registry.Folders.use(())


def test_two_processes_do_not_make_one_output_at_once(tmp_path: Path) -> None:
    """The second waits for the lock, which the kernel releases after a kill, and finds nothing to do."""
    file, _ = job(tmp_path)
    program = (
        "import sys, pathlib; sys.path[:0] = sys.argv[2:]; import test_recipe as t\n"
        "print(t.recipe.execute(pathlib.Path(sys.argv[1]), t.make))"
    )
    lock = tmp_path / "logs/locks/aggregate-both"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        helpers = (str(Path(__file__).parent), str(ROOT / "tests"))
        command = [sys.executable, "-c", program, str(file), *helpers]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            time.sleep(0.2)
            make(Run(file), Run(file).todo())
            fcntl.flock(held, fcntl.LOCK_UN)
            assert other.communicate(timeout=60)[0] == "0\n"


def test_differences_name_the_key() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    new = {"a": {"b": 2, "c": [1, 2]}, "e": "x" * 99}
    assert recipe.differences(old, new) == ["a.b: 1 -> 2", "d: 1 -> null", f'e: null -> "{"x" * 56}...']
