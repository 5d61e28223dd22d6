"""Receipts of strangers and damaged ones, and outputs whose bytes are not theirs."""

import ctypes
import json
import os
import random  # noqa: TID251 - of damages, and seeded
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from makers.damages import VALUES, WORDS
from shiftbench.base.errors import DataError, ShiftbenchError, StaleError
from shiftbench.base.files import scratch, sha256, write_bytes, write_json
from shiftbench.base.refs import Ref
from shiftbench.provenance import receipts, recipe, run_files
from shiftbench.provenance.recipe import Artifact, Run

RECIPE = {"verb": "x", "code": {"a.py": "1"}}
TABLES, SHARDS = Ref("tables", "one"), Ref("shards", "d/test/fog/3")
FILES = {
    TABLES: ["metrics.parquet", "roc.parquet"],
    SHARDS: ["000000.tar", "000001.tar", "index.parquet", "manifest.json"],
}


def put(root: Path, ref: Ref) -> Artifact:
    """Put an output in place, with its receipt."""
    one = Artifact.of(ref, RECIPE, ())
    folder = (root / ref.path).parent
    folder.mkdir(parents=True)
    for name in FILES[ref]:
        (folder / name).write_text(f"{ref.path} {name}")
    state(root, ref)
    return one


def state(root: Path, ref: Ref) -> None:
    """Write a receipt of the bytes that are here."""
    made = {name: sha256((root / ref.path).with_name(name)) for name in FILES[ref]}
    one = Artifact.of(ref, RECIPE, ())
    content = {"fingerprint": one.fingerprint, "recipe": one.recipe, "made": made, "consumed": {}}
    write_json(receipts.receipt_path(root, ref), content)


