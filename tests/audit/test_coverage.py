"""A9: samples, classes, artifacts and rows that are missing, twice, or nobody's."""

import json

import polars as pl
import pytest

from makers import forgeries
from shiftbench.data import shards


def test_everything_planned_is_there_once(made):
    result = made.result("coverage")
    assert result.verdict == "exact"
    assert "9 shards, 18 records, 2 features, 8 scores, 2 checkpoints, 1 tables were checked" in result.notes


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("severity", 5.0, "another severity"),
        ("shift", "identity", "another shift"),
        ("classes", ["c", "b", "a"], "the classes, or their order"),
        ("samples", 59, "do not count the same samples"),
    ],
)
def test_a_manifest_of_something_else_fails(made, key, value, why):
    ref = made.one("shards", "contrast/3")
    made.edit(ref.path, lambda content: content.update({key: value}))
    (finding,) = made.findings("coverage")
    assert (finding.verdict, finding.file) == ("failed", ref.path)
    assert why in finding.why


def test_shifted_shards_without_a_clean_sample_fail(made):
    ref = made.one("shards", "contrast/3")
    gone = shards.index(made.folder(ref))[7].key
    forgeries.index(made.root, ref, lambda frame: frame.filter(pl.col("key") != gone))
    lost = next(one for one in made.findings("coverage") if "clean partner" in one.why)
    assert (lost.verdict, lost.sample) == ("failed", gone)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda frame: frame[1:], "it lacks samples of the shards"),
        (lambda frame: pl.concat([frame, frame[-1:]]), "two rows have one key"),
        (
            lambda frame: pl.concat([frame[:1].with_columns(key=pl.lit("zzz")), frame]),
            "it has samples that are not in the shards",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["records", "scores"])
def test_rows_of_other_samples_fail(made, kind, edit, why):
    ref = made.one(kind, "secret" if kind == "scores" else "contrast/3")
    forgeries.table(made.root, ref, edit)
    (finding,) = made.findings("coverage")
    assert (finding.verdict, finding.file) == ("failed", ref.path)
    assert finding.sample
    assert why.replace("the shards", "the records" if kind == "scores" else "the shards") in finding.why


def test_weights_with_classes_in_another_order_fail(made):
    ref = made.one("checkpoints")
    names = shards.manifest(made.folder(made.one("shards", "tiny/train")))["classes"]
    turned = json.dumps(names[::-1])
    forgeries.checkpoint(made.root, ref, lambda _, facts: facts.update(classes=turned))
    (finding,) = made.findings("coverage")
    assert (finding.file, finding.expected) == (ref.path, json.dumps(names))
    forgeries.checkpoint(made.root, ref, lambda _, facts: facts.pop("classes"))
    (finding,) = made.findings("coverage")
    assert (finding.file, "does not state its classes" in finding.why) == (ref.path, True)


def test_a_row_that_the_table_lacks_or_has_besides_fails(made):
    ref = made.one("tables")
    table = pl.read_parquet(made.root / ref.path)
    severe = (pl.col("shift") == "contrast") & (pl.col("severity") == 5)
    forgeries.table(made.root, ref, lambda _: table.filter(~severe.fill_null(value=False)))
    (finding,) = made.findings("coverage")
    assert "lacks planned rows: accuracy of tiny/convnet-erm-s0/plain/tiny/test/contrast/5" in finding.why
    other = table.with_columns(severity=pl.when(severe).then(4.0).otherwise(pl.col("severity")))
    more = pl.concat([table, other.filter(pl.col("severity") == 4)])
    forgeries.table(made.root, ref, lambda _: more)
    (finding,) = made.findings("coverage")
    assert "rows that nothing planned gives: accuracy of tiny/convnet-erm-s0/plain/tiny/test/contrast/4" in finding.why


def test_a_set_that_is_smaller_than_the_subset_is_noted(made):
    plan = made.plan()
    file = f"{made.one('shards', 'tiny/test/identity').path}.receipt.json"
    made.edit(file, lambda content: content["recipe"].update(subset=61))
    assert any("has 60 samples, and params allow up to 61" in one.text for one in made.says("coverage", plan=plan))
