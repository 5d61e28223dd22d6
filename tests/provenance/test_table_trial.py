"""Tables of a stranger: a process of its own finds those that take all memory, or end who reads them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shiftbench.base.errors import DataError
from shiftbench.provenance import table_trial, trust

RNG = np.random.Generator


@pytest.fixture(autouse=True)
def untrusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "nobody"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good(file: Path) -> bytes:
    """Write a small table, and return its bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"key": ["a", "b"], "value": [1.0, 2.0]}), file)
    return file.read_bytes()


def repeated(file: Path, rng: RNG, kind: pa.DataType, *, told: bool) -> None:
    """A long value in a dictionary, and a row for each of its many uses; `told`: the file says that it is one."""
    values = pa.array([b"x" * 5_000], kind)
    rows = pa.array(np.zeros(int(rng.integers(60_000, 90_000)), np.int32))
    table = pa.table({"a": pa.DictionaryArray.from_arrays(rows, values)})
    pq.write_table(table, file, store_schema=told)


BOMBS = {
    "texts": (pa.string(), False),
    "texts of a dictionary": (pa.string(), True),
    "bytes": (pa.binary(), False),
    "bytes of one length": (pa.binary(5_000), False),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_large_table_in_a_small_file_is_not_read(untrusted: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(table_trial, "MEMORY", 1 << 28)
    good(untrusted / "a/first.parquet")
    dtype, told = BOMBS[kind]
    repeated(untrusted / "a/second.parquet", np.random.default_rng(0), dtype, told=told)
    assert (untrusted / "a/second.parquet").stat().st_size < 100_000
    good(untrusted / "b/third.parquet")
    with pytest.raises(DataError, match=r"a/second.parquet is not read: it takes more than 256 MiB"):
        table_trial.require(untrusted)
    table_trial.require(untrusted / "b")
    trust.trust(untrusted)
    table_trial.require(untrusted)  # of your own nothing is tried


def test_a_table_that_ends_the_process_is_named(untrusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good(untrusted / "a.parquet")
    good(untrusted / "b.parquet")
    ends = "import os; os.write(1, b'.\\n.\\n'); os.abort()"
    monkeypatch.setattr(table_trial, "_COMMAND", (sys.executable, "-c", ends))
    with pytest.raises(DataError, match=r"b.parquet is not read: a process that reads it is ended"):
        table_trial.require(untrusted)
    monkeypatch.setattr(table_trial, "_COMMAND", (sys.executable, "-c", "raise SystemExit('no')"))
    with pytest.raises(DataError, match="could not be tried: no"):
        table_trial.require(untrusted)


def test_drawn_damage_is_left_to_who_reads_it(untrusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file holds, and however it is called: no exception of the trial's, no other file blamed."""
    rng, data = np.random.default_rng(0), good(untrusted / "good.parquet")
    for number in range(60):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
            damaged[at] = int(rng.integers(256))
        (untrusted / f"{number}.parquet").write_bytes(damaged[: int(rng.integers(1, len(data)))])
    names = ["two\nlines", "\udcff", "sp ace", "-x", "link", "folder"]
    for name in names[:4]:
        (untrusted / f"{name}.parquet").write_bytes(b"PAR1")
    (untrusted / "link.parquet").symlink_to("/dev/zero")
    (untrusted / "folder.parquet").mkdir()
    run, ended = subprocess.run, []

    def noted(*words: Any, **how: Any) -> Any:
        ended.append(run(*words, **how))
        return ended[-1]

    monkeypatch.setattr(subprocess, "run", noted)
    table_trial.require(untrusted)
    [trial] = ended
    assert (trial.returncode, len(trial.stdout.split())) == (0, 1 + 60 + 4)


def test_where_no_tables_are_nothing_is_started(untrusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_trial, "_COMMAND", ("/nowhere",))
    table_trial.require(untrusted, untrusted / "missing")
    good(untrusted / "a.parquet")
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        table_trial.require(untrusted)
