"""Published verdicts are held against what the published replicates give: drawn cards, edited verdicts."""

import json

import numpy as np
import polars as pl
import pytest

from makers.claims import drawn_claim, drawn_rows
from shiftbench.audit.checks import figures
from shiftbench.audit.evidence import judged_again
from shiftbench.base.errors import DataError
from shiftbench.data import claim_formats, schema
from shiftbench.release import published
from shiftbench.statistics.claims import estimates, replicate_table
from shiftbench.workflow.stages import judge_claims

EDITS = {
    "verdict": pl.lit("refused"),
    "value": pl.col("value").fill_null(0) + 1e-12,
    "ci_high": pl.col("ci_high").fill_null(0) + 1e-12,
    "confidence": pl.lit(0.5),
}


def draw(folder, random):
    """Write verdicts and replicates of a drawn card as they are published."""
    card = {f"c{at}": drawn_claim(random) for at in range(int(random.integers(1, 5)))}
    known, looks = estimates.evidence(card, drawn_rows(random)), int(random.integers(1, 3))
    place = folder / "results/claims/drawn"
    place.mkdir(parents=True, exist_ok=True)
    judged = schema.table(judge_claims.again(card, known, "embedded", looks), claim_formats.CLAIMS)
    schema.write(judged, place / "claims.parquet", "-", claim_formats.CLAIMS)
    kept = replicate_table.table(known)
    schema.write(kept, place / published.REPLICATES, "-", claim_formats.CLAIM_REPLICATES)
    stated = {name: one.model_dump(mode="json") for name, one in card.items()}
    recipe = {"card": {"claims": stated, "looks": looks}, "scale": "embedded"}
    texts = {"results/claims/drawn/claims.parquet.receipt.json": json.dumps({"recipe": recipe})}
    return published.Published("systems/drawn", folder, {}, {}, texts)


def differing(there):
    return {one.claim for one in judged_again.of_configuration(there) if one.stated != one.judged}


@pytest.mark.parametrize("seed", range(12))
def test_an_edited_verdict_is_not_what_its_replicates_give(tmp_path, seed):
    random = np.random.default_rng(seed)
    there = draw(tmp_path, random)
    assert differing(there) == set()
    file = tmp_path / "results/claims/drawn/claims.parquet"
    frame = pl.read_parquet(file)
    at = int(random.integers(len(frame)))
    for name, value in EDITS.items():
        here = pl.int_range(pl.len()) == at
        edited = frame.with_columns(pl.when(here).then(value).otherwise(pl.col(name)).alias(name))
        table = edited.to_arrow().cast(claim_formats.CLAIMS.arrow)
        schema.write(table, file, "-", claim_formats.CLAIMS)
        assert len(differing(there)) == 1, name
    less = frame.filter(pl.int_range(pl.len()) != at)
    schema.write(less.to_arrow().cast(claim_formats.CLAIMS.arrow), file, "-", claim_formats.CLAIMS)
    assert len(differing(there)) == 1


def test_the_check_names_what_differs_and_what_is_damaged(tmp_path, monkeypatch):
    there = draw(tmp_path, np.random.default_rng(1))
    monkeypatch.setattr(published, "configurations", lambda _: ["systems/drawn"])
    monkeypatch.setattr(published, "read", lambda *_: there)
    (note,) = figures._verdicts()
    assert "published verdicts judged again" in str(note)
    file = tmp_path / "results/claims/drawn" / published.REPLICATES
    whole = pl.read_parquet(file)
    moved = whole.with_columns(pl.col("value") + 10, pl.col("draws").list.eval(pl.element() + 10))
    table = moved.to_arrow().cast(claim_formats.CLAIM_REPLICATES.arrow)
    schema.write(table, file, "-", claim_formats.CLAIM_REPLICATES)
    found, *_ = figures._verdicts()
    assert (found.verdict, found.sample.partition("/")[0]) == ("failed", "c0")
    file.write_bytes(b"PAR1")
    (found,) = figures._verdicts()
    assert "cannot be judged again" in found.why

    def damaged(*_):
        raise DataError("not what was published")

    monkeypatch.setattr(published, "read", damaged)
    (found,) = figures._verdicts()
    assert "not what was published" in found.why
