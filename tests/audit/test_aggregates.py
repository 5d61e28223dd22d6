"""A14: an artifact of a table that the rows do not give is named by its row, by either implementation."""

import numpy as np
import polars as pl
import pytest

from makers import forgeries
from shiftbench.audit.checks import aggregates
from shiftbench.audit.recompute import metric_rows
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.tasks import LabelSpace, free_text

ACCURACY = (pl.col("metric") == "accuracy") & (pl.col("shift") == "contrast") & (
    pl.col("model").str.ends_with("-s0") & (pl.col("severity") == 3)
)  # fmt: skip
ROW = "tiny/classification/tiny/convnet-erm-s0/plain/tiny/test/"


def test_a_clean_benchmark_is_exact(made):
    result = made.result("aggregates")
    assert (result.verdict, result.findings) == ("exact", ())
    assert result.notes[0] == "tiny: 8 tables made again from the rows"
    assert "by a second implementation" in result.notes[1]


def test_a_cell_that_is_off_by_a_ten_thousandth_is_named(made):
    plan, ref = made.plan(), made.one("tables")
    true = pl.read_parquet(made.root / ref.path).filter(ACCURACY)["value"].item()
    forgeries.cell(made.root, ref, ACCURACY, value=pl.col("value") + 0.0001)
    for check in ("digests", "coherence", "rows"):
        assert made.findings(check, plan=plan) == []
    (finding,) = made.findings("aggregates", plan=plan)
    assert finding.file == ref.path
    assert finding.sample.startswith(ROW)
    assert finding.sample.endswith("/contrast/3.0/accuracy")
    assert (finding.expected, finding.found) == (repr(true), repr(true + 0.0001))
    assert finding.numbers == (f"tiny: accuracy of convnet-erm-s0 on tiny/test/contrast/3 = {true + 0.0001:.6g}",)


def test_records_of_texts_are_counted_anew(tmp_path):
    """They have `correct` and groups, and no loss."""
    name = "sums/net-sft-s0/plain/sums/test/identity/0"
    file = tmp_path / Ref("records", name).path
    file.parent.mkdir(parents=True)
    meta = {"answer": "3", "graders": ["number"]}
    samples = [Sample(f"k{at}", {"text": "a", "meta": {**meta, "group": str(at % 2)}}) for at in range(4)]
    texts = np.empty(4, object)
    texts[:] = [("3",), ("3",), ("3",), ("4",)]
    table = free_text.rows(samples, {"completions": texts}, LabelSpace((), ()), "full")
    schema.write(table, file, "0" * 64)
    row = {"model": "sums/net-sft-s0", "records": name, "detector": None, "ood": False}
    used = {"use": "accuracy", "options": {}}
    spec = {"benchmark": "c", "task": "free_text", "rows": [row], "metrics": {"accuracy": used}}
    found = dict(metric_rows.Second(tmp_path, spec).values(["model", "group", "metric"]))
    assert found == {
        ("sums/net-sft-s0", None, "accuracy"): (0.75, 4),
        ("sums/net-sft-s0", "0", "accuracy"): (1.0, 2),
        ("sums/net-sft-s0", "1", "accuracy"): (0.5, 2),
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("differences.parquet", "ci_low"),
        ("replicates.parquet", "draws"),
        ("reliability.parquet", "n"),
        ("roc.parquet", "ood"),
    ],
)
def test_cells_of_the_other_tables_are_compared(made, name, column):
    plan, ref = made.plan(), made.one("tables")
    frame = pl.read_parquet((made.root / ref.path).with_name(name))
    at = forgeries.row(frame[column].is_not_null().arg_max())
    value = pl.col(column)
    value = value.list.eval(pl.element() / 2 + 0.1) if column == "draws" else value + 1
    forgeries.cell(made.root, ref, at, name, **{column: value})
    (finding,) = made.findings("aggregates", plan=plan)
    assert finding.file.endswith(name)
    assert finding.why.startswith(column)


def test_rows_that_are_missing_or_strange_are_named(made):
    plan, ref = made.plan(), made.one("tables")
    forgeries.table(made.root, ref, lambda frame: frame.filter(~ACCURACY))
    found = made.findings("aggregates", plan=plan)
    assert [(one.expected, one.found) for one in found] == [("a row", "none")]


def test_the_second_implementation_finds_it_alone(made, monkeypatch):
    """A mistake of the stage that it makes again is found by other code."""
    plan, ref = made.plan(), made.one("tables")
    forgeries.cell(made.root, ref, ACCURACY, value=pl.col("value") + 0.0001)
    monkeypatch.setattr(aggregates, "_stage_again", lambda *_: iter(()))
    found = [one for one in made.findings("aggregates", plan=plan) if one.expected]
    assert [one.sample.split("/")[3] for one in found] == ["convnet-erm-s0"]
    finding = found[0]
    assert "second implementation" in finding.why


def test_without_rows_it_is_incomplete(made):
    ref = made.one("records")
    (made.root / ref.path).unlink()
    (made.root / f"{ref.path}.receipt.json").unlink()
    (finding,) = made.findings("aggregates")
    assert (finding.verdict, finding.found) == ("incomplete", f"no {ref.path}")


def test_detection_is_counted_as_by_hand():
    id, ood = metric_rows.np.array([0.0, 1.0, 1.0, 2.0]), metric_rows.np.array([1.0, 2.0, 3.0])
    # 12 pairs: 1 beats 0, ties 1 1, loses to 2; 2 beats 3, ties 1; 3 beats 4.
    assert metric_rows._area(id, ood) == (1 + 1 + 3 + 0.5 + 4) / 12
    assert metric_rows._false_positives(id, ood, 0.95) == 3 / 4
    assert metric_rows._false_positives(id, ood, 0.5) == 1 / 4
