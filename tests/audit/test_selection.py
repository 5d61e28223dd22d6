"""A8: options chosen on what is tested or by nothing, sets that share samples, a tested sample that was learnt from."""

import dataclasses

import polars as pl
import pytest

from makers import forgeries
from makers.made_benchmark import Made
from shiftbench.audit.recompute import detector_scores
from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.plugins.trainers import erm


def add(made: Made, ref: Ref, key: str, pixels: str) -> None:
    """Add a row to the index of a folder of shards."""
    row = {"key": pl.lit(key), "pixels": pl.lit(pixels)}
    forgeries.index(made.root, ref, lambda frame: pl.concat([frame, frame[:1].with_columns(**row)]))


def test_searches_and_sets_are_sound(made):
    result = made.result("selection")
    assert result.verdict == "exact"
    assert "2 searches; 7 of 7 pairs of sets that must be disjoint are here" in result.notes


def test_options_that_were_chosen_by_something_else_fail(made):
    ref = made.one("searches", "s1")
    assert pl.read_parquet(made.root / ref.path)["auroc"].n_unique() > 1
    forgeries.table(made.root, ref, lambda frame: frame.with_columns(chosen=~pl.col("chosen")))
    (finding,) = made.findings("selection")
    assert (finding.verdict, finding.file) == ("failed", ref.path)
    assert "not the first of the best" in finding.why
    assert any(number.startswith("tiny: auroc of convnet-erm-s1 gen") for number in finding.numbers)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ood": ["tiny/convnet-erm-s0/plain/secret/test/identity/0"]}, "chosen on secret/test, which is also tested"),
        ({"id": "tiny/convnet-erm-s0/plain/tiny/test/identity/0"}, "chosen on tiny/test, which is also tested"),
        ({"ood": []}, "does not name its ood"),
    ],
)
def test_a_search_on_what_is_tested_fails(made, change, why):
    file = f"{made.one('searches', 's0').path}.receipt.json"
    made.edit(file, lambda content: content["recipe"].update(change))
    findings = [one for one in made.findings("selection") if one.file == file]
    assert [one.verdict for one in findings] == ["failed"]
    assert why in findings[0].why


def test_a_search_with_no_effect_fails_and_one_that_keeps_the_order_does_not(made):
    ref = made.one("searches", "s0")
    assert any("they change scores" in note for note in made.result("selection").notes)  # gamma, on three classes
    points = pl.Series(['{"M":3}', '{"M":10}'])  # of three classes
    same = {"options": points, "auroc": pl.lit(0.8)}
    forgeries.table(made.root, ref, lambda frame: frame.with_columns(**same))

    def receipt(content):
        content["recipe"]["grid"] = {"M": [3, 10]}
        content["facts"]["effect"] = {"M": False}

    made.edit(f"{ref.path}.receipt.json", receipt)
    plan = made.plan()
    plan.artifacts[ref].recipe["detector"]["options"]["gamma"] = 0.1
    (finding,) = made.findings("selection", plan=plan)
    assert (finding.verdict, finding.file) == ("failed", ref.path)
    assert "the search has no effect" in finding.why


def test_scores_tell_whether_options_do_anything(made):
    ref = made.one("searches", "s0")
    case = made.case()
    assert detector_scores.has_effect(case, ref, ['{"gamma":0.1}', '{"gamma":0.5}'])
    assert not detector_scores.has_effect(case, ref, ['{"gamma":0.1}', '{"gamma":0.1}'])


@pytest.mark.parametrize("by", ["key", "content"])
def test_a_tested_sample_in_training_fails(made, by):
    train, test = (Ref("shards", f"tiny/{split}/identity/0") for split in ("train", "test"))
    entry = shards.index(made.folder(test))[5]
    add(made, train, *((entry.key, "other") if by == "key" else ("zzz", entry.pixels)))
    (finding,) = [one for one in made.findings("selection") if "training and tested sets" in one.why]
    assert (finding.verdict, finding.file) == ("failed", test.path)
    assert finding.sample == entry.key
    assert f"by {by}" in finding.why


def test_validation_ood_that_is_tested_fails(made):
    secret = shards.index(made.folder(made.one("shards", "secret")))
    add(made, made.one("shards", "other"), "zzz", secret[0].pixels)
    shared = [one for one in made.findings("selection") if "share" in one.why]
    assert [one.verdict for one in shared] == ["failed"]
    assert "ood and val_ood of benchmark tiny" in shared[0].why


def test_a_proof_that_admits_an_overlap_fails(made):
    ref = made.one("overlaps")
    admitted = pl.col("disjoint").cast(int)
    forgeries.cell(made.root, ref, pl.lit(value=True), shared_contents=admitted)
    assert {one.file for one in made.findings("selection")} == {ref.path}


def test_outliers_that_were_learnt_from_are_not_unknown(made):
    plan = made.plan()
    ref = made.one("checkpoints", "s0")
    learnt = (*plan.artifacts[ref].inputs, refs.shards("secret", "train"))
    plan.artifacts[ref] = dataclasses.replace(plan.artifacts[ref], inputs=learnt)
    (finding,) = made.findings("selection", plan=plan)
    assert finding.verdict == "failed"
    assert "trained on secret, which is tested as unknown" in finding.why


def test_weights_may_hold_what_is_tested_if_their_trainer_says_why(made, monkeypatch):
    learnt, tested = refs.shards("tiny", "train"), refs.shards("tiny", "test")
    key = shards.index(made.root / "data/shards" / tested.name)[0].key
    add(made, learnt, key, "0" * 32)
    assert [finding.verdict for finding in made.findings("selection")] == ["failed"]
    monkeypatch.setattr(erm, "HOLDS_TESTED", "a test", raising=False)
    result = made.result("selection")
    assert (result.verdict, result.findings) == ("exact", ())
    assert any("of benchmark tiny contains tested data: a test" in note for note in result.notes)
