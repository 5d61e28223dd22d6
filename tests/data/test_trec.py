"""TREC's files."""

from pathlib import Path

import pytest

from shiftbench.base.errors import DataError
from shiftbench.data import trec


def test_a_run_comes_back_as_it_went(tmp_path: Path) -> None:
    lists = {"q1": [("FT.1-2", 2.5), ("d2", 0.125)], "q2": [("d2", -3.0)]}
    trec.write_run(tmp_path / "mine.run", lists, "mine")
    assert (tmp_path / "mine.run").read_text().splitlines()[1] == "q1 Q0 d2 2 0.125 mine"
    assert trec.read_run(tmp_path / "mine.run") == lists


def test_scores_decide_the_order_then_documents(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("q Q0 b 1 1 x\n\nq Q0 a 2 1 x\nq Q0 c 3 7 x\n")
    assert [name for name, _ in trec.read_run(tmp_path / "r")["q"]] == ["c", "a", "b"]


def test_qrels(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("301 0 FBIS3-1 2\n301 0 FBIS3-2 -1\n302\t0\td\t0\n")
    assert trec.read_qrels(tmp_path / "q") == {"301": {"FBIS3-1": 2, "FBIS3-2": -1}, "302": {"d": 0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 d\n", "line 1: expected `query iteration document grade`, found '1 0 d'"),
        ("1 0 d one\n", "line 1: grade 'one' is no whole number"),
        ("1 0 d 1\n1 0 d 0\n", "line 2: document 'd' is judged twice for query '1'"),
    ],
)
def test_bad_qrels_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "q").write_text(text)
    with pytest.raises(DataError, match=message):
        trec.read_qrels(tmp_path / "q")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 Q0 d 1 2\n", "line 1: expected `query Q0 document rank score name`"),
        ("1 Q0 d 1 x r\n", "line 1: score 'x' is no number"),
        ("1 Q0 d 1 2 r\n1 Q0 d 2 1 r\n", "line 2: document 'd' is ranked twice for query '1'"),
    ],
)
def test_bad_runs_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(DataError, match=message):
        trec.read_run(tmp_path / "r")
    with pytest.raises(DataError, match="gone does not exist"):
        trec.read_run(tmp_path / "gone")