def unlink(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def circle(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def same_bytes_by_link(file: Path) -> None:
    """As DVC does with `cache.type` symlink."""
    kept = file.with_name("kept")
    file.rename(kept)
    file.symlink_to(kept)


def same_bytes_by_second_name(file: Path) -> None:
    kept = file.with_name("kept")
    os.link(file, kept)


@pytest.mark.parametrize("ref", FILES, ids=lambda ref: ref.kind)
@pytest.mark.parametrize("how", [empty, folder, pipe, unlink, circle])
def test_every_file_of_an_output_counts(tmp_path: Path, ref: Ref, how: Callable[[Path], None]) -> None:
    for number, name in enumerate(FILES[ref]):
        root = tmp_path / str(number)
        one = put(root, ref)
        assert recipe.status(root, one) == "fresh"
        how((root / ref.path).with_name(name))
        state = recipe.status(root, one)
        if name == Path(ref.path).name and how in (unlink, circle):
            assert state == "missing"
        else:
            assert state.startswith("bytes ")
            assert state.endswith(f": {name}")
            assert recipe.is_damaged(state)


@pytest.mark.parametrize("how", [same_bytes_by_link, same_bytes_by_second_name])
def test_the_right_bytes_are_right_wherever_they_are(tmp_path: Path, how: Callable[[Path], None]) -> None:
    one = put(tmp_path, TABLES)
    how(tmp_path / TABLES.path)
    assert recipe.status(tmp_path, one) == "fresh"


def test_shards_without_any_tar_are_not_damaged(tmp_path: Path) -> None:
    one = put(tmp_path, SHARDS)
    for name in ("000000.tar", "000001.tar"):
        assert not receipts.is_hollow(tmp_path, SHARDS)
        (tmp_path / SHARDS.path).with_name(name).unlink()
    assert recipe.status(tmp_path, one) == "fresh"
    assert receipts.is_hollow(tmp_path, SHARDS)


def test_a_receipt_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    one = put(tmp_path, TABLES)
    file = receipts.receipt_path(tmp_path, TABLES)
    for words in WORDS:
        file.write_bytes(words)
        assert recipe.status(tmp_path, one) == "no whole receipt beside it", words
        assert run_files.time(file, "seconds", "cpu_seconds") is None, words
    for number, how in enumerate((folder, circle, unlink, pipe)):
        one = put(tmp_path / str(number), TABLES)
        file = receipts.receipt_path(tmp_path / str(number), TABLES)
        how(file)
        assert recipe.status(tmp_path / str(number), one) == "no whole receipt beside it"
        assert run_files.read(file) == {}


def test_an_edited_receipt_is_noticed_or_says_the_same(tmp_path: Path) -> None:
    """Any value of any part another one, in any place."""
    one = put(tmp_path, TABLES)
    file = receipts.receipt_path(tmp_path, TABLES)
    whole, draw = file.read_text(), random.Random(0)
    for _ in range(300):
        content = json.loads(whole)
        _change(content, draw)
        file.write_text(json.dumps(content))
        state = recipe.status(tmp_path, one)
        if state == "fresh":
            assert json.loads(whole)["made"].items() >= content["made"].items()
            assert recipe.fingerprint(content["recipe"]) == one.fingerprint


def _change(content: Any, draw: random.Random) -> None:
    key = draw.choice(sorted(content))
    if isinstance(content[key], dict) and content[key] and draw.random() < 0.8:
        _change(content[key], draw)
    else:
        content[key] = draw.choice(VALUES)


def test_a_run_file_informs_whatever_it_states(tmp_path: Path) -> None:
    file = tmp_path / "x.run.json"
    for value in VALUES:
        write_json(file, {"seconds": value, "cpu_seconds": 2})
        time = run_files.time(file, "seconds", "cpu_seconds")
        assert time == 2, value
    write_json(file, {"seconds": 3.5})
    assert run_files.time(file, "cpu_seconds", "seconds") == 3.5


@pytest.mark.parametrize("moment", ["before", "while", "made again", "never"])
def test_what_a_receipt_says_was_consumed_was_read(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input that is damaged before a job, or while it works, ends it; no receipt is written."""
    monkeypatch.setattr(recipe, "_row_digests", lambda *_: {})
    put(tmp_path, SHARDS)
    index = (tmp_path / SHARDS.path).with_name("index.parquet")
    record = Artifact.of(Ref("records", "r"), {"verb": "evaluate"}, (SHARDS,))
    job = recipe.Job("evaluate", "r", (record,), {"plugins": []})
    write_bytes(tmp_path / job.recipe_path, job.text().encode())

    def make(run: Run, todo: list[Artifact]) -> None:
        assert moment != "before"
        with scratch(run.path(record.ref)) as output:
            output.write_text("rows")
            if moment == "while":
                index.write_bytes(b"bad")
            if moment == "made again":
                (tmp_path / SHARDS.path).write_text("another")
                state(tmp_path, SHARDS)
            run.commit(record, {"r.parquet": output})

    if moment == "never":
        assert recipe.execute(tmp_path / job.recipe_path, make) == 1
        content = recipe.receipt(tmp_path, record.ref) or {}
        assert content["consumed"] == {SHARDS.path: sha256(tmp_path / SHARDS.path)}
        return
    if moment == "before":
        index.write_bytes(b"bad")
    kind: type[ShiftbenchError]
    kind, told = DataError, r"manifest\.json is not what .*changed: index\.parquet"
    if moment == "made again":
        kind, told = StaleError, r"manifest\.json was made again while evaluate r read it"
    with pytest.raises(kind, match=told):
        recipe.execute(tmp_path / job.recipe_path, make)
    assert not (tmp_path / record.ref.path).exists()


def test_what_is_in_the_place_of_an_output_is_told(tmp_path: Path) -> None:
    put(tmp_path, TABLES)
    (tmp_path / "results/tables").rename(tmp_path / "aside")
    (tmp_path / "results/tables").write_text("x")
    with pytest.raises(DataError, match=r"/results/tables: Not a directory; outputs belong there"):
        receipts.receipt(tmp_path, TABLES)


FORBIDDEN = {
    TABLES.path: "bytes unreadable: metrics.parquet",
    f"{TABLES.path}.receipt.json": "no whole receipt beside it",
    "results/tables/one": "/results/tables/one: Permission denied; outputs belong there",
    "results": "/results: Permission denied; outputs belong there",
}
LOOK = """
import sys, pathlib
from shiftbench.base.errors import DataError
from shiftbench.provenance import recipe
from shiftbench.base.refs import Ref
one = recipe.Artifact.of(Ref("tables", "one"), {"verb": "x", "code": {"a.py": "1"}}, ())
for root in map(pathlib.Path, sys.argv[1:]):
    try:
        print(recipe.status(root, one))
    except DataError as error:
        print(error)
"""


def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    for number, place in enumerate(FORBIDDEN):
        put(tmp_path / str(number), TABLES)
        (tmp_path / str(number) / place).chmod(0)
    roots = [str(tmp_path / str(number)) for number in range(len(FORBIDDEN))]
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *roots], preexec_fn=_as_others, capture_output=True, text=True, check=True
    )
    for line, told in zip(done.stdout.splitlines(), FORBIDDEN.values(), strict=True):
        assert told in line


def _as_others() -> None:
    """Take from root what lets it read everything; others never had it."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize("name", ["metrics.parquet", "metrics.parquet.receipt.json", "roc.parquet"])
def test_a_folder_in_the_place_of_a_file_is_told_before_any_work(tmp_path: Path, name: str) -> None:
    put(tmp_path, TABLES)
    folder((tmp_path / TABLES.path).with_name(name))
    job = recipe.Job("aggregate", "one", (Artifact.of(TABLES, {"verb": "y"}, ()),), {"plugins": []})
    write_bytes(tmp_path / job.recipe_path, job.text().encode())
    with pytest.raises(DataError, match=rf"{name} is a folder, and a file belongs there; move"):
        recipe.execute(tmp_path / job.recipe_path, lambda *_: pytest.fail("it works"))
