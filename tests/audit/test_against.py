"""Two runs compared: what moved, within which tolerance, because of what."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from makers.written_run import CLEAN, FOG, REPORT, SOURCE, TABLE, Run, records, weights, write_tables
from shiftbench.audit.compare import moved_rows, runs
from shiftbench.audit.compare.causes import Side
from shiftbench.audit.compare.runs import Comparison
from shiftbench.base import refs
from shiftbench.provenance import recipe

if TYPE_CHECKING:
    from makers.repositories import Repository

OTHER_CODE = {"code": {"shiftbench/stage.py": "2" * 32}}


@pytest.fixture
def there(tmp_path: Path) -> Run:
    return Run(tmp_path / "there").write()


def compared(there: Run, **changes: Any) -> Comparison:
    """Compare a run with changes with one without."""
    here = Run(there.root.with_name("here"), **changes).write()
    return sides(here, there)


def sides(here: Run, there: Run) -> Comparison:
    return runs.compare(Side(here.root, "this run"), Side(there.root, "there"))


def first(done: Comparison) -> set[tuple[str, str]]:
    """Return the first cause of each row that moved: kind and where."""
    return {(one.causes[0].kind, one.causes[0].path) for one in done.moved}


def places(done: Comparison) -> set[str]:
    return {f"{one.key['model'].rpartition('-')[2]} {one.key['shift']} {one.key['metric']}" for one in done.moved}


def test_equal_runs_are_equal(there):
    done = compared(there)
    assert (done.verdict, done.exit_code, done.rows, done.moved) == ("exact", 0, 7, ())


CHANGES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a parameter of a shift": ({"content": {FOG.path: {"shift": {"options": {"density": 2}}}}}, "params", FOG.path),
    "a seed": ({"content": {FOG.path: {"seed": 1}}}, "params", FOG.path),
    "code of the shifts": ({"content": {FOG.path: OTHER_CODE}}, "code", FOG.path),
    "the digest that a source declares": (
        {"content": {SOURCE.path: {"bytes": {"files": {"a.tar": "1" * 64}}}}},
        "data",
        SOURCE.path,
    ),
    "other shards by the same recipe": ({"salt": {FOG.path: "x"}}, "data", FOG.path),
    "other weights by the same recipe": ({"salt": {weights(1).path: "x"}}, "checkpoints", weights(1).path),
    "pinned weights": ({"content": {weights(1).path: {"model": {"pinned": "1" * 64}}}}, "checkpoints", weights(1).path),
    "another numpy": (
        {"salt": {records(0, FOG).path: "x"}, "around": {records(0, FOG).path: {"packages": {"numpy": "2.4.7"}}}},
        "environment",
        records(0, FOG).path,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_named_where_it_was_made(there, change):
    changes, kind, path = CHANGES[change]
    done = compared(there, **changes)
    assert first(done) == {(kind, path)}
    assert (done.verdict, done.exit_code) == ("statistical", 10)
    assert {one.cause for one in done.moved} == {kind}


def test_only_numbers_below_a_change_move(there):
    fog = compared(there, content={FOG.path: OTHER_CODE})
    assert places(fog) == {"s0 fog accuracy", "s1 fog accuracy", "erm fog accuracy", "erm fog auc"}
    other = Run(there.root.with_name("other"), salt={weights(1).path: "x"}).write()
    assert {"s0 fog accuracy", "s0 identity accuracy"}.isdisjoint(places(sides(other, there)))


def test_the_first_cause_upstream_wins_and_all_are_listed(there):
    changed = {FOG.path: {"seed": 1}, records(0, FOG).path: {"batch_size": 8, **OTHER_CODE}}
    done = compared(there, content=changed)
    row = next(one for one in done.moved if one.key["model"].endswith("s0"))
    found = [(cause.kind, cause.path, cause.what) for cause in row.causes]
    assert found == [
        ("params", FOG.path, "seed: 0 -> 1"),
        ("params", records(0, FOG).path, "batch_size: 16 -> 8"),
        ("code", records(0, FOG).path, "shiftbench/stage.py changed"),
    ]


def test_a_changed_recipe_that_gave_the_same_bytes_is_no_cause(there):
    here = Run(there.root.with_name("here"), salt={records(0, CLEAN).path: "x"})
    here.around = {records(0, CLEAN).path: {"python": "3.12.1"}}
    here.write()
    receipt = recipe.receipt_path(here.root, FOG)
    content = json.loads(receipt.read_text())
    content["recipe"]["seed"] = 7
    content["fingerprint"] = recipe.fingerprint(content["recipe"])
    receipt.write_text(json.dumps(content))
    assert {kind for kind, _ in first(sides(here, there))} == {"environment"}


def test_other_bytes_for_no_reason_are_not_explained(there):
    done = compared(there, salt={records(0, FOG).path: "x"}, around={FOG.path: {"python": "3.12.1"}})
    assert first(done) == {("unexplained", records(0, FOG).path)}
    assert (done.verdict, done.exit_code) == ("failed", 30)


def edit(run: Run, by: float, at: int = 2, what: str = "value") -> None:
    """Change one number of the table."""
    file = run.root / TABLE.path
    table = pl.read_parquet(file)
    one = pl.int_range(pl.len()) == at
    edited = pl.when(one).then(pl.col(what) + by).otherwise(what).alias(what)
    table.with_columns(edited).write_parquet(file)


@pytest.mark.parametrize("stated", [False, True], ids=["edited", "receipt edited to match"])
def test_an_edited_number_is_not_explained(there, stated):
    here = Run(there.root.with_name("here")).write()
    edit(here, 0.0001)
    if stated:
        here.state(TABLE)
    done = sides(here, there)
    assert [one.by for one in done.moved] == [pytest.approx(0.0001)]
    assert (done.moved[0].cause, done.moved[0].tolerance, done.exit_code) == ("unexplained", "significant", 30)


OTHERS: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "code": {"content": {FOG.path: OTHER_CODE}},
    "params of the table": {"content": {TABLE.path: {"draws": 49}}},
    "another numpy everywhere": {
        "salt": {records(0, FOG).path: "x"},
        "around": {path: {"packages": {"numpy": "9"}} for path in (records(0, FOG).path, TABLE.path)},
    },
    "another Python, kernels of BLAS, and lock of the table": {
        "around": {TABLE.path: {"python": "3.99.7", "blas_core": "Zen", "lock": "1" * 64}}
    },
}


@pytest.mark.parametrize("change", OTHERS)
@pytest.mark.parametrize("what", ["value", "ci_low", "ci_high"])
@pytest.mark.parametrize("seed", range(3))
def test_an_edited_number_hides_behind_no_other_cause(there, change, what, seed):
    """A drawn row by a drawn step, receipts edited to match; its inputs are those of the other run."""
    if change == "params of the table" and what != "value":
        return  # another number of draws does move the ends of intervals
    draw = np.random.default_rng([*f"{change}{what}".encode(), seed])
    here = Run(there.root.with_name("here"), **OTHERS[change]).write()
    at = next(i for i in draw.permutation(7).tolist() if what == "value" or i in unmoved(here, there))
    edit(here, float(draw.choice([-1, 1]) * 10 ** -draw.uniform(0.5, 6)), at, what)
    here.state(TABLE)
    done = sides(here, there)
    assert (done.verdict, done.exit_code) == ("failed", 30)
    assert {c.path for one in done.moved for c in one.causes if c.kind == "unexplained"} == {TABLE.path}


def unmoved(here: Run, there: Run) -> list[int]:
    """Return the numbers of the rows that are equal in two runs."""
    tables = [pl.read_parquet(run.root / TABLE.path) for run in (here, there)]
    return [i for i, (one, two) in enumerate(zip(*(t.rows() for t in tables), strict=True)) if one == two]


@pytest.mark.parametrize("by", [1e-16, -3e-13, 9e-10])
def test_another_environment_moves_a_table_by_rounding(there, by):
    """The order in which a sum is taken follows from the kernels; the table is all that moved."""
    here = Run(there.root.with_name("here"), around={TABLE.path: {"blas_core": "Zen"}}).write()
    for at in range(7):
        edit(here, by, at)
    here.state(TABLE)
    done = sides(here, there)
    assert {cause.kind for one in done.moved for cause in one.causes} <= {"environment"}
    assert done.verdict in ("statistical", "exact")


def test_an_edited_receipt_explains_nothing(there):
    here = Run(there.root.with_name("here"), salt={records(0, FOG).path: "x"}).write()
    receipt = recipe.receipt_path(here.root, records(0, FOG))
    receipt.write_text(receipt.read_text().replace('"batch_size": 16', '"batch_size": 8'))
    done = sides(here, there)
    assert "was edited" in done.moved[0].causes[0].what
    assert done.exit_code == 30


@pytest.mark.parametrize(
    ("ref", "suffix"), [(records(0, FOG), ".receipt.json"), (records(0, FOG), ".run.json"), (TABLE, ".receipt.json")]
)
def test_evidence_that_is_not_here_leaves_it_incomplete(there, ref, suffix):
    here = Run(there.root.with_name("here"), salt={records(0, FOG).path: "x"}).write()
    (here.root / f"{ref.path}{suffix}").unlink()
    done = sides(here, there)
    assert {one.cause for one in done.moved} == {"missing"}
    assert (done.verdict, done.exit_code) == ("incomplete", 20)


def test_receipts_of_later_bytes_tell_nothing(there):
    here = Run(there.root.with_name("here"), content={FOG.path: {"seed": 1}}).write()
    here.salt = {FOG.path: "made again"}
    here.add(FOG, {"seed": 2}, CLEAN)
    assert sides(here, there).verdict == "incomplete"


def test_what_a_licence_keeps_elsewhere_is_told_by_its_digest(there):
    """Receipts of originals are in no store; the shards state what they were made from."""
    here = Run(there.root.with_name("here"), content={SOURCE.path: {"bytes": {"tree": "1" * 64}}}).write()
    for run in (here, there):
        shutil.rmtree((run.root / SOURCE.path).parent)
    assert {kind for kind, _ in first(sides(here, there))} == {"data"}


def test_rows_of_one_run_only_follow_from_params(there):
    done = compared(there, shifts=(FOG, refs.shards("pictures", "test", "fog", 5)))
    assert done.counts() == {("params", "only here"): 3, ("params", "significant"): 1}
    assert [one.key["metric"] for one in done.moved if one.by] == ["auc"]  # a level more in its mean


def test_a_benchmark_of_one_run_only(there):
    here = Run(there.root.with_name("here")).write()
    shutil.copytree((here.root / TABLE.path).parent, here.root / "results/tables/more")
    assert sides(here, there).counts() == {("params", "only here"): 7}
    here.content[REPORT.path] = {"benchmarks": {"small": {}, "more": {}}}
    here.add(REPORT, {}, TABLE)
    back = sides(there, here)
    assert back.counts() == {("params", "only there"): 7}


ROW: dict[str, Any] = {
    "benchmark": "small", "task": "classification", "model": "w", "method": "plain", "detector": None, "dataset": "d",
    "split": "test", "reference": None, "shift": "identity", "severity": 0.0, "group": None, "step": None,
    "metric": "accuracy", "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 100, "seed": 0, "unit": "key", "units": 100,
}  # fmt: skip
TOLERANCES = {
    "rounding": ({"value": 0.5 + 5e-10}, {}, True),
    "interval": ({"ci_low": 0.41}, {}, True),
    "within": ({"value": 0.55}, {"noise": 0.05}, True),
    "significant": ({"value": 0.501}, {}, True),
    "undefined": ({"value": None, "ci_low": None, "ci_high": None}, {}, True),
    "within, unpaired": ({"value": 0.59}, {}, False),
    "significant, unpaired": ({"value": 0.7, "ci_low": 0.65}, {}, False),
    "within, another unit": ({"value": 0.59, "unit": "cluster"}, {}, True),
}


@pytest.mark.parametrize("case", TOLERANCES)
def test_tolerance(tmp_path, case):
    change, how, paired = TOLERANCES[case]
    write_tables(tmp_path / "there", [ROW])
    write_tables(tmp_path / "here", [ROW | change], **how)
    files = [tmp_path / side / "metrics.parquet" for side in ("here", "there")]
    count, moved = moved_rows.rows(*files, paired=paired)
    assert count == len(moved) == 1
    assert moved[0].tolerance == case.partition(",")[0]


@pytest.mark.workflow
def test_a_revision_out_of_the_cache_and_the_remote(colleague: Repository) -> None:
    colleague.edit("params.yaml", "bins: 10", "bins: 100")
    colleague.make()
    (colleague.path / "moved.json").touch()
    before = colleague.run("git", "status", "--porcelain").stdout
    again = colleague.run("shiftbench", "audit", "--against", "HEAD", "--json", "moved.json", check=False)
    assert again.returncode == 10, again.stderr
    found = json.loads((colleague.path / "moved.json").read_text())
    assert {one["key"]["metric"] for one in found["moved"]} == {"ece"}
    assert found["counts"].keys() == {"params"}
    assert found["moved"][0]["causes"][0]["what"] == "metrics.ece.options.bins: 10 -> 100"
    assert "moved, and explained" in again.stdout

    shutil.rmtree(colleague.path / ".dvc/cache")
    assert colleague.run("shiftbench", "audit", "--against", "HEAD", check=False).returncode == 10
    kept = list((colleague.path / ".dvc/cache").rglob("*"))
    assert not [file for file in kept if file.suffix == ".tar"]
    assert colleague.run("git", "status", "--porcelain").stdout == before

    shutil.rmtree(colleague.path / ".dvc/cache")
    colleague.run("dvc", "remote", "modify", "--local", "local", "url", "/nowhere")
    for revision, said in {
        "HEAD": "not complete",
        "HEAD~1": "no dvc.lock",
        "nowhere": "neither a folder nor a revision",
    }.items():
        done = colleague.run("shiftbench", "audit", "--against", revision, check=False)
        assert done.returncode in (2, 3)
        assert said in " ".join(done.stderr.split())


@pytest.mark.workflow
def test_another_checkout(author: Repository, colleague: Repository) -> None:
    """Originals' receipts are only where they were fetched, and what may not be passed on is only there."""
    done = colleague.run("shiftbench", "audit", "--against", str(author.path))
    assert "nothing moved" in done.stdout
    empty = colleague.path / "empty"
    empty.mkdir()
    done = colleague.run("shiftbench", "audit", "--against", "empty", check=False)
    assert (done.returncode, "has no results" in done.stderr) == (3, True)
