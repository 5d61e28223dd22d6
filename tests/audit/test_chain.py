"""A2: a number without evidence is a failure; evidence that is not here leaves the audit incomplete."""

import shutil

import pytest

from shiftbench.provenance import recipe


def test_every_number_has_its_evidence(made):
    assert made.findings("chain") == []
    assert made.result("chain").notes == ("48 rows of tables; 51 outputs behind them",)


def test_an_output_without_receipt_fails_and_names_its_numbers(made):
    ref = made.one("records", "s0/plain/tiny/test/contrast/3")
    recipe.receipt_path(made.root, ref).unlink()
    (finding,) = made.findings("chain")
    assert (finding.verdict, finding.file) == ("failed", ref.path)
    assert finding.numbers[0].startswith("tiny: accuracy of convnet-erm-s0 on tiny/test/contrast/3")


def test_a_receipt_without_output_fails(made):
    ref = made.one("checkpoints")
    (made.root / ref.path).unlink()
    (finding,) = made.findings("chain")
    assert (finding.verdict, finding.file) == ("failed", ref.path)


@pytest.mark.parametrize("link", ["code", "upstream"])
def test_a_recipe_that_names_no_code_or_inputs_ends_the_chain(made, link):
    file = f"{made.one('records').path}.receipt.json"
    made.edit(file, lambda content: content["recipe"].pop(link))
    (finding,) = made.findings("chain")
    assert (finding.verdict, finding.file) == ("failed", file)
    assert link in finding.why


def test_a_missing_run_file_fails(made):
    ref = made.one("scores")
    recipe.run_path(made.root, ref).unlink()
    (finding,) = made.findings("chain")
    assert (finding.verdict, finding.file) == ("failed", f"{ref.path}.run.json")


def test_what_is_not_here_is_told_once_per_folder(made):
    shutil.rmtree(made.root / "data/shards/tiny/test")
    shutil.rmtree(made.root / "data/local")
    shards, local = sorted(made.findings("chain"), key=lambda one: one.file, reverse=True)
    assert {shards.verdict, local.verdict} == {"incomplete"}
    assert (shards.file, shards.why.partition(":")[0]) == (
        "data/shards/tiny/test",
        "5 of 7 shards of tiny are not here",
    )
    assert "a licence forbids sharing" in local.why


def test_nothing_made_is_one_finding(made):
    for folder in ("data", "results", "checkpoints"):
        shutil.rmtree(made.root / folder)
    (finding,) = made.findings("chain")
    assert finding.verdict == "incomplete"
    assert "make run" in finding.why


def test_a_printed_figure_that_nobody_asked_for_fails(made):
    file = made.root / "results/report/leaderboard.csv"
    file.write_text(file.read_text().replace("tiny/convnet-erm-s1", "tiny/better-erm-s1"))
    (finding,) = made.findings("chain")
    assert (finding.verdict, finding.file) == ("failed", "results/report/leaderboard.csv")
    assert "tiny/better-erm-s1" in finding.why
