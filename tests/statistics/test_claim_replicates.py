"""Claims are judged again from the replicates that were kept, as from the rows: drawn cards, drawn rows."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from makers.claims import drawn_claim, drawn_rows
from shiftbench.base.errors import DataError
from shiftbench.cli import claims as commands
from shiftbench.data import claim_formats, schema
from shiftbench.statistics.claims import estimates, judgement, replicate_table, requirements
from shiftbench.workflow.plan import cards


def test_drawn_claims_are_judged_alike_from_what_is_kept(tmp_path):
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        card = {f"c{at}": drawn_claim(random) for at in range(int(random.integers(1, 5)))}
        found = drawn_rows(random)
        known, looks = estimates.evidence(card, found), int(random.integers(1, 3))
        file = tmp_path / "kept.parquet"
        schema.write(replicate_table.table(known), file, "-", claim_formats.CLAIM_REPLICATES)
        kept = replicate_table.evidence(schema.read(file, form=claim_formats.CLAIM_REPLICATES))
        again = judgement.judge_evidence(card, kept, looks=looks)
        straight = judgement.judge(card, found, looks=looks)
        assert again == [
            one if one.name in kept else replace(one, reason=estimates.NO_EVIDENCE.reason) for one in straight
        ]
        asked = (card, 0.02, 0.8, judgement.share_of_error(len(card), looks))
        here, there = (
            list(requirements.requirements(asked[0], {n: of[n] for n in kept}, *asked[1:])) for of in (known, kept)
        )
        assert here == there
        seen |= {one.verdict for one in straight}
    assert seen == {"supported", "refuted", "inconclusive", "reported", "not evaluable"}


def test_published_replicates_answer_without_a_run(tmp_path, monkeypatch):
    """What lacks is said; a claim whose rule has changed since is not judged by old replicates."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="nothing is published of palm; `shiftbench systems palm`"):
        commands.published_evidence("systems/palm")
    card = json.loads(json.dumps(cards.load("palm").model_dump(mode="json")))
    name = next(name for name, one in card["claims"].items() if one["kind"] == "superiority")
    known = {name: estimates.Evidence({None: estimates.Estimate(np.arange(101.0))})}
    same = commands._with_same_rules("palm", {"card": card}, known)
    assert same == known
    card["claims"][name]["margin"] += 0.5
    changed = commands._with_same_rules("palm", {"card": card}, known)
    assert "has changed since" in changed[name].reason
    assert Path("published").exists() is False
