"""A13: rows that do not follow from what is above them are found, though every digest matches."""

import numpy as np
import polars as pl

from makers import forgeries
from shiftbench.data import shards

KEY = "tiny/test/contrast/3"


def test_a_clean_benchmark_is_exact(made):
    result = made.result("rows")
    assert (result.verdict, result.findings) == ("exact", ())
    assert "records judged again" in result.notes[0]
    assert "scores computed again" in result.notes[0]


def first(column: str, value: object) -> pl.Expr:
    """Return a column with another value in its first row."""
    return pl.when(forgeries.row(0)).then(value).otherwise(pl.col(column)).alias(column)


RECORDS = {
    "a row less": (lambda f: f[1:], "1 samples have no row"),
    "a row twice": (lambda f: pl.concat([f[:1], f]), "2 rows share their keys"),
    "an order": (lambda f: f.reverse(), "its rows are not sorted by their keys"),
    "a label": (
        lambda f: f.with_columns(first("label", (pl.col("label") + 1) % 3)),
        "label does not follow from the sample",
    ),
    "a prediction": (
        lambda f: f.with_columns(first("prediction", (pl.col("prediction") + 1) % 3)),
        "prediction does not follow from the logits and the label",
    ),
    "right and wrong": (
        lambda f: f.with_columns(first("correct", ~pl.col("correct"))),
        "correct does not follow from the logits and the label",
    ),
    "a likelihood": (
        lambda f: f.with_columns(first("nll_e9", pl.col("nll_e9") + 3)),
        "nll_e9 does not follow from the logits and the label",
    ),
    "scaled logits": (
        lambda f: f.with_columns(logits=pl.col("logits").list.eval(pl.element() * 2)),
        "confidence_e9 does not follow from the logits and the label",
    ),
    "a group": (lambda f: f.with_columns(first("group", pl.lit("easy"))), "group does not follow from the sample"),
    "no number": (
        lambda f: f.with_columns(logits=pl.col("logits").list.eval(pl.element() * np.nan)),
        "logits is not a number or not finite",
    ),
    "out of range": (lambda f: f.with_columns(first("brier_e9", pl.lit(2_000_000_001))), "is out of range"),
}


def test_a_record_that_is_not_what_was_evaluated_fails(made):
    plan, ref = made.plan(), made.one("records", f"s0/plain/{KEY}")
    good = pl.read_parquet(made.root / ref.path)
    keys = set(good["key"])
    for fault, (change, why) in RECORDS.items():
        forgeries.table(made.root, ref, lambda _: change(good))  # noqa: B023
        assert made.findings("digests", plan=plan) == [], fault
        assert made.findings("coherence", plan=plan) == [], fault
        found = made.findings("rows", plan=plan)
        assert any(why in one.why for one in found), (fault, found)
        assert {one.verdict for one in found} == {"failed"}
        assert {one.file for one in found} == {ref.path}, fault
        assert all(one.sample in keys for one in found if one.sample)


def test_a_score_that_the_logits_do_not_give_fails(made):
    plan, ref = made.plan(), made.one("scores", "/msp/")
    forgeries.table(made.root, ref, lambda f: f.with_columns(first("score", pl.col("score") + 1e-6)))
    (finding,) = made.findings("rows", plan=plan)
    assert finding.file == ref.path
    assert finding.why.startswith("1 of ")


def test_a_relabelled_sample_shows_in_the_records_of_the_shards(made):
    plan, ref = made.plan(), made.one("shards", "test/contrast/3")
    sample = next(iter(shards.read((made.root / ref.path).parent)))
    label = (sample.fields["label"] + 1) % 3
    forgeries.sample(made.root, ref, sample.key, label=label)
    found = made.findings("rows", plan=plan)
    assert {one.sample for one in found} == {sample.key}
    assert {one.file.split("/")[3] for one in found} == {"convnet-erm-s0", "convnet-erm-s1"}


def test_features_of_other_rows_or_without_numbers_fail(made):
    ref = made.one("features")
    file = made.root / ref.path
    values = np.load(file)
    np.save(file, values[1:])
    assert [one.why for one in made.findings("rows")] == ["it does not have one row per record"]
    values[3, 2] = np.inf
    np.save(file, values)
    assert [one.found for one in made.findings("rows")] == ["row 3"]


def test_a_table_of_another_recipe_or_with_other_columns_fails(made):
    ref = made.one("records", f"s0/plain/{KEY}")
    other = made.one("records", f"s1/plain/{KEY}")
    (made.root / ref.path).write_bytes((made.root / other.path).read_bytes())
    forgeries.update(made.root, ref)
    assert "it was written under another recipe than its receipt states" in [one.why for one in made.findings("rows")]
    pl.DataFrame({"key": ["a"]}).write_parquet(made.root / ref.path)
    (finding,) = [one for one in made.findings("rows") if one.file == ref.path]
    assert finding.verdict == "failed"


def test_records_without_their_samples_are_incomplete(made):
    ref = made.one("shards", "test/contrast/3")
    (made.root / ref.path).with_name("000000.tar").unlink()
    (finding,) = made.findings("rows")
    assert (finding.verdict, finding.file) == ("incomplete", ref.path)


def test_records_of_a_tar_that_cannot_be_walked_do_not_stop_the_others(made):
    plan, ref = made.plan(), made.one("shards", "test/contrast/3")
    forgeries.tar(made.root, ref, lambda data: data[:124] + b"x" * 12 + data[136:])
    (finding,) = made.findings("rows", plan=plan)
    assert (finding.verdict, finding.file) == ("incomplete", ref.path)
    assert "there is no header at byte 0" in made.findings("archives", plan=plan)[0].why
